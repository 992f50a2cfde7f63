package jwt

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
)

func TestKeysRotateDuringUse(t *testing.T) {
	f := setUp(t)
	old, next := f.signer, newSigner("two")
	oldText, nextText := f.good(t), next.sign(t, f.claims(nil), nil)
	f.wantProved(t, oldText)
	f.clock.pass(f.settings.RefetchWait)

	f.serve(old, next)
	f.wantProved(t, nextText)
	f.wantFetches(t, 2)
	f.wantProved(t, oldText)

	f.serve(next)
	f.clock.pass(f.settings.Remember - time.Second)
	f.wantProved(t, oldText) // nobody has asked for new keys
	f.clock.pass(f.settings.Refresh)
	f.wantProved(t, next.sign(t, f.claims(nil), nil))
	f.wantFetches(t, 3)
	f.wantRefused(t, oldText, config.Unauthenticated)
}

func TestTheMemoryEndsWithTheKey(t *testing.T) {
	f := setUp(t)
	text := f.good(t)
	f.wantProved(t, text)
	next := newSigner("two")
	f.serve(next)
	f.clock.pass(f.settings.RefetchWait)
	f.wantProved(t, next.sign(t, f.claims(nil), nil))
	f.wantRefused(t, text, config.Unauthenticated)
}

func TestUnknownKeysCauseFewFetches(t *testing.T) {
	f := setUp(t)
	f.wantProved(t, f.good(t))
	unknown := newSigner("two").sign(t, f.claims(nil), nil)
	f.clock.pass(f.settings.RefetchWait)
	for range 50 {
		_, _, _ = f.ask(t.Context(), unknown)
	}
	f.wantFetches(t, 2)
	f.clock.pass(f.settings.RefetchWait)
	for range 50 {
		_, _, _ = f.ask(t.Context(), unknown)
	}
	f.wantFetches(t, 3)
}

func TestManyAtOnceCauseOneFetch(t *testing.T) {
	f := setUp(t)
	text := f.good(t)
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			if id, ok, err := f.ask(t.Context(), text); !ok || err != nil || id.Subject != "corp:alice" {
				t.Errorf("want alice, got %+v, taken %v, %v", id, ok, err)
			}
		})
	}
	all.Wait()
	f.wantFetches(t, 1)
}

// lies are answers of a server of keys that must change nothing.
func lies(elsewhere string) map[string]http.HandlerFunc {
	say := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }
	}
	return map[string]http.HandlerFunc{
		"nothing":              say(""),
		"a page":               say("<html>log in</html>"),
		"a list":               say("[]"),
		"no keys":              say(`{"keys":[]}`),
		"null":                 say("null"),
		"secrets only":         say(`{"keys":[{"kty":"oct","kid":"one","alg":"HS256","k":"c2VjcmV0"}]}`),
		"keys to encrypt with": say(strings.ReplaceAll(string(keySetOf(newSigner("one"))), `"use":"sig"`, `"use":"enc"`)),
		"too many keys":        say(`{"keys":[` + strings.Repeat("{},", maxKeys) + `{}]}`),
		"huge":                 say(`{"keys":["` + strings.Repeat("A", maxKeyBytes) + `"]}`),
		"an error":             func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"an error that has keys": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			w.Write(keySetOf(newSigner("one")))
		},
		"a redirect to plain http":   func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere, http.StatusFound) },
		"a connection that breaks":   func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"an answer that never comes": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"an answer that never ends":  endless,
		"fewer bytes than were promised": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9")
			w.Write([]byte("{"))
		},
	}
}

func endless(w http.ResponseWriter, r *http.Request) {
	w.Write([]byte(`{"keys":[`))
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

func TestAServerOfKeysThatIsDownSlowOrLies(t *testing.T) {
	var visits atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		visits.Add(1)
		w.Write(keySetOf(newSigner("one")))
	}))
	defer elsewhere.Close()
	t.Run("lies", func(t *testing.T) {
		for name, lie := range lies(elsewhere.URL) {
			t.Run(name, func(t *testing.T) {
				t.Parallel() // as some wait for the whole timeout
				f := setUp(t, func(s *Settings) { s.Timeout = time.Second })
				text := f.good(t)
				f.answer(lie)
				f.wantRefused(t, text, config.Unavailable)
				f.serve(f.signer)
				f.wantRefused(t, text, config.Unavailable) // it is too soon to ask again
				f.clock.pass(f.settings.RefetchWait)
				f.wantProved(t, text)

				f.answer(lie)
				f.clock.pass(f.settings.Refresh)
				f.wantProved(t, f.good(t)) // by the last good keys
				f.wantFetches(t, 3)
				f.wantRefused(t, newSigner("two").sign(t, f.claims(nil), nil), config.Unavailable)

				f.clock.pass(f.settings.KeepKeys)
				f.wantRefused(t, f.good(t), config.Unavailable)
				f.serve(f.signer)
				f.clock.pass(f.settings.RefetchWait)
				f.wantProved(t, f.good(t))
			})
		}
	})
	if got := visits.Load(); got > 0 {
		t.Errorf("want no redirect followed, got %d visits", got)
	}
}

