package center

import (
	"context"
	"fmt"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/view"
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
	text := fmt.Sprintf("env %s is frozen until %s by %q", env, until.Format(time.RFC3339), f.Name)
	if f.Reason != "" {
		text += " (" + f.Reason + ")"
	}
	return text
}
