package protocol

import (
	"math/rand/v2"
	"net/http"
	"strconv"
)

// RequestID takes the client's request id, X-Request-Id, if it is fit to be
// logged and repeated, else makes one. It returns it as the values of a header,
// which every answer has.
func RequestID(r *http.Request) []string { return RequestIDFrom(r.Header["X-Request-Id"]) }

// RequestIDFrom is RequestID for protocols that carry the header as something
// else: given is what the client sent, nil for nothing.
func RequestIDFrom(given []string) []string {
	const longest = 128
	if len(given) == 1 && given[0] != "" && len(given[0]) <= longest {
		fit := true
		for i := range len(given[0]) {
			c := given[0][i]
			fit = fit && (c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '_' || c == '.')
		}
		if fit {
			return given
		}
	}
	// Ids tell requests apart; nothing rests on their being hard to guess.
	return []string{strconv.FormatUint(rand.Uint64(), 36)} //nolint:gosec // an id, no secret
}
