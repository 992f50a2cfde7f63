package basic

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// params are what argon2id is computed with.
type params struct {
	memory  uint32 // KiB
	time    uint32 // passes
	threads uint8
}

// The most that a hash may ask for, in settings or as stored: a fifth of a
// second or so. Whoever gets to write a hash must not stop the node with it.
const (
	mostMemory  = 256 * 1024 // KiB
	mostTime    = 16
	mostThreads = 16
	mostWork    = 512 * 1024 // KiB times passes
)

func (p params) check() error {
	switch {
	case p.threads < 1 || p.threads > mostThreads:
		return fmt.Errorf("argon2id with %d threads: want 1 to %d", p.threads, mostThreads)
	case p.time < 1 || p.time > mostTime:
		return fmt.Errorf("argon2id with %d passes: want 1 to %d", p.time, mostTime)
	case p.memory < 8*uint32(p.threads) || p.memory > mostMemory:
		return fmt.Errorf("argon2id with %d KiB: want 8 a thread to %d", p.memory, mostMemory)
	case uint64(p.memory)*uint64(p.time) > mostWork:
		return fmt.Errorf("argon2id with %d KiB and %d passes: want at most %d when multiplied", p.memory, p.time, mostWork)
	}
	return nil
}

// passwordHash is a password hash, as the PHC string format writes it:
// $argon2id$v=19$m=19456,t=2,p=1$<salt>$<key>, both in base64 without padding.
type passwordHash struct {
	params
	salt, key []byte
}

// Sizes in bytes: what new hashes have, and what is accepted.
const (
	saltSize, leastSalt, mostSalt = 16, 8, 64
	keySize, leastKey, mostKey    = 32, 16, 64
	mostPHC                       = 256
)

// newHash hashes a password with a fresh salt.
func newHash(p params, password []byte) passwordHash {
	h := passwordHash{params: p, salt: make([]byte, saltSize)}
	_, _ = rand.Read(h.salt) // never fails: it would end the program
	h.key = h.compute(password, keySize)
	return h
}

// dummyHash costs as much to check as a real one and matches no password.
func dummyHash(p params) passwordHash {
	h := passwordHash{params: p, salt: make([]byte, saltSize), key: make([]byte, keySize)}
	_, _ = rand.Read(h.salt)
	_, _ = rand.Read(h.key)
	return h
}

func (h passwordHash) compute(password []byte, size int) []byte {
	return argon2.IDKey(password, h.salt, h.time, h.memory, h.threads, uint32(size))
}

// matches hashes the password with this hash's own parameters and compares in
// constant time.
func (h passwordHash) matches(password []byte) bool {
	return subtle.ConstantTimeCompare(h.key, h.compute(password, len(h.key))) == 1
}

// String writes the hash in PHC string form.
func (h passwordHash) String() string {
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		h.memory, h.time, h.threads, enc.EncodeToString(h.salt), enc.EncodeToString(h.key))
}

// parsePHC reads what String writes, and nothing else. Its errors never quote
// the text, which is as good as a secret.
func parsePHC(text string) (passwordHash, error) {
	if len(text) > mostPHC {
		return passwordHash{}, fmt.Errorf("password hash: %d bytes are too long, want at most %d", len(text), mostPHC)
	}
	fields, err := splitPHC(text)
	if err != nil {
		return passwordHash{}, err
	}
	var h passwordHash
	if _, err := fmt.Sscanf(fields[0], "m=%d,t=%d,p=%d", &h.memory, &h.time, &h.threads); err != nil {
		return passwordHash{}, fmt.Errorf("password hash: want parameters m=…,t=…,p=…: %w", err)
	}
	if err := h.check(); err != nil {
		return passwordHash{}, fmt.Errorf("password hash: %w", err)
	}
	if h.salt, err = decodePart("salt", fields[1], leastSalt, mostSalt); err != nil {
		return passwordHash{}, err
	}
	if h.key, err = decodePart("key", fields[2], leastKey, mostKey); err != nil {
		return passwordHash{}, err
	}
	// Sscanf forgives spaces, signs and leading zeros, and the decoder line
	// breaks; a form that is not ours to the letter was tampered with.
	if h.String() != text {
		return passwordHash{}, errors.New("password hash: not in canonical form")
	}
	return h, nil
}

// splitPHC returns the parameters, the salt and the key, still encoded.
func splitPHC(text string) (fields [3]string, err error) {
	rest, ok := strings.CutPrefix(text, fmt.Sprintf("$argon2id$v=%d$", argon2.Version))
	parts := strings.Split(rest, "$")
	if !ok || len(parts) != len(fields) {
		return fields, fmt.Errorf("password hash: want $argon2id$v=%d$<parameters>$<salt>$<key>", argon2.Version)
	}
	copy(fields[:], parts)
	return fields, nil
}

func decodePart(what, encoded string, least, most int) ([]byte, error) {
	part, err := base64.RawStdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return nil, fmt.Errorf("password hash: the %s is not base64 without padding", what)
	}
	if len(part) < least || len(part) > most {
		return nil, fmt.Errorf("password hash: a %s of %d bytes, want %d to %d", what, len(part), least, most)
	}
	return part, nil
}
