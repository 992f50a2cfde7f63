package client

import (
	"context"
	"net/http"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// FreezeEnv lets nothing be released in an env for a time, once or every week:
// from now on if it says only until when. A freeze of the same name is replaced.
func (c *Client) FreezeEnv(ctx context.Context, env config.Path, f config.Freeze) (config.Env, error) {
	if err := env.Require(config.LevelEnv); err != nil {
		return config.Env{}, err
	}
	var out config.Env
	_, err := c.call(ctx, request{method: http.MethodPut, path: at(env, "freezes", f.Name), in: newFreeze{f.Reason, f.From, f.To, f.Weekly}}, &out)
	return out, err
}

// UnfreezeEnv takes the freeze of a name from an env.
func (c *Client) UnfreezeEnv(ctx context.Context, env config.Path, name string) (config.Env, error) {
	if err := env.Require(config.LevelEnv); err != nil {
		return config.Env{}, err
	}
	var out config.Env
	_, err := c.call(ctx, request{method: http.MethodDelete, path: at(env, "freezes", name)}, &out)
	return out, err
}

type newFreeze struct {
	Reason string         `json:"reason,omitempty"`
	From   time.Time      `json:"from,omitzero"`
	To     time.Time      `json:"to,omitzero"`
	Weekly *config.Weekly `json:"weekly,omitempty"`
}