func TestARememberedTokenDoesNotOutliveTheKeys(t *testing.T) {
	f := setUp(t, func(s *Settings) { s.Refresh, s.KeepKeys = time.Second, time.Second })
	text := f.good(t)
	f.wantProved(t, text)
	f.server.Close()
	f.clock.pass(time.Minute)
	f.wantRefused(t, text, config.Unavailable)
}

func TestTheServerOfKeysHasToBeTheRightOne(t *testing.T) {
	f := setUp(t, func(s *Settings) { s.CAFile = "" }) // the system's authorities do not know it
	f.wantRefused(t, f.good(t), config.Unavailable)
	f.wantFetches(t, 0)
}

func TestWhoWaitsForKeysCanGo(t *testing.T) {
	f := setUp(t)
	asked, answer := make(chan struct{}), make(chan struct{})
	f.answer(func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-answer
		w.Write(keySetOf(f.signer))
	})
	text := f.good(t)
	var first sync.WaitGroup
	first.Go(func() {
		if _, ok, err := f.ask(t.Context(), text); !ok || err != nil {
			t.Errorf("want the first caller proved, got taken %v, %v", ok, err)
		}
	})
	<-asked
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := f.ask(ctx, text); config.KindOf(err) != config.Canceled {
		t.Errorf("want canceled, got %v", err)
	}
	ctx, cancel = context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	if _, _, err := f.ask(ctx, text); config.KindOf(err) != config.Timeout {
		t.Errorf("want a timeout, got %v", err)
	}
	close(answer)
	first.Wait()
}

func TestAFileOfKeysIsReadAgainWhenItChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	old, next := newSigner("one"), newSigner("two")
	put := func(content []byte) {
		t.Helper()
		write(t, path+".new", content)
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	put(keySetOf(old))
	f := setUp(t, func(s *Settings) { s.JWKSURL, s.CAFile, s.JWKSFile = "", "", path })
	text := old.sign(t, f.claims(nil), nil)
	f.wantProved(t, text)

	put([]byte("half of a f")) // keeps the last good ones
	f.clock.pass(fileInterval)
	f.wantProved(t, text)
	f.wantProved(t, old.sign(t, f.claims(nil), nil))

	put(append(keySetOf(next), '\n'))
	f.clock.pass(fileInterval)
	f.wantRefused(t, text, config.Unauthenticated) // remembered or not
	f.wantProved(t, next.sign(t, f.claims(nil), nil))

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	f.clock.pass(fileInterval)
	f.wantProved(t, next.sign(t, f.claims(nil), nil))
	f.clock.pass(f.settings.KeepKeys)
	f.wantRefused(t, next.sign(t, f.claims(nil), nil), config.Unavailable)
	f.wantFetches(t, 0)
}

func TestAFileOfKeysHasToBeGoodAtTheStart(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	write(t, empty, nil)
	for _, path := range []string{filepath.Join(dir, "missing"), dir, empty} {
		s := good()
		s.JWKSURL, s.JWKSFile = "", path
		if _, err := s.Open(t.Context(), auth.Env{}); config.KindOf(err) != config.Invalid || !strings.Contains(err.Error(), "jwks_file") {
			t.Errorf("%s: want it refused, got %v", path, err)
		}
	}
}

func TestKeysThatAreOfNoUseAreLeftOut(t *testing.T) {
	weak := `{"kty":"RSA","kid":"weak","n":"` + encode(make63Bytes()) + `","e":"AQAB"}`
	private, err := json.Marshal(map[string]any{"kty": "OKP", "crv": "Ed25519", "x": encode(make([]byte, 32)), "d": encode(make([]byte, 32))})
	if err != nil {
		t.Fatal(err)
	}
	one := strings.TrimSuffix(strings.TrimPrefix(string(keySetOf(newSigner("one"))), `{"keys":[`), `]}`)
	keys, err := readKeys([]byte(`{"keys":[` + strings.Join([]string{weak, string(private), `{"kty":"new"}`, `7`, one}, ",") + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	if len(keys) != 1 || keys[0].KeyID != "one" {
		t.Errorf("want the good key alone, got %+v", keys)
	}
}

func make63Bytes() []byte {
	b := make([]byte, 63)
	for i := range b {
		b[i] = 0xff
	}
	return b
}
