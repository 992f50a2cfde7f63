package client

import (
	"context"
	"net/http"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// Provider vouches for people whom the installation does not know itself.
type Provider struct {
	Name  string   `json:"name"`
	Flows []string `json:"flows"` // how one logs in with it: "device", "password"
}

// Providers lists who vouches for people that are known elsewhere.
func (c *Client) Providers(ctx context.Context) ([]Provider, error) {
	var page config.Page[Provider]
	_, err := c.call(ctx, request{method: http.MethodGet, path: "/v1/auth/providers", anonymous: true}, &page)
	return page.Items, err
}

// DeviceLogin is what a person needs to log a program in.
type DeviceLogin struct {
	Code     config.Secret `json:"code"`      // for FinishDeviceLogin
	UserCode string        `json:"user_code"` // for the person to type, or to compare
	Page     string        `json:"page"`      // where
	Complete string        `json:"complete"`  // the same page with the user code in it; may be empty
	Expires  time.Duration `json:"-"`
	Interval time.Duration `json:"-"`
}

// BeginDeviceLogin begins to log in with a provider while a person consents on
// its page.
func (c *Client) BeginDeviceLogin(ctx context.Context, provider string) (DeviceLogin, error) {
	in := struct {
		Provider string `json:"provider"`
	}{provider}
	var out struct {
		DeviceLogin
		Expires  string `json:"expires"`
		Interval string `json:"interval"`
	}
	if _, err := c.call(ctx, request{method: http.MethodPost, path: "/v1/auth/device", in: in, anonymous: true}, &out); err != nil {
		return DeviceLogin{}, err
	}
	login := out.DeviceLogin
	login.Expires, _ = time.ParseDuration(out.Expires) // 0 asks until the server says that it is over
	login.Interval, _ = time.ParseDuration(out.Interval)
	return login, nil
}

// FinishDeviceLogin waits until the person has consented, and returns the
// session. ttl 0 takes the server's.
func (c *Client) FinishDeviceLogin(ctx context.Context, provider string, login DeviceLogin, ttl time.Duration) (Session, error) {
	if login.Expires > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, login.Expires+pollSlack)
		defer cancel()
	}
	in := struct {
		Provider string `json:"provider"`
		Code     string `json:"code"`
		TTL      string `json:"ttl,omitempty"`
	}{provider, login.Code.Reveal(), ttlText(ttl)}
	for wait := max(login.Interval, time.Second); ; {
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return Session{}, ctx.Err()
		}
		var out struct {
			Session
			Pending bool   `json:"pending"`
			Wait    string `json:"wait"`
		}
		if _, err := c.call(ctx, request{method: http.MethodPost, path: "/v1/auth/device/token", in: in, anonymous: true}, &out); err != nil || !out.Pending {
			return out.Session, err
		}
		if longer, err := time.ParseDuration(out.Wait); err == nil {
			wait = max(longer, time.Second)
		}
	}
}

// EndSessions ends all sessions of the caller, the Client's own as well, or those
// of a user that it governs, and returns how many they were. Tokens stay good.
func (c *Client) EndSessions(ctx context.Context, user string) (int, error) {
	in := struct {
		User string `json:"user,omitempty"`
	}{user}
	var out struct {
		Ended int `json:"ended"`
	}
	_, err := c.call(ctx, request{method: http.MethodPost, path: "/v1/auth/sessions/end", in: in}, &out)
	return out.Ended, err
}

// pollSlack is for the server to say itself that the time is over.
const pollSlack = 10 * time.Second
