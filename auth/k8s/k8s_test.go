package k8s

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/authtest"
	"github.com/setpointhq/setpoint/config"
)

func TestConformance(t *testing.T) {
	authtest.Authenticator(t, func(t *testing.T) authtest.Proof {
		f := setUp(t, func(s *Settings) { s.Issuer = "https://kubernetes.default.svc" })
		good := f.good()
		elsewhere := f.token(shopApp, map[string]any{"x": 1})
		f.set(elsewhere, map[string]any{"authenticated": true, "audiences": []string{"billing"}, "user": map[string]any{"username": shopApp}})
		return authtest.Proof{
			Authenticator: f, User: "k8s:shop/app", External: true, Method: Name, Right: credentials(good),
			Wrong: map[string]auth.Credentials{
				"unknown":          credentials(good[:len(good)-4] + "AAAA"),
				"another audience": credentials(elsewhere),
				"expired":          credentials(f.token(shopApp, map[string]any{"exp": 1})),
			},
			Foreign: map[string]auth.Credentials{
				"a password":         {Username: "alice", Password: config.NewSecret("correct horse")},
				"an API token":       credentials("sp_aaaaaaaaaaaa_bbbb"),
				"a person's":         credentials(f.token("alice", nil)),
				"a node's":           credentials(f.token("system:node:a", nil)),
				"another cluster's":  credentials(f.token(shopApp, map[string]any{"iss": "https://other"})),
				"many dots":          credentials(strings.Repeat("ey.", 99)),
				"far too long":       credentials(good + strings.Repeat("A", maxToken)),
				"with a line break":  credentials(good + "\n"),
				"with a header line": credentials(good + "\r\nX: y"),
				"no claims":          credentials("ey.bnVsbA."),
				"not base64":         credentials("ey.???.x"),
			},
		}
	})
}

