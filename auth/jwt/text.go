package jwt

import (
	"encoding/base64"
	stdjson "encoding/json"
	"errors"
	"strings"

	"github.com/go-jose/go-jose/v4/json"
)

// maxToken is the longest token that is read, in bytes. Tokens travel in a
// header, of which servers take about as much.
const maxToken = 16 << 10

// claims is what a token says.
type claims map[string]any

// token is a JWT that nobody has verified yet.
type token struct {
	text      string
	issuer    string // as the token claims; empty if that cannot be read
	algorithm string
	keyID     string
	claims    claims
}

// looksLikeOne reports whether the text can be a JWT at all: three parts, of
// which the first begins as a JSON object does in base64.
func looksLikeOne(text string) bool {
	return strings.HasPrefix(text, "ey") && strings.Count(text, ".") == 2
}

var (
	errEncoding = errors.New("a part is not base64url, without padding or line breaks")
	errHeader   = errors.New("the header is not a JSON object of strings, or says something twice")
	errCritical = errors.New("the header has a crit parameter, none of which is known here")
	errType     = errors.New("the token is of another type, as its typ header says")
	errClaims   = errors.New("the claims are not a JSON object, or there is one twice")
)

// parse takes a token apart. With an error, the issuer is set if it can be told,
// and nothing else of use. Of the header only what is needed is read: where the
// token says its keys are (jku, x5u, jwk, x5c) has no meaning here.
func parse(text string) (token, error) {
	first, rest, _ := strings.Cut(text, ".")
	second, third, _ := strings.Cut(rest, ".")
	payload, err := decode(second)
	if err != nil {
		return token{}, err
	}
	t := token{text: text}
	// The JSON of the library refuses names that come twice, and takes them as they
	// are written; the standard library's can still tell whose such a token is.
	if err := json.Unmarshal(payload, &t.claims); err != nil || t.claims == nil {
		var whose struct {
			Issuer string `json:"iss"`
		}
		_ = stdjson.Unmarshal(payload, &whose)
		return token{issuer: whose.Issuer}, errClaims
	}
	t.issuer, _ = t.claims["iss"].(string)

	if _, err := decode(third); err != nil {
		return t, err
	}
	raw, err := decode(first)
	if err != nil {
		return t, err
	}
	var header struct {
		Algorithm string `json:"alg"`
		KeyID     string `json:"kid"`
		Type      string `json:"typ"`
		Critical  any    `json:"crit"`
	}
	if err := json.Unmarshal(raw, &header); err != nil {
		return t, errHeader
	}
	if header.Critical != nil {
		return t, errCritical
	}
	// A logout token, a proof of possession and their like are signed by the same
	// keys, and prove nobody.
	switch strings.TrimPrefix(strings.ToLower(header.Type), "application/") {
	case "", "jwt", "at+jwt":
	default:
		return t, errType
	}
	t.algorithm, t.keyID = header.Algorithm, header.KeyID
	return t, nil
}

// decode is strict: one text for one meaning. The decoder alone would pass over
// line breaks.
func decode(part string) ([]byte, error) {
	if strings.ContainsAny(part, "\r\n") {
		return nil, errEncoding
	}
	out, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return nil, errEncoding
	}
	return out, nil
}
