package center

import (
	"context"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/view"
)

// MaxReports is how many configs an instance reports at once.
const MaxReports = maxHolds

// ReportRequest is what an instance says of releases that it was sent.
type ReportRequest struct {
	Client   config.Client // with its ID
	Protocol string        // what the client speaks
	Reports  []InstanceReport
}

// InstanceReport is what an instance says of one release.
type InstanceReport struct {
	Path    config.Path
	Version int64
	State   config.AckState // AckApplied or AckRefused
	// Why it was refused; at most 1,000 bytes are kept.
	Why string
}

// Report notes what an instance applied or refused. It needs the right to fetch
// every config that is named; if one of them is denied, or wrong, nothing is
// noted. Exhausted if this node remembers as many instances as it may.
func (c *Center) Report(ctx context.Context, r ReportRequest) error {
	const op = "instance.report"
	id, err := c.authenticated(ctx, op)
	if err != nil {
		return err
	}
	if n := len(r.Reports); n == 0 || n > MaxReports {
		return config.Errorf(config.Invalid, op, "", "report 1 to %d configs at once; got %d", MaxReports, n)
	}
	for i := range r.Reports {
		if _, err := c.authorize(ctx, op, auth.Fetch, r.Reports[i].Path); err != nil {
			return err
		}
	}
	v := c.visiting(id, auth.RequestFrom(ctx), r.Client, r.Protocol)
	if !v.named() {
		return config.Errorf(config.Invalid, op, "", "an instance that reports says which it is: an id of 1 to %d bytes and at most %d labels", maxInstanceID, maxInstanceLabels)
	}
	snap := c.view.Snapshot()
	for i := range r.Reports {
		err := r.Reports[i].check(snap)
		if err != nil { // this node may be behind the one that sent the release
			if _, late := c.catchUp(ctx); late != nil {
				return located(op, "", late)
			}
			snap = c.view.Snapshot()
			err = r.Reports[i].check(snap)
		}
		if err != nil {
			return located(op, "", err)
		}
	}
	if !c.instances.report(v, r.Reports) {
		return config.Errorf(config.Exhausted, op, "", "this node remembers as many instances as it may (limit instances_most, %d): report again later, or to another node", c.limits.InstancesMost)
	}
	return nil
}

// check refuses what cannot be true.
func (r *InstanceReport) check(snap *view.Snapshot) error {
	if r.State != config.AckApplied && r.State != config.AckRefused {
		return config.Errorf(config.Invalid, "", r.Path.String(), "the state is %q; want %q or %q", clipped(string(r.State), 40), config.AckApplied, config.AckRefused)
	}
	cfg, ok := snap.Config(r.Path)
	if !ok || cfg.MetaRevision == 0 {
		return config.Errorf(config.Invalid, "", r.Path.String(), "there is no such config to report of")
	}
	if latest := cfg.Rollout.Latest; r.Version < 1 || r.Version > latest {
		return config.Errorf(config.Invalid, "", r.Path.String(), "there is no version %d to report of; the latest is %d", r.Version, latest)
	}
	return nil
}

// report notes what a client said; false if there is no room for it.
func (i *instances) report(v visitor, reports []InstanceReport) bool {
	news := false
	e := i.change(v.key(), v.now, false, func(s *namedState) {
		was := *s
		s.describe(v)
		for j := range reports {
			h := s.at(reports[j].Path)
			next := h.said.after(&reports[j], v.now)
			h.said = nil
			if next.why != "" && (i.held.Load() > i.room()/2 || s.reasons()+len(next.why) > maxReasons) {
				next.why = ""
			}
			h.said = next
		}
		for j := range reports {
			news = news || !was.said(reports[j].Path).equal(s.said(reports[j].Path))
		}
	})
	if news && e != nil {
		i.tellReported()
	}
	return e != nil
}

// equal reports whether two say the same, whenever they said it.
func (s *said) equal(o *said) bool {
	return s != nil && o != nil && s.applied == o.applied && s.refused == o.refused
}

// reasons is how many bytes of reasons are kept of the client.
func (s *namedState) reasons() int {
	n := 0
	for _, h := range s.holds {
		if h.said != nil {
			n += len(h.said.why)
		}
	}
	return n
}

// after is what a client said once it has said one thing more. What it applied
// puts an end to what it refused before.
func (s *said) after(r *InstanceReport, now time.Time) *said {
	at := now.UnixMilli()
	if r.State == config.AckApplied {
		return &said{applied: r.Version, appliedAt: at}
	}
	next := &said{refused: r.Version, refusedAt: at, why: clipped(r.Why, maxReason)}
	if s != nil && s.applied != r.Version {
		next.applied, next.appliedAt = s.applied, s.appliedAt
	}
	return next
}