func TestWhoAReviewNames(t *testing.T) {
	many := make([]string, auth.MaxExternalGroups+1)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	user := func(name string, groups ...string) map[string]any {
		return map[string]any{"username": name, "groups": groups}
	}
	tests := []struct {
		name   string
		status map[string]any
		want   auth.Identity // nobody is one refused
	}{
		{"an account with groups", map[string]any{"authenticated": true, "audiences": []string{audience}, "user": user(shopApp, "system:serviceaccounts:shop", "system:serviceaccounts", "a\nb")},
			auth.Identity{Subject: "k8s:shop/app", Provider: "k8s", Groups: []string{"k8s:system:serviceaccounts", "k8s:system:serviceaccounts:shop"}, Method: Name}},
		{"another of the audiences", map[string]any{"authenticated": true, "audiences": []string{"x", "other"}, "user": user(shopApp)},
			auth.Identity{Subject: "k8s:shop/app", Provider: "k8s", Method: Name}},
		{"not authenticated", map[string]any{"audiences": []string{audience}, "user": user(shopApp)}, auth.Identity{}},
		{"no audience checked", map[string]any{"authenticated": true, "user": user(shopApp)}, auth.Identity{}},
		{"no user", map[string]any{"authenticated": true, "audiences": []string{audience}}, auth.Identity{}},
		{"a person", map[string]any{"authenticated": true, "audiences": []string{audience}, "user": user("alice")}, auth.Identity{}},
		{"an account without name", map[string]any{"authenticated": true, "audiences": []string{audience}, "user": user("system:serviceaccount:shop:")}, auth.Identity{}},
		{"an account without namespace", map[string]any{"authenticated": true, "audiences": []string{audience}, "user": user("system:serviceaccount:app")}, auth.Identity{}},
		{"an account of four parts", map[string]any{"authenticated": true, "audiences": []string{audience}, "user": user("system:serviceaccount:a:b:c")}, auth.Identity{}},
		{"an account with a slash", map[string]any{"authenticated": true, "audiences": []string{audience}, "user": user("system:serviceaccount:a:b/c")}, auth.Identity{}},
		{"too many groups", map[string]any{"authenticated": true, "audiences": []string{audience}, "user": user(shopApp, many...)}, auth.Identity{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := setUp(t)
			text := f.token(shopApp, nil)
			f.set(text, test.status)
			if test.want.Anonymous() {
				f.wantRefused(t, text, config.Unauthenticated)
				return
			}
			if diff := cmp.Diff(test.want, f.wantProved(t, text)); diff != "" {
				t.Errorf("identity (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAReviewIsRememberedForAShortTime(t *testing.T) {
	f := setUp(t)
	text := f.good()
	for range 5 {
		f.wantProved(t, text)
	}
	f.wantReviews(t, 1)
	f.set(text, nil) // the account is deleted
	f.pass(f.settings.Remember - 1)
	f.wantProved(t, text)
	f.pass(1)
	f.wantRefused(t, text, config.Unauthenticated)
	f.wantReviews(t, 2)
}

func TestARememberedTokenEndsAtItsTime(t *testing.T) {
	f := setUp(t)
	text := f.token(shopApp, map[string]any{"exp": f.Now().Add(10 * time.Second).Unix()})
	f.know(text, shopApp)
	f.wantProved(t, text)
	f.pass(10 * time.Second)
	f.wantRefused(t, text, config.Unauthenticated)
	f.wantReviews(t, 1)
}

func TestATokenOfOldWithoutEnd(t *testing.T) {
	f := setUp(t)
	f.wantProved(t, f.know(f.token(shopApp, map[string]any{"exp": 0}), shopApp))
}

func TestTheNodesOwnTokenIsReadAgain(t *testing.T) {
	f := setUp(t)
	f.wantProved(t, f.good())
	f.mu.Lock()
	f.own = "next"
	f.mu.Unlock()
	f.pass(f.settings.Remember)
	f.wantRefused(t, f.good(), config.Unavailable)
	if !strings.Contains(f.log.String(), "does not take the token in") {
		t.Errorf("want the log to say what is wrong, got %s", f.log)
	}
	write(t, f.settings.TokenFile, "next")
	f.wantProved(t, f.good())
	write(t, f.settings.TokenFile, "")
	f.pass(f.settings.Remember)
	f.wantRefused(t, f.good(), config.Unavailable)
	if strings.Contains(f.log.String(), f.good()) || strings.Contains(f.log.String(), ownToken) {
		t.Errorf("want no token in the log, got %s", f.log)
	}
}

func TestAClusterThatIsDownSlowOrLies(t *testing.T) {
	var visits int
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visits++ }))
	defer elsewhere.Close()
	say := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }
	}
	code := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
	}
	for name, lie := range map[string]http.HandlerFunc{
		"nothing":           say(""),
		"a page":            say("<html>"),
		"null":              say("null"),
		"another kind":      say(`{"apiVersion":"authentication.k8s.io/v1","kind":"Status","status":{"authenticated":true}}`),
		"another version":   say(`{"apiVersion":"authentication.k8s.io/v9","kind":"TokenReview","status":{"authenticated":true}}`),
		"no status":         say(`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview"}`),
		"huge":              say(`{"x":"` + strings.Repeat("A", maxAnswer) + `"}`),
		"forbidden":         code(http.StatusForbidden),
		"too many requests": code(http.StatusTooManyRequests),
		"an error":          code(http.StatusInternalServerError),
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		},
		"a connection that breaks":   func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"an answer that never comes": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"an answer that breaks early": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9")
			w.Write([]byte("{"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := setUp(t, func(s *Settings) { s.Timeout = time.Second })
			known := f.good()
			f.wantProved(t, known)
			f.answer.Store(&lie)
			f.wantProved(t, known) // remembered
			text := f.know(f.token(shopApp, map[string]any{"jti": "2"}), shopApp)
			f.wantRefused(t, text, config.Unavailable)
			f.answer.Store(nil)
			f.wantProved(t, text)
		})
	}
	if visits > 0 {
		t.Errorf("want no token sent elsewhere, got %d visits", visits)
	}
}

func TestWhoWaitsForAReviewCanGo(t *testing.T) {
	f := setUp(t)
	ctx, cancel := context.WithCancel(t.Context())
	slow := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	f.answer.Store(&slow)
	if _, _, err := f.ask(ctx, f.good()); config.KindOf(err) != config.Canceled {
		t.Errorf("want canceled, got %v", err)
	}
}

func TestAQueueOfReviewsIsBounded(t *testing.T) {
	f := setUp(t, func(s *Settings) { s.Concurrent, s.Timeout = 1, time.Second })
	opened, ok := f.Authenticator.(*Authenticator)
	if !ok {
		t.Fatalf("want an *Authenticator, got %T", f.Authenticator)
	}
	opened.turns <- struct{}{}
	f.wantRefused(t, f.good(), config.Unavailable)
	<-opened.turns
	f.wantProved(t, f.good())
	f.wantReviews(t, 1)
}

func good() Settings {
	var s Settings
	s.Defaults()
	s.Server, s.Audiences = "https://cluster.example:6443", []string{audience}
	return s
}

