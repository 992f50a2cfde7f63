package jwt

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/internal/digest"
	"github.com/setpointhq/setpoint/auth/internal/recent"
	"github.com/setpointhq/setpoint/auth/throttle"
	"github.com/setpointhq/setpoint/config"
)

// Authenticator proves JWTs of one issuer. It needs no closing.
type Authenticator struct {
	name       string
	rules      rules
	algorithms []jose.SignatureAlgorithm
	keys       *keys
	digests    *digest.Maker
	remembered *recent.Map[digest.Digest, proof]
	perAddress *throttle.Limiter
	log        *slog.Logger
	now        func() time.Time
}

// proof is whom a token proved, until when, and by which state of the keys.
type proof struct {
	identity   auth.Identity
	until      time.Time
	generation uint64
}

func open(ctx context.Context, s Settings, env auth.Env) (*Authenticator, error) {
	log := env.Log.With("provider", s.Name)
	k, err := openKeys(ctx, s, log, env.Now)
	if err != nil {
		return nil, err
	}
	return &Authenticator{
		name:       s.Name,
		rules:      rulesOf(s),
		algorithms: s.algorithms(),
		keys:       k,
		digests:    digest.New(),
		remembered: recent.New[digest.Digest, proof](s.RememberMost, s.Remember, env.Now),
		perAddress: throttle.New(s.PerAddress, env.Now),
		log:        log,
		now:        env.Now,
	}, nil
}

// Authenticate proves a token. One that was proved a short time ago costs a look
// into memory; a new one a verification, and a fetch if its key is not known.
func (a *Authenticator) Authenticate(ctx context.Context, c auth.Credentials) (auth.Identity, bool, error) {
	text := c.Token.Reveal()
	if !looksLikeOne(text) {
		return auth.Identity{}, false, nil
	}
	if len(text) > maxToken {
		return auth.Identity{}, true, a.refuse(c.Address, errTooLong)
	}
	d := a.digests.Of(text)
	if id, ok := a.recall(ctx, d); ok {
		return id, true, nil
	}
	t, err := parse(text)
	if t.issuer != a.rules.issuer {
		return auth.Identity{}, false, nil
	}
	if err == nil {
		var p proof
		if p, err = a.prove(ctx, t); err == nil {
			a.remembered.Put(d, p)
			return p.identity, true, nil
		}
	}
	if kind := config.KindOf(err); kind == config.Unavailable || kind == config.Timeout || kind == config.Canceled {
		return auth.Identity{}, true, err
	}
	return auth.Identity{}, true, a.refuse(c.Address, err)
}

// recall returns whom the token proved a short time ago, if its keys have stayed
// as they were.
func (a *Authenticator) recall(ctx context.Context, d digest.Digest) (auth.Identity, bool) {
	p, ok := a.remembered.Get(d)
	if !ok || !a.now().Before(p.until) || a.keys.generation(ctx) != p.generation {
		return auth.Identity{}, false
	}
	return p.identity, true
}

// prove checks what the token says before its signature, so that what is of no
// use whoever signed it causes no fetch of keys.
func (a *Authenticator) prove(ctx context.Context, t token) (proof, error) {
	id, until, err := a.rules.check(t.claims, a.now())
	if err != nil {
		return proof{}, err
	}
	// The library reads the algorithm itself, and holds it to the list; so no
	// other reading of the header than the one that is verified counts.
	signed, err := jose.ParseSignedCompact(t.text, a.algorithms)
	if err != nil {
		return proof{}, err
	}
	found, generation, err := a.keys.find(ctx, t.keyID, t.algorithm)
	if err != nil {
		return proof{}, err
	}
	for _, key := range found {
		if _, err = signed.Verify(key); err == nil {
			return proof{identity: id, until: until, generation: generation}, nil
		}
	}
	return proof{}, errSignature
}

var (
	errTooLong   = errors.New("the token is too long")
	errSignature = errors.New("the signature is wrong")
)

// refuse counts the failure and says the same whatever was wrong; the log has
// the reason. A right token passes however many wrong ones come from its address,
// as nobody can guess one.
func (a *Authenticator) refuse(address string, reason error) error {
	network := throttle.Network(address)
	if err := throttle.Check(a.perAddress.Wait(network)); err != nil {
		return err
	}
	a.perAddress.Fail(network)
	a.log.Info("a JWT was refused", "reason", short(reason), "address", address)
	return config.Errorf(config.Unauthenticated, "authenticate", "", "the token is not valid; it may have expired, or be meant for another service")
}

// short is the text of a reason, of which a stranger may have written some.
func short(reason error) string {
	const most = 300
	text := reason.Error()
	return text[:min(len(text), most)]
}

// Provider is the issuer's name here.
func (a *Authenticator) Provider() string { return a.name }

// Providers returns the one that there is.
func (a *Authenticator) Providers() []auth.Provider { return []auth.Provider{a} }

var (
	_ auth.Authenticator = (*Authenticator)(nil)
	_ auth.Federation    = (*Authenticator)(nil)
)
