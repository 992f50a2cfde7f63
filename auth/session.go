package auth

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// UseNoter is implemented by a Directory that remembers when sessions are used,
// so that those that are not can be ended.
type UseNoter interface {
	// NoteUse says that the session is about to be used and reports whether it may
	// be: not, and nothing is noted, once it has been idle for IdleAfter. It is part
	// of every call with a session: it must be as cheap as a look-up, and write
	// nothing but memory. Other nodes learn of the use by and by, well before the
	// session would idle out.
	NoteUse(session *Token, now time.Time) bool
}

// IdleLimit is IdleAfter as a duration; 0 if the token never idles out.
func (t *Token) IdleLimit() time.Duration {
	return time.Duration(float64(t.IdleAfter) * float64(time.Second))
}

// LastUse is when the token was used last, as far as the store knows.
func (t *Token) LastUse() time.Time {
	if t.UsedAt.After(t.CreatedAt) {
		return t.UsedAt
	}
	return t.CreatedAt
}

// Idle reports whether the token has idled out, as far as the store knows. A
// last use that lies ahead, because a clock was set back, counts as just now.
func (t *Token) Idle(now time.Time) bool {
	limit := t.IdleLimit()
	return limit > 0 && now.Sub(t.LastUse()) >= limit
}

// SessionRenewer is implemented by a Directory that has providers vouch anew for
// sessions.
type SessionRenewer interface {
	// RenewSession is told of the use of a session that is due, with its secret. It
	// returns the session as it may be used now. While its grace lasts that is at
	// once, and the provider is asked meanwhile; after it, once the provider has
	// vouched, within a bounded time. The error is Unauthenticated if the provider
	// vouches no longer, Unavailable if it is not known.
	RenewSession(ctx context.Context, session *Token, secret config.Secret) (*Token, error)
}

// Renewers returns the providers of the chain that vouch anew for sessions.
func (c Chain) Renewers() []Renewer {
	var all []Renewer
	for _, p := range c.Providers() {
		if r, ok := p.(Renewer); ok {
			all = append(all, r)
		}
	}
	return all
}

// Due reports whether the session's provider is to vouch for it anew.
func (t *Token) Due(now time.Time) bool {
	return !t.RenewAt.IsZero() && (!now.Before(t.RenewAt) || t.Overdue(now))
}

// Overdue reports whether the provider must have vouched anew by now.
func (t *Token) Overdue(now time.Time) bool { return !t.RenewAt.IsZero() && !now.Before(t.RenewBy) }

// MaxRenewal is the largest text that a provider may have kept for a renewal.
const MaxRenewal = 16 << 10 // bytes

// SealRenewal encrypts what a provider needs to renew a session, so that only
// who has the session's secret can read it: AES-256-GCM under a key that HKDF
// (RFC 5869, with SHA-256) derives from the secret. The store has the hash of
// the secret alone, from which no key can be derived.
func SealRenewal(secret, renewal config.Secret) ([]byte, error) {
	aead, id, err := renewalCipher(secret)
	if err != nil {
		return nil, err
	}
	if len(renewal.Reveal()) > MaxRenewal {
		return nil, config.Errorf(config.TooLarge, "", "", "what renews the session has %d bytes; at most %d are kept", len(renewal.Reveal()), MaxRenewal)
	}
	return aead.Seal(nil, nil, []byte(renewal.Reveal()), id), nil //nolint:gosec // no nonce is given: each is random
}

// OpenRenewal reads what SealRenewal made for the same session.
func OpenRenewal(secret config.Secret, sealed []byte) (config.Secret, error) {
	aead, id, err := renewalCipher(secret)
	if err != nil {
		return config.Secret{}, err
	}
	plain, err := aead.Open(nil, nil, sealed, id)
	if err != nil {
		return config.Secret{}, config.Errorf(config.Internal, "", "", "what renews the session cannot be read with its secret")
	}
	return config.NewSecret(string(plain)), nil
}

// renewalCipher chooses a random nonce for each message and puts it in front.
func renewalCipher(secret config.Secret) (cipher.AEAD, []byte, error) {
	id, bytes, ok := splitBearer(secret)
	if !ok {
		return nil, nil, config.Errorf(config.Internal, "", "", "the session's secret is none")
	}
	key, err := hkdf.Key(sha256.New, bytes[:], nil, "setpoint session renewal", 32)
	if err != nil {
		return nil, nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return aead, []byte(id), err
}
