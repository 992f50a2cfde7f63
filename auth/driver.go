package auth

import (
	"context"
	"log/slog"
	"time"

	"github.com/setpointhq/setpoint/plugin"
)

// Driver is the settings struct of a driver that proves identities, which is
// its constructor too. What it opens may also be a PasswordHasher.
type Driver interface {
	plugin.Settings
	// Open returns the working driver. ctx bounds the opening only.
	Open(ctx context.Context, env Env) (Authenticator, error)
}

// AuthorizerDriver is the same for a driver that decides.
type AuthorizerDriver interface {
	plugin.Settings
	// Open returns the working driver. ctx bounds the opening only.
	Open(ctx context.Context, env Env) (Authorizer, error)
}

// Env is what the node lends to a driver that it opens.
type Env struct {
	Directory Directory        // who and what is known; never nil
	Log       *slog.Logger     // nil means slog.Default()
	Now       func() time.Time // nil means time.Now
}

// WithDefaults returns the Env with every nil that has a meaning filled in.
func (e Env) WithDefaults() Env {
	if e.Log == nil {
		e.Log = slog.Default()
	}
	if e.Now == nil {
		e.Now = time.Now
	}
	return e
}
