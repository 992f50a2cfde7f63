package jwt

import (
	"testing"

	"github.com/go-jose/go-jose/v4"
)

func BenchmarkRemembered(b *testing.B) {
	f := setUp(b)
	c := credentials(f.signer.sign(b, f.claims(claims{"groups": []string{"platform", "payments"}}), nil))
	f.wantProved(b, c.Token.Reveal())
	b.ReportAllocs()
	for b.Loop() {
		if _, ok, err := f.Authenticate(b.Context(), c); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

func BenchmarkFirstProof(b *testing.B) {
	for name, s := range map[string]signer{"ES256": newSigner("one"), "RS256": {"one", jose.RS256, rsaKey()}, "EdDSA": newEd25519("one")} {
		b.Run(name, func(b *testing.B) {
			f := setUp(b, func(s *Settings) { s.Remember = 0 })
			f.serve(s)
			c := credentials(s.sign(b, f.claims(nil), nil))
			b.ReportAllocs()
			for b.Loop() {
				if _, ok, err := f.Authenticate(b.Context(), c); !ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
	}
}
