// Package mtls proves identities by the certificates that clients show in the TLS
// handshake. It verifies them itself, against authorities of its own, whatever the
// handshake made of them, and whenever it is asked: a connection may outlive its
// certificate.
//
// A certificate speaks for a connection. Where a request says who is calling, by a
// password or a token, that counts and the certificate does not: nobody is somebody
// else than they say. What headers say of a certificate is never believed.
package mtls

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/throttle"
	"github.com/setpointhq/setpoint/config"
)

// Authenticator proves certificates. It starts no goroutine and needs no closing:
// the files are looked at by whoever asks.
type Authenticator struct {
	settings   Settings
	log        *slog.Logger
	now        func() time.Time
	perAddress *throttle.Limiter
	current    atomic.Pointer[trust]

	looking sync.Mutex // of what follows; nobody waits for it
	looked  time.Time
	seen    [2]os.FileInfo // of the files that were read last
}

// lookEvery is how often the files are looked at.
const lookEvery = 2 * time.Second

// Authenticate proves a certificate. It reads files where they have changed, and
// else nothing but memory.
func (a *Authenticator) Authenticate(ctx context.Context, c auth.Credentials) (auth.Identity, bool, error) {
	if c.Said() || len(c.Certificates) == 0 {
		return auth.Identity{}, false, nil
	}
	t, now := a.trusted(), a.now()
	leaf := c.Certificates[0]
	key := sha256.Sum256(leaf.Raw)
	if p, known := t.proved.Get(key); known && now.Before(p.until) {
		return p.identity, true, nil
	}
	p, err := a.prove(t, c.Certificates, now)
	if err != nil {
		return auth.Identity{}, true, a.refuse(ctx, c, err)
	}
	t.proved.Put(key, p)
	return p.identity, true, nil
}

// prove verifies what a client shows. The error says what is wrong, for the log.
func (a *Authenticator) prove(t *trust, chain []*x509.Certificate, now time.Time) (proof, error) {
	leaf := chain[0]
	most := a.settings.MaxValidity
	switch {
	case leaf.IsCA || leaf.KeyUsage&x509.KeyUsageCertSign != 0:
		return proof{}, errors.New("it is an authority's")
	case !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth):
		return proof{}, errors.New("it is not for clients: its extended key usage does not name client authentication")
	case isOfNode(leaf):
		return proof{}, errors.New("it is one by which nodes of a cluster know each other")
	case most > 0 && leaf.NotAfter.Sub(leaf.NotBefore) > most:
		return proof{}, fmt.Errorf("it was issued for more than %s (max_validity)", most)
	}
	until, err := t.verify(chain, now)
	if err != nil {
		return proof{}, err
	}
	id, err := a.settings.identify(leaf)
	return proof{identity: id, until: until}, err
}

// refuse tells the log what was wrong, and the caller the same whatever it was. That
// nobody knows what was revoked is no fault of the caller's, who may come back.
func (a *Authenticator) refuse(ctx context.Context, c auth.Credentials, why error) error {
	network := throttle.Network(c.Address)
	if err := throttle.Check(a.perAddress.Wait(network)); err != nil {
		return err
	}
	leaf := c.Certificates[0]
	about := []any{"provider", a.settings.Name, "address", c.Address, "subject", clip(leaf.Subject.String()), "issuer", clip(leaf.Issuer.String()), "reason", clip(why.Error())}
	if errors.Is(why, errOutdated) {
		a.log.WarnContext(ctx, "client certificate cannot be checked", about...)
		return config.Errorf(config.Unavailable, "authenticate", "", "client certificates cannot be checked now: the node has no current list of those that were revoked")
	}
	a.perAddress.Fail(network)
	a.log.InfoContext(ctx, "client certificate refused", about...)
	return config.Errorf(config.Unauthenticated, "authenticate", "", "the client certificate proves nobody here; it may have ended, been revoked, or be another authority's")
}

// clip keeps a stranger's text short.
func clip(text string) string {
	const most = 300
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// ClientCAs implements auth.Certified.
func (a *Authenticator) ClientCAs() *x509.CertPool { return a.trusted().roots }

// trusted returns what the files say, and reads them again, now and then, if they
// have changed. What cannot be used leaves in force what was.
func (a *Authenticator) trusted() *trust {
	if !a.looking.TryLock() {
		return a.current.Load() // somebody is looking
	}
	defer a.looking.Unlock()
	now := a.now()
	if now.Sub(a.looked) < lookEvery {
		return a.current.Load()
	}
	a.looked = now
	seen := a.look()
	if same(a.seen, seen) {
		return a.current.Load()
	}
	read, err := a.read()
	if err != nil {
		a.seen = seen // it is told once
		a.log.Error("the files of client certificates changed and cannot be used; the old ones stay", "provider", a.settings.Name, "error", err)
		return a.current.Load()
	}
	a.log.Info("the files of client certificates were read again", "provider", a.settings.Name)
	a.current.Store(read)
	return read
}

// look returns what the system says of the files; nil of one that is not there.
func (a *Authenticator) look() (seen [2]os.FileInfo) {
	for i, name := range []string{a.settings.CAFile, a.settings.CRLFile} {
		if info, err := os.Stat(name); err == nil {
			seen[i] = info
		}
	}
	return seen
}

// same reports whether the files are what they were.
func same(was, is [2]os.FileInfo) bool {
	for i := range was {
		a, b := was[i], is[i]
		if (a == nil) != (b == nil) {
			return false
		}
		if a != nil && (!os.SameFile(a, b) || a.Size() != b.Size() || !a.ModTime().Equal(b.ModTime())) {
			return false
		}
	}
	return true
}

var (
	_ auth.Authenticator = (*Authenticator)(nil)
	_ auth.Certified     = (*Authenticator)(nil)
)
