package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// ReleaseOptions say how releases get to their clients. The zero value gives
// them to everybody, at once.
type ReleaseOptions struct {
	// Rollout gives them to a part of the clients first, by a launch.
	Rollout *NewRollout `json:"rollout,omitempty"`
	// BeginsAt is when that begins or, without Rollout, when everybody gets them.
	BeginsAt time.Time `json:"begins_at,omitzero"`
	// OnRunning says what becomes of launches that are under way for the configs.
	OnRunning OnRunning `json:"on_running,omitempty"`
	// OverrideFreeze releases although an env is frozen; it takes the right to
	// manage the env.
	OverrideFreeze bool `json:"override_freeze,omitempty"`
}

// NewRollout says whom releases reach first.
type NewRollout struct {
	Strategy config.Strategy `json:"strategy"`
	// Gate is what instances must report for it to go on; nil for no conditions,
	// but that a progressive one is called off by the first refusal.
	Gate *config.Gate `json:"gate,omitempty"`
	// ExpiresAfter calls it off if nobody has ended it by then; 0 never does.
	ExpiresAfter config.Seconds `json:"expires_after_seconds,omitempty"`
}

// OnRunning says what a release does about launches of its config that are
// under way.
type OnRunning string

// The ways to meet a launch that is under way.
const (
	// RefuseOnRunning refuses the release: Conflict.
	RefuseOnRunning OnRunning = ""
	// SupersedeRunning ends the launches, with all the configs that they hold.
	SupersedeRunning OnRunning = "supersede"
	// BeforeRunning and AfterRunning let them be; the new release is asked about
	// before or after theirs. One for everybody can come after them only.
	BeforeRunning OnRunning = "before"
	AfterRunning  OnRunning = "after"
)

// query is ReleaseOptions for requests whose body is something else.
func (o ReleaseOptions) query(into url.Values) error {
	if o.Rollout != nil {
		text, err := json.Marshal(o.Rollout)
		if err != nil {
			return config.Errorf(config.Invalid, "", "", "rollout: %w", err)
		}
		into.Set("rollout", string(text))
	}
	if !o.BeginsAt.IsZero() {
		into.Set("begins_at", o.BeginsAt.Format(time.RFC3339Nano))
	}
	if o.OnRunning != RefuseOnRunning {
		into.Set("on_running", string(o.OnRunning))
	}
	if o.OverrideFreeze {
		into.Set("override_freeze", "true")
	}
	return nil
}

// LaunchFilter selects launches of a tenant.
type LaunchFilter struct {
	// Path keeps those that have a config there or below; it may be the tenant.
	Path config.Path
	// All lists also those that have ended, the newest first; without it those
	// that have not are listed, the oldest first.
	All bool
}

// Launches lists the launches of the tenant of a path whose configs the caller
// may all read.
func (c *Client) Launches(ctx context.Context, f LaunchFilter) iter.Seq2[config.Launch, error] {
	if f.Path.Level() == config.LevelRoot {
		return func(yield func(config.Launch, error) bool) {
			yield(config.Launch{}, config.Errorf(config.Invalid, "list launches", "", "name a tenant, or something in one"))
		}
	}
	tenant, below := f.Path.At(config.LevelTenant), f.Path.String()
	if f.Path == tenant {
		below = ""
	}
	return list[config.Launch](ctx, c, at(tenant, "launches"), paged(values("path", below, "all", flag(f.All))))
}

// Launch returns one launch of a tenant, ended or not.
func (c *Client) Launch(ctx context.Context, tenant, id string) (config.Launch, error) {
	ref := LaunchRef{Tenant: tenant, ID: id}
	place, err := ref.place()
	if err != nil {
		return config.Launch{}, err
	}
	return get[config.Launch](ctx, c, place)
}

// LaunchRef names a launch: by its tenant and id, or by a config. Where several
// launches of the config are under way it takes both Path and ID.
type LaunchRef struct {
	Tenant string
	ID     string
	Path   config.Path
}

// place is where the launch is acted on.
func (r LaunchRef) place() (string, error) {
	if r.Path != (config.Path{}) {
		return at(r.Path, "rollout"), r.Path.Require(config.LevelConfig)
	}
	if r.Tenant == "" || r.ID == "" {
		return "", config.Errorf(config.Invalid, "launch", "", "name a config, or a tenant and the id of a launch")
	}
	return at(config.Path{Tenant: r.Tenant}, "launches", r.ID), nil
}

