package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/authtest"
	"github.com/setpointhq/setpoint/config"
)

func TestConformance(t *testing.T) {
	authtest.Authenticator(t, func(t *testing.T) authtest.Proof {
		f := setUp(t)
		good := f.good(t)
		return authtest.Proof{
			Authenticator: f, User: "corp:alice", External: true, Method: Name, Right: credentials(good),
			Wrong: map[string]auth.Credentials{
				"expired":           credentials(f.signer.sign(t, f.claims(claims{"exp": 1}), nil)),
				"another's":         credentials(newSigner("one").sign(t, f.claims(nil), nil)),
				"another audience":  credentials(f.signer.sign(t, f.claims(claims{"aud": "billing"}), nil)),
				"no signature":      credentials(good[:strings.LastIndexByte(good, '.')+1]),
				"far too long":      credentials(good + strings.Repeat("A", maxToken)),
				"with a line break": credentials(good + "\n"),
			},
			Foreign: map[string]auth.Credentials{
				"a password":             {Username: "alice", Password: config.NewSecret("correct horse")},
				"an API token":           credentials("sp_aaaaaaaaaaaa_bbbb"),
				"another issuer's":       credentials(f.signer.sign(t, f.claims(claims{"iss": "https://other.example"}), nil)),
				"a JWT without issuer":   credentials(f.signer.sign(t, f.claims(claims{"iss": nil}), nil)),
				"an issuer of two":       credentials(f.signer.sign(t, f.claims(claims{"iss": []string{issuerName}}), nil)),
				"many dots":              credentials(strings.Repeat("ey.", 5000)),
				"an encrypted one":       credentials("eyJhbGciOiJSU0EtT0FFUCJ9.a.b.c.d"),
				"claims with a break":    credentials(strings.Replace(good, ".", ".\n", 1)),
				"no claims":              credentials("eyJhbGciOiJub25lIn0.bnVsbA."),
				"a JWT as a user's name": {Username: good},
			},
		}
	})
}

func TestWhoATokenNames(t *testing.T) {
	many := make([]string, auth.MaxExternalGroups+1)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	type user struct {
		subject string
		groups  []string
	}
	nobody := user{}
	tests := []struct {
		name   string
		set    func(*Settings)
		claims claims
		want   user
	}{
		{"without groups", nil, nil, user{subject: "corp:alice"}},
		{"groups, sorted, each once", nil, claims{"groups": []string{"b", "a", "b"}}, user{"corp:alice", []string{"corp:a", "corp:b"}}},
		{"one group", nil, claims{"groups": "a"}, user{"corp:alice", []string{"corp:a"}}},
		{"a group that nothing can be bound to", nil, claims{"groups": []string{"a\nb", "", "c"}}, user{"corp:alice", []string{"corp:c"}}},
		{"groups that are no text", nil, claims{"groups": []any{"a", 1}}, nobody},
		{"groups that are no list", nil, claims{"groups": 7}, nobody},
		{"too many groups", nil, claims{"groups": many}, nobody},
		{"no groups wanted", func(s *Settings) { s.GroupsClaim = "" }, claims{"groups": 7}, user{subject: "corp:alice"}},
		{"nested groups", func(s *Settings) { s.GroupsClaim = "realm_access.roles" }, claims{"realm_access": claims{"roles": []string{"a"}}}, user{"corp:alice", []string{"corp:a"}}},
		{"a claim with dots in its name", func(s *Settings) { s.GroupsClaim = "https://x.example/groups" }, claims{"https://x.example/groups": "a"}, user{"corp:alice", []string{"corp:a"}}},
		{"a path through what is no object", func(s *Settings) { s.GroupsClaim = "sub.roles" }, nil, user{subject: "corp:alice"}},
		{"missing subject", nil, claims{"sub": nil}, nobody},
		{"empty subject", nil, claims{"sub": ""}, nobody},
		{"subject that is no text", nil, claims{"sub": 7}, nobody},
		{"subject with a control character", nil, claims{"sub": "alice\n"}, nobody},
		{"subject that is far too long", nil, claims{"sub": strings.Repeat("a", 300)}, nobody},
		{"subject that has another provider's form", nil, claims{"sub": "k8s:admin"}, user{subject: "corp:k8s:admin"}},
		{"another claim", func(s *Settings) { s.SubjectClaim = "email" }, claims{"email": "a@b.example"}, user{subject: "corp:a@b.example"}},
		{"a verified address", func(s *Settings) { s.SubjectClaim = "email" }, claims{"email": "a@b.example", "email_verified": true}, user{subject: "corp:a@b.example"}},
		{"an address that is not verified", func(s *Settings) { s.SubjectClaim = "email" }, claims{"email": "a@b.example", "email_verified": false}, nobody},
		{"required claims", requireAcme, claims{"org": claims{"name": "acme"}, "beta": true}, user{subject: "corp:alice"}},
		{"required claims as lists", requireAcme, claims{"org": claims{"name": []string{"x", "acme"}}, "beta": true}, user{subject: "corp:alice"}},
		{"a required claim is missing", requireAcme, claims{"beta": true}, nobody},
		{"a required claim is another", requireAcme, claims{"org": claims{"name": "acme2"}, "beta": true}, nobody},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := setUp(t, func(s *Settings) {
				if test.set != nil {
					test.set(s)
				}
			})
			text := f.signer.sign(t, f.claims(test.claims), nil)
			if test.want.subject == "" {
				f.wantRefused(t, text, config.Unauthenticated)
				return
			}
			want := auth.Identity{Subject: test.want.subject, Provider: "corp", Groups: test.want.groups, Method: Name}
			if diff := cmp.Diff(want, f.wantProved(t, text)); diff != "" {
				t.Errorf("identity (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(want, f.wantProved(t, text)); diff != "" {
				t.Errorf("remembered identity (-want +got):\n%s", diff)
			}
		})
	}
}

