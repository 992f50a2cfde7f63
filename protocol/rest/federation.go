package rest

import (
	"context"
	"net/http"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
)

func federationRoutes() []Route {
	return []Route{
		control(Route{Method: "GET", Pattern: "/v1/auth/providers", Op: "auth.providers", ID: "list-providers", Public: true, tag: tagIdentity,
			summary:     "List who vouches for people that are known elsewhere",
			description: "A user of the provider corp is named corp:alice, here and in bindings. Where password is offered, log in with that name."}, (*api).listProviders),
		control(Route{Method: "POST", Pattern: "/v1/auth/device", Op: "auth.device", ID: "begin-device-login", Public: true, tag: tagIdentity,
			summary:     "Begin to log a program in while a person consents elsewhere",
			description: "Show the person the page and the user code, then ask with the code until they have consented (RFC 8628).",
			body:        smallBody, errors: []int{http.StatusNotFound}}, (*api).beginDevice),
		control(Route{Method: "POST", Pattern: "/v1/auth/device/token", Op: "auth.login", ID: "finish-device-login", Public: true, tag: tagIdentity,
			summary:     "Ask whether the person has consented, and get a session",
			description: "While it is pending there is no token in the answer, and the time to wait before asking again.",
			body:        smallBody, errors: []int{http.StatusNotFound, http.StatusTooManyRequests}}, (*api).pollDevice),
		control(Route{Method: "POST", Pattern: "/v1/auth/sessions/end", Op: "auth.end_sessions", ID: "end-sessions", tag: tagIdentity,
			summary: "Sign out everywhere", description: "Ends all your sessions, this one as well, or those of a user whose rights you manage. Tokens stay good.",
			body: smallBody}, (*api).endSessions),
	}
}

// endedSessions is how many have ended.
type endedSessions struct {
	Ended int `json:"ended"`
}

func (a *api) endSessions(ctx context.Context, in *struct {
	Body struct {
		User string `json:"user,omitempty" doc:"whose; left out, your own" maxLength:"256"`
	}
}) (*answered[endedSessions], error) {
	end := a.center.LogoutEverywhere
	if in.Body.User != "" {
		end = func(ctx context.Context) (int, error) { return a.center.EndSessions(ctx, in.Body.User) }
	}
	ended, err := end(ctx)
	return answer(endedSessions{ended}, err)
}

// provider is who vouches for people, as a client chooses it.
type provider struct {
	Name  string   `json:"name" example:"corp"`
	Flows []string `json:"flows" doc:"how one logs in with it: device, password" example:"[\"device\"]"`
}

func (a *api) listProviders(context.Context, *struct{}) (*answered[config.Page[provider]], error) {
	page := config.Page[provider]{Items: []provider{}}
	for _, p := range a.auth.Providers() {
		shown := provider{Name: p.Provider(), Flows: []string{}}
		if _, ok := p.(auth.Devicer); ok {
			shown.Flows = append(shown.Flows, "device")
		}
		if _, ok := p.(auth.PasswordProvider); ok {
			shown.Flows = append(shown.Flows, "password")
		}
		page.Items = append(page.Items, shown)
	}
	return answer(page, nil)
}

// deviceLogin is what a person needs to consent, and the program to ask.
type deviceLogin struct {
	Code     string   `json:"code" doc:"for the program to ask with; keep it from others"`
	UserCode string   `json:"user_code" doc:"for the person to type, or to compare" example:"WDJB-MJHT"`
	Page     string   `json:"page" doc:"where" example:"https://login.example.com/device"`
	Complete string   `json:"complete,omitempty" doc:"the same page with the user code in it"`
	Expires  Duration `json:"expires" doc:"how long there is to consent" example:"10m0s"`
	Interval Duration `json:"interval" doc:"how long to wait between two questions" example:"5s"`
}

func (a *api) beginDevice(ctx context.Context, in *struct {
	Body struct {
		Provider string `json:"provider" example:"corp" maxLength:"63"`
	}
}) (*answered[deviceLogin], error) {
	p, err := auth.ProviderAs[auth.Devicer](a.auth, in.Body.Provider)
	if err != nil {
		return nil, err
	}
	code, err := p.BeginDevice(ctx)
	return answer(deviceLogin{
		Code: code.Code.Reveal(), UserCode: code.UserCode, Page: code.Page, Complete: code.Complete,
		Expires: Duration{code.Expires}, Interval: Duration{code.Interval},
	}, err)
}

// deviceSession is a session, or how long to wait for it.
type deviceSession struct {
	Pending bool     `json:"pending" doc:"the person has not decided yet"`
	Wait    Duration `json:"wait,omitzero" doc:"how long to wait before asking again" example:"5s"`
	Secret  string   `json:"token,omitempty" doc:"to be sent as a bearer token" example:"sp_k7wq3n5xv2bd_…"`
	User    string   `json:"user,omitempty" example:"corp:alice"`
	ID      string   `json:"id,omitempty" doc:"of the session"`

	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

func (a *api) pollDevice(ctx context.Context, in *struct {
	Body struct {
		Provider string        `json:"provider" example:"corp" maxLength:"63"`
		Code     config.Secret `json:"code" doc:"as it was given at the beginning"`
		TTL      Duration      `json:"ttl,omitzero" doc:"how long the session lasts, at most the server's limit" example:"8h"`
	}
}) (*answered[deviceSession], error) {
	p, err := auth.ProviderAs[auth.Devicer](a.auth, in.Body.Provider)
	if err != nil {
		return nil, err
	}
	vouched, done, wait, err := p.PollDevice(ctx, in.Body.Code)
	if err != nil {
		a.noteFailure(ctx, auth.External(in.Body.Provider, "device"), err)
		return nil, err
	}
	if !done {
		return answer(deviceSession{Pending: true, Wait: Duration{max(wait, time.Second)}}, nil)
	}
	t, secret, err := a.center.LoginVouched(ctx, vouched, in.Body.TTL.Duration)
	return answer(deviceSession{Secret: secret.Reveal(), User: t.User, ID: t.ID, ExpiresAt: t.ExpiresAt}, err)
}
