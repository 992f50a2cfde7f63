package jwt

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
)

const (
	issuerName = "https://issuer.example"
	audience   = "setpoint"
	address    = "192.0.2.7"
)

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// signer is a key of the issuer's.
type signer struct {
	id        string
	algorithm jose.SignatureAlgorithm
	key       crypto.Signer
}

func newSigner(id string) signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return signer{id, jose.ES256, key}
}

// rsaKey is made once, as that takes long.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func newEd25519(id string) signer {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return signer{id, jose.EdDSA, key}
}

func (s signer) public() jose.JSONWebKey {
	return jose.JSONWebKey{Key: s.key.Public(), KeyID: s.id, Algorithm: string(s.algorithm), Use: "sig"}
}

// sign makes a token whatever the claims and headers are.
func (s signer) sign(tb testing.TB, payload []byte, headers map[jose.HeaderKey]any) string {
	tb.Helper()
	options := (&jose.SignerOptions{}).WithType("JWT")
	for k, v := range headers {
		options = options.WithHeader(k, v)
	}
	key := jose.SigningKey{Algorithm: s.algorithm, Key: jose.JSONWebKey{Key: s.key, KeyID: s.id}}
	signing, err := jose.NewSigner(key, options)
	if err != nil {
		tb.Fatal(err)
	}
	signed, err := signing.Sign(payload)
	if err != nil {
		tb.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

// fixture is an issuer with its keys behind a real HTTPS server, and a driver
// that knows it.
type fixture struct {
	auth.Authenticator
	settings Settings
	clock    *clock
	signer   signer
	server   *httptest.Server
	fetches  atomic.Int64
	handler  atomic.Pointer[http.HandlerFunc]
	log      *logBuffer
}

// logBuffer collects what is logged.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func setUp(tb testing.TB, change ...func(*Settings)) *fixture {
	tb.Helper()
	f := &fixture{clock: &clock{now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}, signer: newSigner("one"), log: &logBuffer{}}
	f.serve(f.signer)
	f.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.fetches.Add(1)
		(*f.handler.Load())(w, r)
	}))
	f.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	f.server.StartTLS()
	tb.Cleanup(f.server.Close)

	f.settings.Defaults()
	f.settings.Name, f.settings.Issuer, f.settings.Audiences = "corp", issuerName, []string{audience}
	f.settings.JWKSURL = f.server.URL + "/keys"
	f.settings.CAFile = filepath.Join(tb.TempDir(), "ca.pem")
	write(tb, f.settings.CAFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.server.Certificate().Raw}))
	for _, c := range change {
		c(&f.settings)
	}
	a, err := f.settings.Open(tb.Context(), auth.Env{Now: f.clock.Now, Log: slog.New(slog.NewTextHandler(f.log, nil))})
	if err != nil {
		tb.Fatal(err)
	}
	f.Authenticator = a
	return f
}

func write(tb testing.TB, path string, content []byte) {
	tb.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		tb.Fatal(err)
	}
}

// serve has the server show these keys from now on.
func (f *fixture) serve(signers ...signer) {
	text := keySetOf(signers...)
	f.answer(func(w http.ResponseWriter, _ *http.Request) { w.Write(text) })
}

func (f *fixture) answer(h http.HandlerFunc) { f.handler.Store(&h) }

func keySetOf(signers ...signer) []byte {
	var set jose.JSONWebKeySet
	for _, s := range signers {
		set.Keys = append(set.Keys, s.public())
	}
	text, err := json.Marshal(set)
	if err != nil {
		panic(err)
	}
	return text
}

// claims are those of a good token, with changes; a nil one takes a claim away.
func (f *fixture) claims(changes claims) []byte {
	now := f.clock.Now()
	c := claims{
		"iss": issuerName, "sub": "alice", "aud": audience,
		"exp": now.Add(10 * time.Minute).Unix(), "iat": now.Unix(), "nbf": now.Unix(),
	}
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	text, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	return text
}

// good is a token that proves alice.
func (f *fixture) good(tb testing.TB) string { return f.signer.sign(tb, f.claims(nil), nil) }

// forged joins a header and claims with whatever signature.
func forged(header string, payload, signature []byte) string {
	return encode([]byte(header)) + "." + encode(payload) + "." + encode(signature)
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func credentials(text string) auth.Credentials {
	return auth.Credentials{Token: config.NewSecret(text), Address: address}
}

func (f *fixture) ask(ctx context.Context, text string) (auth.Identity, bool, error) {
	return f.Authenticate(ctx, credentials(text))
}

func (f *fixture) wantProved(tb testing.TB, text string) auth.Identity {
	tb.Helper()
	id, ok, err := f.ask(tb.Context(), text)
	if !ok || err != nil || id.Anonymous() {
		tb.Fatalf("want somebody proved, got %+v, taken %v, %v", id, ok, err)
	}
	return id
}

func (f *fixture) wantRefused(tb testing.TB, text string, kind config.ErrorKind) {
	tb.Helper()
	id, ok, err := f.ask(tb.Context(), text)
	if !ok || config.KindOf(err) != kind || !id.Anonymous() {
		tb.Errorf("want nobody, taken, %s; got %+v, taken %v, %v", kind, id, ok, err)
	}
}

func (f *fixture) wantFetches(tb testing.TB, want int64) {
	tb.Helper()
	if got := f.fetches.Load(); got != want {
		tb.Errorf("want %d fetches of keys, got %d", want, got)
	}
}
