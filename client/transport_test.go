package client_test

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

func TestTrust(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"version":"1"}`)
	}))
	srv.Config.ErrorLog = nil
	srv.StartTLS()
	defer srv.Close()
	sum := client.Fingerprint(srv.Certificate())
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		tls     client.TLS
		trusted bool
	}{
		{"system roots", client.TLS{}, false},
		{"insecure", client.TLS{Insecure: true}, true},
		{"ca file", client.TLS{CAFile: ca}, true},
		{"pin", client.TLS{Fingerprint: sum}, true},
		{"pin with colons", client.TLS{Fingerprint: "SHA256:" + colons(strings.ToUpper(sum))}, true},
		{"wrong pin", client.TLS{Fingerprint: strings.Repeat("0", 64)}, false},
		{"wrong pin in spite of insecure", client.TLS{Fingerprint: strings.Repeat("0", 64), Insecure: true}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newClient(t, client.Options{Endpoints: []string{srv.URL}, TLS: tt.tls})
			_, err := c.Version(t.Context())
			if tt.trusted {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var cause *client.UntrustedError
			if config.KindOf(err) != config.Unauthenticated || !errors.As(err, &cause) {
				t.Fatalf("want an untrusted certificate, got %v", err)
			}
			if sum != cause.Fingerprint {
				t.Errorf("fingerprint: want %s, got %s", sum, cause.Fingerprint)
			}
		})
	}
}

func colons(hex string) string {
	var parts []string
	for i := 0; i < len(hex); i += 2 {
		parts = append(parts, hex[i:i+2])
	}
	return strings.Join(parts, ":")
}

func TestOptionsRefused(t *testing.T) {
	tests := []struct {
		name string
		o    client.Options
		want string
	}{
		{"no endpoint", client.Options{}, "no endpoint"},
		{"plain http afar", client.Options{Endpoints: []string{"http://example.com"}}, "plain http"},
		{"other scheme", client.Options{Endpoints: []string{"ftp://example.com"}}, "scheme"},
		{"user in the url", client.Options{Endpoints: []string{"https://u:p@example.com"}}, "without user"},
		{"bad pin", client.Options{Endpoints: []string{"https://h"}, TLS: client.TLS{Fingerprint: "zz"}}, "64 hex digits"},
		{"no ca file", client.Options{Endpoints: []string{"https://h"}, TLS: client.TLS{CAFile: "/nonexistent"}}, "ca file"},
		{"label with comma", client.Options{Endpoints: []string{"https://h"}, Instance: config.Client{Labels: map[string]string{"a": "b,c"}}}, "label"},
		{"header injection", client.Options{Endpoints: []string{"https://h"}, Instance: config.Client{ID: "a\r\nb"}}, "printable"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := client.New(tt.o)
			if config.KindOf(err) != config.Invalid || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("want invalid with %q, got %v", tt.want, err)
			}
			if err != nil && strings.Contains(err.Error(), "u:p@") {
				t.Errorf("the error shows a password: %v", err)
			}
		})
	}
}

func TestIdentityHeaders(t *testing.T) {
	var got http.Header
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Clone()
		io.WriteString(w, `{}`)
	}), func(o *client.Options) {
		o.Token = config.Secret{}
		o.Username, o.Password = "al", config.NewSecret("pw")
		o.Instance = config.Client{ID: "i1", Slot: "green", Labels: map[string]string{"zone": "b", "app": "x"}}
		o.UserAgent = "test/1"
	})
	if _, err := c.WhoAmI(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"Setpoint-Instance": "i1", "Setpoint-Slot": "green", "Setpoint-Labels": "app=x,zone=b",
		"User-Agent": "test/1", "Authorization": "Basic YWw6cHc=",
	}
	for name, value := range want {
		if got.Get(name) != value {
			t.Errorf("%s: want %q, got %q", name, value, got.Get(name))
		}
	}
}

func TestErrorsAreDecoded(t *testing.T) {
	for _, kind := range config.ErrorKinds() {
		t.Run(kind.String(), func(t *testing.T) {
			problems := []config.Problem{{Line: 2, Column: 3, Severity: config.SeverityError, Message: "m", Excerpt: "e"}}
			c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/problem+json")
				w.WriteHeader(http.StatusTeapot)
				json.NewEncoder(w).Encode(map[string]any{
					"code": kind.String(), "detail": "why", "path": "acme/a", "op": "publish",
					"current_version": 4, "problems": problems, "request_id": "q1",
				})
			}))
			_, err := c.CreateTenant(t.Context(), config.Tenant{Name: "acme"})
			var got *config.Error
			if !errors.As(err, &got) {
				t.Fatalf("want *config.Error, got %T %v", err, err)
			}
			want := &config.Error{Op: "publish", Kind: kind, Path: "acme/a", Current: 4, Problems: problems}
			cause := got.Err
			got.Err = nil
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			var refused *client.Refusal
			if !errors.As(cause, &refused) || refused.RequestID != "q1" || refused.Detail != "why" {
				t.Errorf("want the detail and request q1, got %#v", cause)
			}
		})
	}
}

func TestAnswersOfProxies(t *testing.T) {
	tests := map[int]config.ErrorKind{
		http.StatusFound: config.Internal, http.StatusBadRequest: config.Invalid, http.StatusUnauthorized: config.Unauthenticated,
		http.StatusForbidden: config.Denied, http.StatusNotFound: config.NotFound, http.StatusBadGateway: config.Unavailable,
		http.StatusGatewayTimeout: config.Timeout, http.StatusRequestEntityTooLarge: config.TooLarge,
	}
	for status, want := range tests {
		c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "https://elsewhere.example/")
			w.WriteHeader(status)
			io.WriteString(w, "<html>")
		}))
		_, err := c.CreateTenant(t.Context(), config.Tenant{Name: "acme"})
		if got := config.KindOf(err); want != got {
			t.Errorf("%d: want %s, got %s (%v)", status, want, got, err)
		}
	}
}

func TestOnlyReadsAreTriedAgain(t *testing.T) {
	var calls atomic.Int64
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if calls.Add(1) < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, `{}`)
	}))
	if _, err := c.WhoAmI(t.Context()); err != nil {
		t.Errorf("read: want success at the third try, got %v", err)
	}
	calls.Store(0)
	if _, err := c.CreateTenant(t.Context(), config.Tenant{Name: "acme"}); config.KindOf(err) != config.Unavailable {
		t.Errorf("write: want unavailable, got %v", err)
	}
	if got := calls.Load(); got != 1 {
		t.Errorf("write: want 1 attempt, got %d", got)
	}
}

func TestReadsAreNotTriedAgainWhenTheServerAsksForALongWait(t *testing.T) {
	var calls atomic.Int64
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.Header().Set("Retry-After", "60")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	if _, err := c.WhoAmI(t.Context()); config.KindOf(err) != config.Throttled || calls.Load() != 1 {
		t.Errorf("want throttled after 1 attempt, got %v after %d", err, calls.Load())
	}
}

func TestNextEndpointServesWhenOneIsGone(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := "https://" + l.Addr().String()
	l.Close()
	var calls atomic.Int64
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		io.WriteString(w, `{}`)
	}), func(o *client.Options) { o.Endpoints = append([]string{gone}, o.Endpoints...) })
	if _, err := c.CreateTenant(t.Context(), config.Tenant{Name: "acme"}); err != nil {
		t.Errorf("a write that never left: %v", err)
	}
	if _, err := c.WhoAmI(t.Context()); err != nil || calls.Load() != 2 {
		t.Errorf("want 2 calls at the second endpoint, got %d, %v", calls.Load(), err)
	}
}

func TestUnreachableIsUnavailable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	c := newClient(t, client.Options{Endpoints: []string{"https://" + l.Addr().String()}})
	_, err = c.WhoAmI(t.Context())
	if config.KindOf(err) != config.Unavailable || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("want unavailable that names the endpoint, got %v", err)
	}
}
