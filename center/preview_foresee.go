package center

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/setpointhq/setpoint/config"
)

// foresee resolves everything for everybody, as it is and as it would be.
func (c *Center) foresee(ctx context.Context, o *prospect, page PageRequest, answer *config.Preview) error {
	after, err := parseInstanceKey(page.After)
	if err != nil {
		return err
	}
	paths := make([]config.Path, len(o.choices))
	for i := range o.choices {
		paths[i] = o.choices[i].path
		answer.Configs = append(answer.Configs, config.PreviewCount{Path: paths[i], Version: o.choices[i].version})
	}
	parties, silent, err := c.whoever(ctx, paths)
	if err != nil {
		return err
	}
	answer.Silent = silent
	parties = slices.DeleteFunc(parties, func(p *party) bool { return !p.there(o.edits.now) })
	for i, p := range parties {
		if i%1000 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if p.instance.ID == "" {
			answer.Unnamed++
		}
		client := p.instance.Client()
		for _, at := range p.concerns {
			o.choices[at].count(client, &answer.Configs[at])
		}
	}
	answer.Problems = append(answer.Problems, o.matches(answer)...)
	slices.SortFunc(parties, func(a, b *party) int { return a.key().compare(b.key()) })
	from := 0
	if page.After != "" {
		from, _ = slices.BinarySearchFunc(parties, after, func(p *party, k instanceKey) int {
			return cmp.Or(p.key().compare(k), -1) // the place behind it
		})
	}
	answer.Page = pageOf(page, slices.Values(parties[from:]), func(p *party) (config.PreviewInstance, string, bool) {
		return o.tell(p), p.key().String(), true
	})
	return nil
}

// claims reports whether a release is the one that the launch brings.
func (h *choice) claims(r *config.Release) bool { return r != nil && r.Version == h.version }

func (h *choice) count(client config.Client, n *config.PreviewCount) {
	now, then := h.now.Resolve(client), h.then.Resolve(client)
	n.Instances++
	switch {
	case then == nil:
		n.Nothing++
	case h.claims(then):
		n.Candidate++
	case then == h.then.Stable:
		n.Stable++
	default:
		n.Other++
	}
	if versionOf(now) == versionOf(then) {
		n.Unchanged++
	}
}

// versionOf returns a release's version, 0 for none.
func versionOf(r *config.Release) int64 {
	if r == nil {
		return 0
	}
	return r.Version
}

// tell says what one instance would get, and why.
func (o *prospect) tell(p *party) config.PreviewInstance {
	i := &p.instance
	told := config.PreviewInstance{
		ID: i.ID, User: i.User, Node: i.Node, Address: i.Address, Labels: i.Labels, Slot: i.Slot,
		Choices: make([]config.PreviewChoice, 0, len(p.concerns)),
	}
	client := i.Client()
	for _, at := range p.concerns {
		h := &o.choices[at]
		why := h.then.Explain(client)
		told.Choices = append(told.Choices, config.PreviewChoice{
			Path: h.path, Now: versionOf(h.now.Resolve(client)), Then: versionOf(why.Release),
			Candidate: h.claims(why.Release), Reason: why.Reason,
		})
	}
	return told
}

// matches warns of what looks like a mistake only when one knows who is there.
func (o *prospect) matches(p *config.Preview) []config.Problem {
	var found []config.Problem
	warn := func(path, format string, args ...any) {
		found = append(found, config.Problem{Path: path, Severity: config.SeverityWarning, Message: fmt.Sprintf(format, args...)})
	}
	for _, n := range p.Configs {
		switch {
		case o.ended || n.Candidate > 0:
		case n.Instances == 0:
			warn(n.Path.String(), "matches nobody: no instance watches or reads it now")
		default:
			warn(n.Path.String(), "matches nobody: of the instances that watch or read it now, %d, none would get the release", n.Instances)
		}
	}
	if p.Unnamed > 0 && !o.ended && hasShare(&o.strategy) {
		warn("", "no share can claim an instance without an id, and %d of those here have none; have them send one", p.Unnamed)
	}
	return found
}

// hasShare reports whether a strategy asks for a share anywhere.
func hasShare(s *config.Strategy) bool {
	return s.Kind == config.StrategyProgressive || s.Rule != nil && ruleHasShare(s.Rule)
}

func ruleHasShare(r *config.Rule) bool {
	below := func(r config.Rule) bool { return ruleHasShare(&r) }
	return r.Share != nil || slices.ContainsFunc(r.All, below) || slices.ContainsFunc(r.Any, below)
}