// LaunchAct is what all acts on a launch have in common. Each answers with the
// launch as it is then; Conflict if it has ended, or its state does not allow
// the act.
type LaunchAct struct {
	LaunchRef
	Comment string
	// OverrideFreeze acts although an env is frozen; it takes the right to manage it.
	OverrideFreeze bool
	// Expected makes the act conditional on the revision that was seen.
	Expected config.Token
}

// wireAct is an act in JSON.
type wireAct struct {
	Launch         string `json:"launch,omitempty"`
	Comment        string `json:"comment,omitempty"`
	OverrideFreeze bool   `json:"override_freeze,omitempty"`
	To             string `json:"to,omitempty"`
}

func (a LaunchAct) wire() wireAct {
	w := wireAct{Comment: a.Comment, OverrideFreeze: a.OverrideFreeze}
	if a.Path != (config.Path{}) {
		w.Launch = a.ID
	}
	return w
}

// drive acts on a launch; what is below the place of the launch.
func (c *Client) drive(ctx context.Context, method, what string, a LaunchAct, in any) (config.Launch, error) {
	place, err := a.place()
	if err != nil {
		return config.Launch{}, err
	}
	var l config.Launch
	_, err = c.call(ctx, request{method: method, path: place + what, header: ifMatch(a.Expected), in: in}, &l)
	return l, err
}

// PauseLaunch keeps a launch from advancing. It claims whom it claimed.
func (c *Client) PauseLaunch(ctx context.Context, a LaunchAct) (config.Launch, error) {
	return c.drive(ctx, http.MethodPost, "/pause", a, a.wire())
}

// ResumeLaunch lets a paused launch go on. Its step lasts as long as was left of
// it when it was paused.
func (c *Client) ResumeLaunch(ctx context.Context, a LaunchAct) (config.Launch, error) {
	return c.drive(ctx, http.MethodPost, "/resume", a, a.wire())
}

// AdvanceLaunch takes a launch to its next step now: a scheduled one begins, a
// progressive one goes to its next step, and is promoted after the last.
func (c *Client) AdvanceLaunch(ctx context.Context, a LaunchAct) (config.Launch, error) {
	return c.drive(ctx, http.MethodPost, "/advance", a, a.wire())
}

// PromoteLaunch ends a launch by making its releases stable: everybody gets
// them.
func (c *Client) PromoteLaunch(ctx context.Context, a LaunchAct) (config.Launch, error) {
	return c.drive(ctx, http.MethodPost, "/promote", a, a.wire())
}

// AbortLaunch ends a launch: everybody gets the stable releases. No freeze holds
// it up.
func (c *Client) AbortLaunch(ctx context.Context, a LaunchAct) (config.Launch, error) {
	return c.drive(ctx, http.MethodPost, "/abort", a, a.wire())
}

// SwitchLaunch asks for the other slot of a blue-green launch to be the active
// one.
type SwitchLaunch struct {
	LaunchAct
	// To is the slot; empty means the one that is not active.
	To string
}

// SwitchLaunch makes a slot the active one, for all configs of the launch and all
// clients that ask for no slot, at one revision.
func (c *Client) SwitchLaunch(ctx context.Context, s SwitchLaunch) (config.Launch, error) {
	in := s.wire()
	in.To = s.To
	return c.drive(ctx, http.MethodPost, "/switch", s.LaunchAct, in)
}

// AdjustLaunch asks for a launch to be changed while it is under way. What is nil
// stays.
type AdjustLaunch struct {
	LaunchAct
	// Strategy takes the place of the whole strategy, but that its salt stays
	// unless another is given.
	Strategy *config.Strategy
	// Share is what a canary claims; the rest of its rule stays.
	Share *config.Share
	// Gate takes the place of the whole gate.
	Gate         *config.Gate
	ExpiresAfter *config.Seconds // from when it began; 0 never
	BeginsAt     *time.Time      // of one that has not begun
}

// AdjustLaunch changes a launch that is under way. Canary, targets and
// progressive launches may become each other.
func (c *Client) AdjustLaunch(ctx context.Context, a AdjustLaunch) (config.Launch, error) {
	return c.drive(ctx, http.MethodPatch, "", a.LaunchAct, struct {
		wireAct
		Strategy     *config.Strategy `json:"strategy,omitempty"`
		Share        *config.Share    `json:"share,omitempty"`
		Gate         *config.Gate     `json:"gate,omitempty"`
		ExpiresAfter *config.Seconds  `json:"expires_after_seconds,omitempty"`
		BeginsAt     *time.Time       `json:"begins_at,omitempty"`
	}{a.wire(), a.Strategy, a.Share, a.Gate, a.ExpiresAfter, a.BeginsAt})
}
