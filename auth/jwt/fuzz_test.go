package jwt

import (
	"strings"
	"testing"

	"github.com/setpointhq/setpoint/config"
)

// FuzzToken looks for a text that proves somebody and is not the one that was
// signed, or that is answered in a way of its own.
func FuzzToken(f *testing.F) {
	issuer := setUp(f)
	signed := issuer.good(f)
	parts := strings.Split(signed, ".")
	f.Add(signed)
	f.Add(signed + "\n")
	f.Add("..")
	f.Add("ey..")
	f.Add(parts[0] + "." + parts[1] + ".")
	f.Add(forged(`{"alg":"none"}`, issuer.claims(nil), nil))
	f.Add(forged(`{"alg":"HS256","kid":"one"}`, issuer.claims(nil), []byte("x")))
	f.Add(forged(`{"alg":"ES256","crit":["b64"],"b64":false}`, issuer.claims(nil), make([]byte, 64)))
	f.Add(forged(`{"alg":"ES256"}`, []byte(`{"iss":"`+issuerName+`","iss":"`+issuerName+`"}`), nil))
	f.Add(forged(`{"alg":"ES256"}`, []byte(strings.Repeat("[", 9000)), nil))
	f.Fuzz(func(t *testing.T, text string) {
		id, ok, err := issuer.ask(t.Context(), text)
		switch kind := config.KindOf(err); {
		case text == signed:
			if !ok || err != nil || id.Subject != "corp:alice" {
				t.Errorf("want alice, got %+v, taken %v, %v", id, ok, err)
			}
		case !id.Anonymous():
			t.Errorf("want nobody by %q, got %+v", text, id)
		case !ok && err != nil, ok && kind != config.Unauthenticated && kind != config.Throttled:
			t.Errorf("want it left alone or refused, got taken %v, %v", ok, err)
		}
	})
}

func FuzzKeySet(f *testing.F) {
	f.Add(keySetOf(newSigner("one"), newEd25519("two")))
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AA"},{"kty":"RSA","n":"AQ","e":"AQ"}]}`))
	f.Add([]byte(`{"keys":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := readKeys(text)
		if (err == nil) != (len(keys) > 0) || len(keys) > maxKeys {
			t.Errorf("want keys or an error, got %d and %v", len(keys), err)
		}
		for i := range keys {
			if fits(&keys[i], "HS256") || fits(&keys[i], "none") || fits(&keys[i], "") {
				t.Errorf("want no key for what is no signature, got %+v", keys[i])
			}
		}
	})
}