func TestSettingsRefuse(t *testing.T) {
	tests := []struct {
		field  string
		change func(*Settings)
	}{
		{"name", func(s *Settings) { s.Name = "K8S" }},
		{"server", func(s *Settings) { s.Server = "http://cluster.example" }},
		{"server", func(s *Settings) { s.Server = "https://me:secret@cluster.example" }},
		{"server", func(s *Settings) { s.Server = "https://cluster.example?a=b" }},
		{"server", func(s *Settings) { s.Server = "cluster.example" }},
		{"ca_file", func(s *Settings) { s.CAFile = "" }},
		{"token_file", func(s *Settings) { s.TokenFile = "" }},
		{"audiences", func(s *Settings) { s.Audiences = nil }},
		{"audiences", func(s *Settings) { s.Audiences = []string{""} }},
		{"timeout", func(s *Settings) { s.Timeout = time.Hour }},
		{"concurrent", func(s *Settings) { s.Concurrent = 0 }},
		{"remember", func(s *Settings) { s.Remember = time.Hour }},
		{"remember_most", func(s *Settings) { s.RememberMost = 0 }},
		{"per_address.failures", func(s *Settings) { s.PerAddress.Failures = 0 }},
	}
	for _, test := range tests {
		s := good()
		test.change(&s)
		_, err := s.Open(t.Context(), auth.Env{})
		if config.KindOf(err) != config.Invalid || !strings.Contains(err.Error(), "auth.k8s."+test.field+": ") {
			t.Errorf("want %s refused, got %v", test.field, err)
		}
	}
	s := good()
	if err := s.Validate(); err != nil {
		t.Errorf("want good settings taken, got %v", err)
	}
}

func TestFilesHaveToBeGoodAtTheStart(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	write(t, empty, "")
	split := filepath.Join(dir, "split")
	write(t, split, "a\nb")
	f := setUp(t)
	for field, paths := range map[string][]string{"ca_file": {empty, dir, empty + "x"}, "token_file": {empty, split, dir, empty + "x"}} {
		for _, path := range paths {
			s := f.settings
			if field == "ca_file" {
				s.CAFile = path
			} else {
				s.TokenFile = path
			}
			if _, err := s.Open(t.Context(), auth.Env{}); config.KindOf(err) != config.Invalid || !strings.Contains(err.Error(), "auth.k8s."+field) {
				t.Errorf("%s %s: want it refused, got %v", field, path, err)
			}
		}
	}
}

func TestTheServerOfAPod(t *testing.T) {
	pod := map[string]string{"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}
	s := good()
	s.Server = ""
	if got, err := s.server(func(name string) string { return pod[name] }); got != "https://[fd00::1]:443" || err != nil {
		t.Errorf("want the pod's cluster, got %q, %v", got, err)
	}
	if _, err := s.server(func(string) string { return "" }); config.KindOf(err) != config.Invalid || !strings.Contains(err.Error(), "auth.k8s.server") {
		t.Errorf("want a server asked for, got %v", err)
	}
}

func FuzzReview(f *testing.F) {
	f.Add([]byte(`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","status":{"authenticated":true,"audiences":["setpoint"],"user":{"username":"system:serviceaccount:a:b","groups":["c"]}}}`))
	f.Add([]byte(`{"status":null}`))
	a := &Authenticator{name: Name, audiences: []string{audience}}
	f.Fuzz(func(t *testing.T, text []byte) {
		status, err := readReview(bytes.NewReader(text))
		if err != nil {
			return
		}
		id, err := a.identity(status)
		if (err == nil) == id.Anonymous() || err == nil && auth.CheckExternal(id.Subject) != nil {
			t.Errorf("want somebody or an error, got %+v, %v", id, err)
		}
	})
}

func FuzzToken(f *testing.F) {
	a := &Authenticator{}
	f.Add("ey." + encode([]byte(`{"sub":"`+shopApp+`","exp":1}`)) + ".x")
	f.Add("ey..")
	f.Fuzz(func(t *testing.T, text string) {
		if said, ok := a.mine(text); ok && !strings.HasPrefix(said.Subject, accountPrefix) {
			t.Errorf("want a service account's, got %+v", said)
		}
	})
}

func BenchmarkRemembered(b *testing.B) {
	f := setUp(b)
	c := credentials(f.good())
	f.wantProved(b, c.Token.Reveal())
	b.ReportAllocs()
	for b.Loop() {
		if _, ok, err := f.Authenticate(b.Context(), c); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}
