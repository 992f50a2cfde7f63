package config

import "strings"

// JoinTokenText is what the text of a join token says. It is written
//
//	spj_<id>_<secret>_<fingerprint>
//
// in letters that survive a terminal and select with one click.
type JoinTokenText struct {
	// ID names the token: 12 letters of lower-case base32.
	ID string
	// Secret proves it: 26 letters of lower-case base32, 130 random bits.
	Secret Secret
	// Fingerprint is the SHA-256 of the certificate of the authority that vouches
	// for the nodes: 64 lower-case hexadecimal digits. By it a new node knows that
	// it talks to the cluster that it was invited to.
	Fingerprint string
}

const (
	joinTokenPrefix    = "spj_"
	joinTokenID        = 12
	joinTokenSecret    = 26
	fingerprintDigits  = 64
	lowerBase32        = "abcdefghijklmnopqrstuvwxyz234567"
	lowerHexadecimal   = "0123456789abcdef"
	joinTokenLength    = len(joinTokenPrefix) + joinTokenID + 1 + joinTokenSecret + 1 + fingerprintDigits
	joinTokenSeparator = "_"
)

// Text renders the token whole.
func (t JoinTokenText) Text() Secret {
	return NewSecret(joinTokenPrefix + strings.Join([]string{t.ID, t.Secret.Reveal(), t.Fingerprint}, joinTokenSeparator))
}

// ParseJoinToken reads what Text renders and nothing else. The error, Invalid,
// repeats nothing of the text.
func ParseJoinToken(text Secret) (JoinTokenText, error) {
	rest, claims := strings.CutPrefix(strings.TrimSpace(text.Reveal()), joinTokenPrefix)
	parts := strings.Split(rest, joinTokenSeparator)
	if !claims || len(parts) != 3 || len(rest)+len(joinTokenPrefix) != joinTokenLength ||
		!spelt(parts[0], joinTokenID, lowerBase32) || !spelt(parts[1], joinTokenSecret, lowerBase32) ||
		!spelt(parts[2], fingerprintDigits, lowerHexadecimal) {
		return JoinTokenText{}, Errorf(Invalid, "", "", "this is no join token: it begins with %s and has %d characters; 'setpoint cluster add' makes one", joinTokenPrefix, joinTokenLength)
	}
	return JoinTokenText{ID: parts[0], Secret: NewSecret(parts[1]), Fingerprint: parts[2]}, nil
}

// spelt reports whether s has the length and only letters of the alphabet.
func spelt(s string, length int, alphabet string) bool {
	return len(s) == length && strings.Trim(s, alphabet) == ""
}
