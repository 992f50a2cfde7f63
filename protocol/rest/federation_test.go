package rest

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

// consenting stands for a provider with a device flow: its person consents when
// asked for the third time. A real one is in the tests of the whole program.
type consenting struct {
	asked int
	err   error
}

func (*consenting) Authenticate(context.Context, auth.Credentials) (auth.Identity, bool, error) {
	return auth.Identity{}, false, nil
}

func (c *consenting) Providers() []auth.Provider { return []auth.Provider{c} }

func (*consenting) Provider() string { return "corp" }

func (c *consenting) BeginDevice(context.Context) (auth.DeviceCode, error) {
	return auth.DeviceCode{
		Code: config.NewSecret("for the program"), UserCode: "WDJB-MJHT", Page: "https://corp.example/device",
		Expires: 10 * time.Minute, Interval: 5 * time.Second,
	}, c.err
}

func (c *consenting) PollDevice(_ context.Context, code config.Secret) (auth.Vouched, bool, time.Duration, error) {
	if code.Reveal() != "for the program" {
		return auth.Vouched{}, false, 0, config.Errorf(config.Unauthenticated, "authenticate", "", "nobody has consented")
	}
	if c.asked++; c.asked < 3 {
		return auth.Vouched{}, false, 7 * time.Second, c.err
	}
	id := auth.Identity{Subject: "corp:alice", Provider: "corp", Groups: []string{"corp:platform"}, Method: "oidc"}
	return auth.Vouched{Identity: id}, true, 0, c.err
}

func federated(t *testing.T) (*server, *consenting) {
	s, corp := start(t), &consenting{}
	s.api.auth = append(s.api.auth, corp)
	return s, corp
}

func post(path, body string) request {
	return request{method: http.MethodPost, path: path, body: body, auth: "-"}
}

func TestAPersonConsentsElsewhere(t *testing.T) {
	s, _ := federated(t)
	var listed config.Page[provider]
	s.into(http.StatusOK, s.do(request{path: "/v1/auth/providers", auth: "-"}), &listed)
	if len(listed.Items) != 1 || listed.Items[0].Name != "corp" || strings.Join(listed.Items[0].Flows, " ") != "device" {
		t.Errorf("want the provider listed, got %+v", listed)
	}
	var begun deviceLogin
	s.into(http.StatusOK, s.do(post("/v1/auth/device", `{"provider":"corp"}`)), &begun)
	if begun.UserCode != "WDJB-MJHT" || begun.Interval.Duration != 5*time.Second || begun.Expires.Duration != 10*time.Minute {
		t.Errorf("want what the person needs, got %+v", begun)
	}
	ask := post("/v1/auth/device/token", `{"provider":"corp","code":"`+begun.Code+`"}`)
	var got deviceSession
	for range 2 {
		got = deviceSession{}
		s.into(http.StatusOK, s.do(ask), &got)
		if !got.Pending || got.Wait.Duration != 7*time.Second || got.Secret != "" {
			t.Fatalf("want it to be pending, got %+v", got)
		}
	}
	got = deviceSession{}
	s.into(http.StatusOK, s.do(ask), &got)
	if got.Pending || got.User != "corp:alice" || got.ExpiresAt.IsZero() {
		t.Fatalf("want a session, got %+v", got)
	}
	bearer := "Bearer " + got.Secret
	var who center.WhoAmI
	s.into(http.StatusOK, s.do(request{path: "/v1/auth/whoami", auth: bearer}), &who)
	if who.User != "corp:alice" || who.Provider != "corp" || strings.Join(who.Groups, " ") != "corp:platform" || len(who.Grants) != 0 {
		t.Errorf("want corp:alice, who may do nothing, got %+v", who)
	}

	s.publish("acme/shop/prod/app.yaml", "a: 1\n")
	read := request{path: "/v1/configs/acme/shop/prod/app.yaml", auth: bearer}
	s.problem(http.StatusForbidden, "denied", s.do(read))
	_, err := s.center.CreateBinding(s.as(center.AdminUser), auth.Binding{
		Group: "corp:platform", Role: auth.RoleViewer, Scope: config.Path{Tenant: "acme", App: "shop"},
	})
	s.must(err)
	if r := s.do(read); r.StatusCode != http.StatusOK {
		t.Errorf("want the group's right to hold, got %d", r.StatusCode)
	}

	var ended endedSessions
	s.into(http.StatusOK, s.do(request{method: http.MethodPost, path: "/v1/auth/sessions/end", body: `{}`, auth: bearer}), &ended)
	if ended.Ended != 1 {
		t.Errorf("want the one session ended, got %d", ended.Ended)
	}
	s.problem(http.StatusUnauthorized, "unauthenticated", s.do(read))
}

func TestAConsentThatFails(t *testing.T) {
	s, corp := federated(t)
	s.problem(http.StatusNotFound, "not_found", s.do(post("/v1/auth/device", `{"provider":"other"}`)))
	s.problem(http.StatusNotFound, "not_found", s.do(post("/v1/auth/device/token", `{"provider":"other","code":"x"}`)))
	s.problem(http.StatusUnauthorized, "unauthenticated", s.do(post("/v1/auth/device/token", `{"provider":"corp","code":"guessed"}`)))
	corp.err = config.Errorf(config.Unavailable, "authenticate", "", "the provider cannot be asked at the moment")
	s.problem(http.StatusServiceUnavailable, "unavailable", s.do(post("/v1/auth/device", `{"provider":"corp"}`)))
	s.problem(http.StatusServiceUnavailable, "unavailable", s.do(post("/v1/auth/device/token", `{"provider":"corp","code":"for the program"}`)))
}

func TestNobodyEndsOthersSessions(t *testing.T) {
	s := start(t)
	s.problem(http.StatusForbidden, "denied", s.do(request{method: http.MethodPost, path: "/v1/auth/sessions/end", body: `{"user":"admin"}`, auth: s.viewer}))
}
