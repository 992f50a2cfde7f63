package oidc

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/setpointhq/setpoint/config"
)

// state is what the browser keeps during a login: what the provider must give
// back (state), what the ID token must hold (nonce), what proves that the code
// comes back to who asked for it (verifier), and which login it is (purpose).
// It is good as long as the provider's code is, which is used up by the first
// answer, and for its purpose only.
type state struct{ state, nonce, verifier, purpose [stateSize]byte }

const (
	stateSize   = 32
	statePrefix = "o1."
)

// newState makes the state of a login that comes back to callback.
func newState(purpose [stateSize]byte) state {
	s := state{purpose: purpose}
	for _, part := range []*[stateSize]byte{&s.state, &s.nonce, &s.verifier} {
		_, _ = rand.Read(part[:]) // never fails: it would end the program
	}
	return s
}

// purpose stands for a login with this provider that comes back to callback.
func (p *Provider) purpose(callback string) [stateSize]byte {
	b, _ := json.Marshal([]string{p.name, p.settings.Issuer, p.settings.ClientID, callback}) //nolint:errchkjson // strings always encode
	return sha256.Sum256(b)
}

// encode returns the text for the browser.
func (s *state) encode() config.Secret {
	var b []byte
	for _, part := range []*[stateSize]byte{&s.state, &s.nonce, &s.verifier, &s.purpose} {
		b = append(b, part[:]...)
	}
	return config.NewSecret(statePrefix + base64.RawURLEncoding.EncodeToString(b))
}

// decodeState takes what encode has made, and nothing else.
func decodeState(text config.Secret) (s state, ok bool) {
	rest, ok := strings.CutPrefix(text.Reveal(), statePrefix)
	if !ok || len(rest) != base64.RawURLEncoding.EncodedLen(4*stateSize) {
		return state{}, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(rest)
	if err != nil || len(b) != 4*stateSize { // line breaks are skipped by the decoder
		return state{}, false
	}
	for i, part := range []*[stateSize]byte{&s.state, &s.nonce, &s.verifier, &s.purpose} {
		copy(part[:], b[i*stateSize:])
	}
	return s, true
}

// text is a part as the provider gets it.
func text(part [stateSize]byte) string { return base64.RawURLEncoding.EncodeToString(part[:]) }

// same compares in constant time.
func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// renewal is what a session keeps to be renewed and to be left.
type renewal struct {
	Subject string `json:"sub"`
	Refresh string `json:"refresh"`
	IDToken string `json:"id,omitempty"` // the hint for the provider's logout page
}

// The longest tokens that are kept, in bytes. A longer ID token is left out,
// as the hint may be; it would not fit in an address either.
const (
	mostRefresh = 16 << 10
	mostHint    = 8 << 10
	mostRenewal = 32 << 10
)

// encode is empty if there is nothing to renew by.
func (r *renewal) encode() config.Secret {
	if r.Refresh == "" || len(r.Refresh) > mostRefresh {
		return config.Secret{}
	}
	kept := *r
	if len(kept.IDToken) > mostHint {
		kept.IDToken = ""
	}
	b, err := json.Marshal(kept)
	if err != nil {
		return config.Secret{}
	}
	return config.NewSecret(string(b))
}

func decodeRenewal(text config.Secret) (r renewal, ok bool) {
	if len(text.Reveal()) > mostRenewal || json.Unmarshal([]byte(text.Reveal()), &r) != nil {
		return renewal{}, false
	}
	return r, r.Subject != "" && r.Refresh != ""
}
