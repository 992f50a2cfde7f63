package e2e

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

// TestAmbiguousBodiesAreRefused sends JSON that two readers can understand in
// two ways, and chunks that are none.
func TestAmbiguousBodiesAreRefused(t *testing.T) {
	s := besieged(t)
	const releases = "/v1/tenants/acme/apps/shop/envs/prod/configs/app.yaml/releases"
	for target, method := range map[string]string{draft: "PUT", releases: "POST"} {
		for name, body := range map[string]string{
			"the same key twice":        `{"content":"a: 1","content":"a: 2"}`,
			"the same key in two cases": `{"content":"a: 1","Content":"a: 2"}`,
		} {
			t.Run(name+" "+method, func(t *testing.T) {
				for _, a := range s.send(t, request(method, target, body, "Authorization: "+bearer(s.token), "Content-Length: "+strconv.Itoa(len(body))), false) {
					wantProblem(t, 400, "invalid", a)
				}
			})
		}
		for name, chunk := range map[string]string{"a bad chunk": "zz\r\n{}\r\n0\r\n\r\n", "a huge chunk": "ffffffffffffffffff\r\n{}"} {
			t.Run(name+" "+method, func(t *testing.T) {
				for _, a := range s.send(t, request(method, target, chunk, "Authorization: "+bearer(s.token), "Transfer-Encoding: chunked"), false) {
					wantProblem(t, 400, "invalid", a)
				}
			})
		}
	}
	t.Run("a version below zero", func(t *testing.T) {
		body := `{"content":"a: 1","expected_version":-1}`
		for _, a := range s.send(t, request("POST", releases, body, "Authorization: "+bearer(s.token), "Content-Length: "+strconv.Itoa(len(body))), false) {
			wantProblem(t, 400, "invalid", a)
		}
	})
	t.Run("an answer without a request id", func(t *testing.T) {
		for _, target := range []string{"/", "/metrics", "/V1/tenants"} {
			if a := s.call(s.http(), "GET", target, nil); a.Header.Get("X-Request-Id") == "" {
				t.Errorf("%s: no X-Request-Id in %v", target, a.Header)
			}
		}
	})
	t.Run("an answer that repeats all that was sent", func(t *testing.T) {
		body := `{"content":"a: 1","expected_version":` + strings.Repeat("9", 10_000) + "}"
		for _, a := range s.send(t, request("POST", releases, body, "Authorization: "+bearer(s.token), "Content-Length: "+strconv.Itoa(len(body))), false) {
			if wantProblem(t, 400, "invalid", a); len(a.body) > 2000 {
				t.Errorf("the answer has %d bytes", len(a.body))
			}
		}
	})
}

// TestPasswordChangeCutsOffWatchesOpenedWithIt has whoever knew the old password
// lose the watches that it opened with it.
func TestPasswordChangeCutsOffWatchesOpenedWithIt(t *testing.T) {
	s := start(t, "PROTOCOLS_REST_HEARTBEAT=100ms")
	build(t, s.root(), "acme/shop/prod")
	publish(t, s.root(), "acme/shop/prod/app.yaml", "a: 1\n")
	const password = "an old long password"
	c := basicOf(s, "alice", password, client.Grant{Role: "client", Scope: path(t, "acme/shop/prod")})
	err := watchUntilCut(t, c, path(t, "acme/shop/prod/app.yaml"), func() { setPassword(t, s, "alice", password) })
	problemOf(t, config.Unauthenticated, err)
}

// TestTenWritersWithoutAConditionAllWin wants each of ten writers of one config,
// who expect no version, to be served in the end.
func TestTenWritersWithoutAConditionAllWin(t *testing.T) {
	s := start(t, "LIMITS_KEEP_RELEASES=10000")
	root := s.root()
	build(t, root, "acme/shop/prod")
	const each = 30
	at := path(t, "acme/shop/prod/free.yaml")
	type acked struct {
		version int64
		content string
	}
	got := race(s, func(i int, c *client.Client) (all []acked) {
		for n := range each {
			content := fmt.Sprintf("writer: %d\nround: %d\n", i, n)
			set, err := c.Publish(t.Context(), client.Publish{Items: []client.PublishItem{{Path: at, Content: []byte(content)}}})
			if err != nil {
				t.Errorf("want everybody to win in the end, got %v", err)
				continue
			}
			all = append(all, acked{set.Items[0].Version, content})
		}
		return all
	})
	want := map[int64]string{}
	for _, a := range slices.Concat(got...) {
		if other, taken := want[a.version]; taken {
			t.Errorf("version %d was given to %q and to %q", a.version, other, a.content)
		}
		want[a.version] = a.content
	}
	wantHistory(t, root, at, want)
	if len(want) != racers*each {
		t.Errorf("want %d versions, got %d", racers*each, len(want))
	}
}
