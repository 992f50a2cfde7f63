package ws

import (
	"context"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/problem"
)

// report renders an error, and logs the cause of what the client is not told.
func (g *gateway) report(ctx context.Context, err error) problem.Details {
	p := problem.New(err, auth.RequestFrom(ctx).ID)
	if config.KindOf(err) == config.Internal {
		g.log.ErrorContext(ctx, "request failed", "request_id", p.RequestID, "error", err)
	} else {
		g.log.DebugContext(ctx, "request refused", "request_id", p.RequestID, "error", problem.ClipTo(err.Error(), problem.LongestDetail))
	}
	return p
}

// prove finds out who is calling, and has it recorded if someone claims to be who
// it cannot prove to be.
func (g *gateway) prove(ctx context.Context, given auth.Credentials) (auth.Identity, error) {
	id, err := g.auth.Authenticate(ctx, given)
	if kind := config.KindOf(err); err != nil && given.Username != "" && (kind == config.Unauthenticated || kind == config.Throttled) {
		g.center.LoginFailed(ctx, given.Username)
	}
	return id, err
}

// isRefusal reports whether an error means that the caller is no longer who may be here.
func isRefusal(err error) bool {
	kind := config.KindOf(err)
	return err != nil && (kind == config.Unauthenticated || kind == config.Denied)
}