func requireAcme(s *Settings) {
	s.RequiredClaims = map[string]string{"org.name": "acme", "beta": "true"}
}

func TestTimesOfAToken(t *testing.T) {
	at := func(d time.Duration) float64 {
		return float64(time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC).Add(d).Unix())
	}
	aged := func(s *Settings) { s.MaxAge = time.Hour }
	tests := []struct {
		name   string
		set    func(*Settings)
		claims claims
		want   bool
	}{
		{"good", nil, nil, true},
		{"expired within the skew", nil, claims{"exp": at(-59 * time.Second)}, true},
		{"expired", nil, claims{"exp": at(-time.Minute)}, false},
		{"missing exp", nil, claims{"exp": nil}, false},
		{"exp as text", nil, claims{"exp": "1800000000"}, false},
		{"exp beyond all times", nil, claims{"exp": 1e300}, false},
		{"a negative exp", nil, claims{"exp": -1}, false},
		{"a fraction of a second", nil, claims{"exp": at(time.Minute) + 0.5}, true},
		{"not yet valid within the skew", nil, claims{"nbf": at(time.Minute)}, true},
		{"not yet valid", nil, claims{"nbf": at(61 * time.Second)}, false},
		{"nbf as text", nil, claims{"nbf": "now"}, false},
		{"without nbf and iat", nil, claims{"nbf": nil, "iat": nil}, true},
		{"issued in the future", nil, claims{"iat": at(61 * time.Second)}, false},
		{"good for too long", nil, claims{"exp": at(25 * time.Hour)}, false},
		{"good for long, and no bound", func(s *Settings) { s.MaxLifetime = 0 }, claims{"exp": at(25 * 365 * 24 * time.Hour)}, true},
		{"young enough", aged, claims{"iat": at(-time.Hour)}, true},
		{"too old", aged, claims{"iat": at(-61 * time.Minute)}, false},
		{"of no age", aged, claims{"iat": nil}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := setUp(t, func(s *Settings) {
				if test.set != nil {
					test.set(s)
				}
			})
			text := f.signer.sign(t, f.claims(test.claims), nil)
			if !test.want {
				f.wantRefused(t, text, config.Unauthenticated)
				f.wantFetches(t, 0)
				return
			}
			f.wantProved(t, text)
		})
	}
}

func TestARememberedTokenEndsAtItsTime(t *testing.T) {
	f := setUp(t)
	text := f.signer.sign(t, f.claims(claims{"exp": f.clock.Now().Add(time.Minute).Unix()}), nil)
	f.wantProved(t, text)
	f.clock.pass(2*time.Minute - time.Second)
	f.wantProved(t, text) // within the skew
	f.clock.pass(time.Second)
	f.wantRefused(t, text, config.Unauthenticated)
}

func TestAnAudienceOfSeveral(t *testing.T) {
	f := setUp(t, func(s *Settings) { s.Audiences = []string{"a", "b"} })
	for want, audiences := range map[bool][]any{
		true:  {"a", "b", []string{"x", "b"}},
		false: {nil, "", "x", []string{}, []string{"x"}, []any{1}, 7, "a b", claims{"a": "a"}},
	} {
		for _, aud := range audiences {
			_, _, err := f.ask(t.Context(), f.signer.sign(t, f.claims(claims{"aud": aud}), nil))
			if got := err == nil; got != want {
				t.Errorf("%v: want proved %v, got %v", aud, want, err)
			}
			f.clock.pass(time.Minute) // so that nobody has to wait
		}
	}
}

