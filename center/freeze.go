package center

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/internal/view"
	"github.com/setpointhq/setpoint/store"
)

// thawed refuses what releases something in an env that is frozen now, with a
// Conflict that says until when and why. Whoever may manage the env may override
// that; the act's audit record must then say so.
func (c *Center) thawed(ctx context.Context, op string, env *view.Env, override bool) error {
	freeze, until, frozen := env.Frozen(c.now())
	if !frozen {
		return nil
	}
	path := env.Path()
	if !override {
		return config.Errorf(config.Conflict, op, path.String(), "%s; rollback and abort are allowed, or override the freeze", frozenText(path, freeze, until))
	}
	if !c.authz.Allowed(auth.FromContext(ctx), auth.Manage, path) {
		return c.refuse(ctx, op, auth.Manage, path)
	}
	return nil
}

// frozenText says that an env is frozen, until when and why.
func frozenText(env config.Path, f config.Freeze, until time.Time) string {
	text := fmt.Sprintf("env %s is frozen until %s by %q", env, rfc3339(until), f.Name)
	if f.Reason != "" {
		text += " (" + f.Reason + ")"
	}
	return text
}

// FreezeEnv freezes an env for a time, in addition to what freezes it already:
// from now on if it says only until when. A freeze of the same name is replaced
// by it, and those that are over are forgotten. expected makes it conditional on the env's revision; "" does not.
func (c *Center) FreezeEnv(ctx context.Context, path config.Path, f config.Freeze, expected config.Token) (config.Env, error) {
	const op = "env.freeze"
	if _, err := c.authorize(ctx, op, auth.Manage, path); err != nil {
		return config.Env{}, err
	}
	if f.From.IsZero() && f.Weekly == nil && !f.To.IsZero() {
		f.From = c.now()
	}
	f = normalFreeze(f)
	if err := f.Validate(); err != nil {
		return config.Env{}, located(op, path.String(), err)
	}
	now := c.now()
	if f.Weekly == nil && !f.To.After(now) {
		return config.Env{}, config.Errorf(config.Invalid, op, path.String(), "to: %s is over already", rfc3339(f.To))
	}
	return c.changeFreezes(ctx, freezeChange{op: op, path: path, expected: expected, detail: detailOf(f)}, func(old []config.Freeze) ([]config.Freeze, error) {
		next := slices.DeleteFunc(old, func(o config.Freeze) bool {
			return o.Name != f.Name && o.Weekly == nil && !o.To.After(now)
		})
		if i := slices.IndexFunc(next, func(o config.Freeze) bool { return o.Name == f.Name }); i >= 0 {
			next[i] = f
		} else {
			next = append(next, f)
		}
		return next, config.ValidateFreezes("", next)
	})
}

// UnfreezeEnv takes the freeze of a name from an env. NotFound if it has none.
func (c *Center) UnfreezeEnv(ctx context.Context, path config.Path, name string, expected config.Token) (config.Env, error) {
	const op = "env.unfreeze"
	if _, err := c.authorize(ctx, op, auth.Manage, path); err != nil {
		return config.Env{}, err
	}
	detail := map[string]string{"freeze": clipText(name)}
	return c.changeFreezes(ctx, freezeChange{op: op, path: path, expected: expected, detail: detail}, func(old []config.Freeze) ([]config.Freeze, error) {
		i := slices.IndexFunc(old, func(o config.Freeze) bool { return o.Name == name })
		if i < 0 {
			return nil, config.Errorf(config.NotFound, "", "", "the env has no freeze %q", clipText(name))
		}
		return slices.Delete(old, i, i+1), nil
	})
}

type freezeChange struct {
	op       string
	path     config.Path
	expected config.Token
	detail   map[string]string // for the audit
}

// changeFreezes gives an env other freezes. change may keep the slice that it is
// given.
func (c *Center) changeFreezes(ctx context.Context, f freezeChange, change func([]config.Freeze) ([]config.Freeze, error)) (config.Env, error) {
	if err := f.path.Require(config.LevelEnv); err != nil {
		return config.Env{}, located(f.op, f.path.String(), err)
	}
	var next config.Env
	revision, err := c.commit(ctx, f.op, func(snap *view.Snapshot) (store.Txn, error) {
		env, ok := snap.Env(f.path)
		if !ok {
			return store.Txn{}, errNoScope(f.op, f.path)
		}
		if err := c.expect(f.op, f.path.String(), f.expected, env.ModRevision); err != nil {
			return store.Txn{}, err
		}
		freezes, err := change(slices.Clone(env.Freezes))
		if err != nil {
			return store.Txn{}, located(f.op, f.path.String(), err)
		}
		next = env.Env
		next.Freezes = freezes
		key := scopeKey(f.path)
		return store.Txn{
			Conds: []store.Cond{{Key: key, Revision: env.ModRevision}},
			Writes: []store.Write{
				{Key: key, Value: record.Encode(next)},
				c.audited(ctx, audit.Record{Action: f.op, Path: f.path, Detail: f.detail}),
			},
		}, nil
	})
	next.Revision = c.token(revision)
	return next, err
}

// checkFreezes refuses freezes that make no sense, and returns those that do as
// they are stored; nil stays nil.
func checkFreezes(path config.Path, freezes []config.Freeze) ([]config.Freeze, error) {
	if err := config.ValidateFreezes(path.String(), freezes); err != nil {
		return nil, err
	}
	freezes = slices.Clone(freezes)
	for i := range freezes {
		freezes[i] = normalFreeze(freezes[i])
	}
	return freezes, nil
}

// normalFreeze gives times of one form, whatever zone they were written in.
func normalFreeze(f config.Freeze) config.Freeze {
	f.From, f.To = f.From.UTC().Round(0), f.To.UTC().Round(0)
	return f
}

// detailOf is what the audit says of a freeze.
func detailOf(f config.Freeze) map[string]string {
	detail := map[string]string{"freeze": f.Name, "reason": f.Reason}
	if f.Weekly != nil {
		detail["weekly"] = f.Weekly.String()
	} else {
		detail["from"], detail["to"] = rfc3339(f.From), rfc3339(f.To)
	}
	return detail
}
