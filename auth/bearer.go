package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strings"

	"github.com/setpointhq/setpoint/config"
)

// A bearer token is "sp_<id>_<secret>": a prefix that secret scanners and
// people recognise, 12 characters of lower-case base32 that name it, and 256
// random bits in base64url without padding.
const (
	bearerPrefix     = "sp_"
	bearerIDLength   = 12
	bearerSecretSize = 32 // bytes
	bearerAlphabet   = "abcdefghijklmnopqrstuvwxyz234567"
	bearerIDEnd      = len(bearerPrefix) + bearerIDLength
	bearerLength     = bearerIDEnd + 1 + (bearerSecretSize*8+5)/6
)

// NewBearer makes a bearer token: its id, the full text to show once, and the
// hash to store as Token.SecretHash.
func NewBearer() (id string, full config.Secret, hash []byte) {
	var random [bearerIDLength + bearerSecretSize]byte
	_, _ = rand.Read(random[:]) // never fails: it would end the program
	name, secret := random[:bearerIDLength], random[bearerIDLength:]
	for i, b := range name {
		name[i] = bearerAlphabet[b%32]
	}
	sum := sha256.Sum256(secret)
	id = string(name)
	return id, config.NewSecret(bearerPrefix + id + "_" + base64.RawURLEncoding.EncodeToString(secret)), sum[:]
}

// BearerHash is the SHA-256 of a bearer token's 32 secret bytes. One round is
// enough, since nobody can guess 256 random bits.
type BearerHash [sha256.Size]byte

// Matches compares with a stored Token.SecretHash in constant time.
func (h *BearerHash) Matches(stored []byte) bool {
	return subtle.ConstantTimeCompare(h[:], stored) == 1
}

// IsBearer reports whether the text claims to be a token of this sort, well
// formed or not; others may be some other driver's.
func IsBearer(full config.Secret) bool {
	return strings.HasPrefix(full.Reveal(), bearerPrefix)
}

// ParseBearer splits a bearer token into its id and the hash of its secret. ok
// is false unless it is exactly what NewBearer could have made.
func ParseBearer(full config.Secret) (id string, hash BearerHash, ok bool) {
	id, secret, ok := splitBearer(full)
	if !ok {
		return "", BearerHash{}, false
	}
	return id, sha256.Sum256(secret[:]), true
}

func splitBearer(full config.Secret) (id string, secret [bearerSecretSize]byte, ok bool) {
	text := full.Reveal()
	if len(text) != bearerLength || !IsBearer(full) || text[bearerIDEnd] != '_' {
		return "", secret, false
	}
	id = text[len(bearerPrefix):bearerIDEnd]
	for i := range len(id) {
		if strings.IndexByte(bearerAlphabet, id[i]) < 0 {
			return "", secret, false
		}
	}
	var encoded [bearerLength - bearerIDEnd - 1]byte
	copy(encoded[:], text[bearerIDEnd+1:])
	// The decoder passes over line breaks, so the count is checked as well.
	n, err := base64.RawURLEncoding.Strict().Decode(secret[:], encoded[:])
	if err != nil || n != bearerSecretSize {
		return "", secret, false
	}
	return id, secret, true
}