func TestEveryAlgorithm(t *testing.T) {
	curve := func(c elliptic.Curve) crypto.Signer {
		key, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	keys := map[string]crypto.Signer{
		"ES256": curve(elliptic.P256()), "ES384": curve(elliptic.P384()), "ES512": curve(elliptic.P521()), "EdDSA": newEd25519("").key,
	}
	for _, name := range algorithmNames {
		key := keys[name]
		if key == nil {
			key = rsaKey()
		}
		s := signer{"k", jose.SignatureAlgorithm(name), key}
		t.Run(name, func(t *testing.T) {
			f := setUp(t)
			f.serve(s)
			f.wantProved(t, s.sign(t, f.claims(nil), nil))
		})
		t.Run(name+" where it is not allowed", func(t *testing.T) {
			other := "ES256"
			if name == other {
				other = "RS256"
			}
			f := setUp(t, func(set *Settings) { set.Algorithms = []string{other} })
			f.serve(s)
			f.wantRefused(t, s.sign(t, f.claims(nil), nil), config.Unauthenticated)
		})
	}
}

// What follows are attacks. Each token would be good but for the one thing.
func TestAttacks(t *testing.T) {
	f := setUp(t)
	public := signer{"rsa", jose.RS256, rsaKey()}
	f.serve(f.signer, public)
	mallory := newSigner("one")
	var lured int
	lure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		lured++
		w.Write(keySetOf(mallory))
	}))
	defer lure.Close()

	der, err := x509.MarshalPKIXPublicKey(public.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	asPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	asJWK, err := json.Marshal(public.public())
	if err != nil {
		t.Fatal(err)
	}
	mac := func(alg, kid string, secret []byte) string {
		signed := encode([]byte(`{"alg":"`+alg+`","kid":"`+kid+`"}`)) + "." + encode(f.claims(nil))
		h := hmac.New(sha256.New, secret)
		h.Write([]byte(signed))
		return signed + "." + encode(h.Sum(nil))
	}
	evil := func(headers map[jose.HeaderKey]any) string { return mallory.sign(t, f.claims(nil), headers) }
	kid := func(id string) string { return signer{id, jose.ES256, mallory.key}.sign(t, f.claims(nil), nil) }
	good := f.good(t)
	parts := strings.Split(good, ".")
	twice := func(first, second string) string {
		text := strings.TrimSuffix(string(f.claims(nil)), "}")
		return f.signer.sign(t, []byte(`{"`+first+`,"`+strings.TrimPrefix(text, `{"`)+`,"`+second+`}`), nil)
	}
	attacks := map[string]string{
		"alg none":                            forged(`{"alg":"none","kid":"one"}`, f.claims(nil), nil),
		"alg None":                            forged(`{"alg":"None"}`, f.claims(nil), nil),
		"alg none with a signature":           forged(`{"alg":"none"}`, f.claims(nil), []byte("x")),
		"no alg":                              forged(`{"kid":"one"}`, f.claims(nil), nil),
		"alg that is no text":                 forged(`{"alg":["ES256"]}`, f.claims(nil), nil),
		"alg twice":                           forged(`{"alg":"ES256","alg":"none"}`, f.claims(nil), nil),
		"the RSA key's PEM as a secret":       mac("HS256", "rsa", asPEM),
		"the RSA key's DER as a secret":       mac("HS256", "rsa", der),
		"the RSA key's JWK as a secret":       mac("HS256", "rsa", asJWK),
		"a secret that says RS256":            mac("RS256", "rsa", asPEM),
		"HS256 with an empty secret":          mac("HS256", "", nil),
		"RS256 with the kid of another sort":  signer{"one", jose.RS256, rsaKey()}.sign(t, f.claims(nil), nil),
		"PS256 with a key for RS256":          signer{"rsa", jose.PS256, rsaKey()}.sign(t, f.claims(nil), nil),
		"a key of its own, in jwk":            evil(map[jose.HeaderKey]any{"jwk": mallory.public()}),
		"a key of its own, in x5c":            forged(`{"alg":"ES256","kid":"one","x5c":["`+encode(der)+`"]}`, f.claims(nil), []byte("x")),
		"keys of its own, at jku":             evil(map[jose.HeaderKey]any{"jku": lure.URL}),
		"keys of its own, at x5u":             evil(map[jose.HeaderKey]any{"x5u": lure.URL}),
		"another's key":                       evil(nil),
		"missing kid, another's key":          kid(""),
		"unknown kid":                         kid("two"),
		"kid as a URL":                        kid(lure.URL),
		"kid as a path":                       kid("../../../../dev/null"),
		"kid as SQL":                          kid("' UNION SELECT 'one"),
		"a critical header":                   f.signer.sign(t, f.claims(nil), map[jose.HeaderKey]any{"crit": []string{"exp"}, "exp": 1}),
		"another type":                        f.signer.sign(t, f.claims(nil), map[jose.HeaderKey]any{"typ": "logout+jwt"}),
		"other claims under a good signature": parts[0] + "." + encode(f.claims(claims{"sub": "root"})) + "." + parts[2],
		"other header under a good signature": encode([]byte(`{"alg":"ES256","kid":"one","x":1}`)) + "." + parts[1] + "." + parts[2],
		"no signature":                        parts[0] + "." + parts[1] + ".",
		"half a signature":                    good[:len(good)-43],
		"a signature of zeros":                parts[0] + "." + parts[1] + "." + encode(make([]byte, 64)),
		"the subject twice":                   twice(`sub":"root"`, `x":1`),
		"the end twice":                       twice(`exp":1`, `x":1`),
		"the issuer twice":                    twice(`x":1`, `iss":"`+issuerName+`"`),
		"a nested claim twice":                twice(`x":{"a":1,"a":2}`, `y":1`),
		"names in other case":                 f.signer.sign(t, f.claims(claims{"exp": nil, "EXP": 1e10}), nil),
		"a line break in the signature":       good[:len(good)-9] + "\n" + good[len(good)-9:],
		"a line break in the header":          parts[0][:8] + "\n" + parts[0][8:] + "." + parts[1] + "." + parts[2],
		"padding":                             good + "==",
		"trailing white space":                good + " ",
		"far too long":                        f.signer.sign(t, f.claims(claims{"x": strings.Repeat("x", maxToken)}), nil),
		"the audience's prefix":               f.signer.sign(t, f.claims(claims{"aud": audience[:4]}), nil),
	}
	for name, text := range attacks {
		t.Run(name, func(t *testing.T) {
			c := credentials(text)
			c.Address = name // so that none has to wait
			id, ok, err := f.Authenticate(t.Context(), c)
			if !ok || config.KindOf(err) != config.Unauthenticated || !id.Anonymous() {
				t.Errorf("want nobody, taken, unauthenticated; got %+v, taken %v, %v", id, ok, err)
			}
			if signature := text[strings.LastIndexByte(text, '.')+1:]; len(signature) > 20 && strings.Contains(f.log.String(), signature) {
				t.Error("want no signature in the log")
			}
		})
	}
	f.wantFetches(t, 1) // it is too soon for a second, whatever the kids
	if lured > 0 {
		t.Errorf("want no token to lead anywhere, got %d visits", lured)
	}
	f.wantProved(t, good)
}

func TestTwoIssuersSideBySide(t *testing.T) {
	f, other := setUp(t), setUp(t, func(s *Settings) { s.Name, s.Issuer = "other", "https://other.example" })
	chain := auth.Chain{f, other}
	for want, text := range map[string]string{
		"corp:alice":  f.good(t),
		"other:alice": other.signer.sign(t, other.claims(claims{"iss": "https://other.example"}), nil),
	} {
		if id, err := chain.Authenticate(t.Context(), credentials(text)); id.Subject != want || err != nil {
			t.Errorf("want %s, got %+v, %v", want, id, err)
		}
	}
	crossed := other.signer.sign(t, f.claims(nil), nil)
	if id, err := chain.Authenticate(t.Context(), credentials(crossed)); config.KindOf(err) != config.Unauthenticated {
		t.Errorf("want a token of one issuer by another's key refused, got %+v, %v", id, err)
	}
}

func TestMissingKid(t *testing.T) {
	f := setUp(t)
	bare := signer{"", f.signer.algorithm, f.signer.key}
	text := bare.sign(t, f.claims(nil), nil)
	f.wantProved(t, text)

	f = setUp(t)
	f.serve(bare, newEd25519("other"))
	f.wantProved(t, bare.sign(t, f.claims(nil), nil)) // one key only is of the sort

	f = setUp(t)
	f.serve(bare, newSigner("other"))
	f.wantRefused(t, bare.sign(t, f.claims(nil), nil), config.Unauthenticated)
}
