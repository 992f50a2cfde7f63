package center

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/internal/view"
	"github.com/setpointhq/setpoint/store"
)

var _ auth.SessionRenewer = (*Directory)(nil)

const (
	renewalWorkers = 16   // how many sessions a node renews at once
	renewalsMost   = 1024 // how many it remembers to be renewed, or to have failed
	// renewalPatience bounds how long a provider is asked for one session, and
	// renewalClaim how long other nodes leave the session to the one that asks:
	// what renews it is often good for one time only.
	renewalPatience = 10 * time.Second
	renewalClaim    = 30 * time.Second
	// renewalWait is how long a call waits for the provider, once grace is over.
	renewalWait = 5 * time.Second
	// renewalPause is how long a session is let be after a failure.
	renewalPause = 5 * time.Second
	// renewalLeast is for how long a provider vouches at least, whatever it says.
	renewalLeast = time.Minute
)

// renewals are the sessions that this node is to have vouched for anew. Calls add
// to them, and workers of Center.Run take them.
type renewals struct {
	providers map[string]auth.Renewer
	queue     chan *renewal // has room for all that are remembered

	mu    sync.Mutex
	known map[string]*renewal // by the session's id
}

// renewal is one session's.
type renewal struct {
	session string
	secret  config.Secret
	tried   chan struct{} // closed once it was tried
	again   time.Time     // when it may be tried anew; zero while it is being
}

func newRenewals(providers []auth.Renewer) *renewals {
	r := &renewals{providers: map[string]auth.Renewer{}, queue: make(chan *renewal, renewalsMost), known: map[string]*renewal{}}
	for _, p := range providers {
		r.providers[p.Provider()] = p
	}
	return r
}

// ask has the session renewed, once however many ask; nil if too many wait.
func (r *renewals) ask(session string, secret config.Secret, now time.Time) *renewal {
	r.mu.Lock()
	defer r.mu.Unlock()
	if one, ok := r.known[session]; ok && (one.again.IsZero() || now.Before(one.again)) {
		return one
	}
	if len(r.known) >= renewalsMost {
		for id, one := range r.known {
			if !one.again.IsZero() && !now.Before(one.again) {
				delete(r.known, id)
			}
		}
	}
	one := &renewal{session: session, secret: secret, tried: make(chan struct{})}
	if len(r.known) >= renewalsMost {
		return nil
	}
	select {
	case r.queue <- one:
		r.known[session] = one
		return one
	default:
		return nil
	}
}

// done tells those who wait; a failure is remembered for a while.
func (r *renewals) done(one *renewal, again time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if one.again = again; again.IsZero() {
		delete(r.known, one.session)
	}
	close(one.tried)
}

// RenewSession implements auth.SessionRenewer.
func (d *Directory) RenewSession(ctx context.Context, t *auth.Token, secret config.Secret) (*auth.Token, error) {
	const op = "authenticate"
	ended := config.Errorf(config.Unauthenticated, op, "", "the session has ended, as %q vouches for it no longer; log in again", t.Provider)
	overdue := t.Overdue(d.now())
	if d.renew == nil || d.renew.providers[t.Provider] == nil {
		if overdue {
			return nil, ended
		}
		return t, nil
	}
	one := d.renew.ask(t.ID, secret, d.now())
	if !overdue {
		return t, nil
	}
	unknown := config.Errorf(config.Unavailable, op, "", "%q has to vouch for the session anew, and has not answered yet; try again in a moment", t.Provider)
	if one == nil {
		return nil, unknown
	}
	timer := time.NewTimer(renewalWait)
	defer timer.Stop()
	select {
	case <-one.tried:
	case <-timer.C:
	case <-ctx.Done():
	}
	renewed, ok := d.Token(t.ID)
	switch {
	case !ok:
		return nil, ended
	case renewed.Overdue(d.now()):
		return nil, unknown
	default:
		return renewed, nil
	}
}

// LoginVouched makes a session for somebody for whom a provider has just vouched.
// A TTL of 0 takes the limit session_ttl, which is also the most. When the time is
// over for which the provider vouches, it is asked anew; a session for which that
// cannot be ends then.
func (c *Center) LoginVouched(ctx context.Context, v auth.Vouched, ttl time.Duration) (auth.Token, config.Secret, error) {
	const op = "auth.login"
	id := v.Identity
	if id.Anonymous() || id.Provider == "" {
		return auth.Token{}, config.Secret{}, config.Errorf(config.Unauthenticated, op, "", "no provider has vouched for anybody")
	}
	t, err := c.session(op, id, ttl)
	if err != nil {
		return auth.Token{}, config.Secret{}, err
	}
	ctx = auth.WithIdentity(ctx, id)
	t, text := c.newToken(ctx, t)
	if err := c.vouched(&t, v, text); err != nil {
		return auth.Token{}, config.Secret{}, located(op, id.Subject, err)
	}
	if err := c.issue(ctx, op, t); err != nil {
		return auth.Token{}, config.Secret{}, err
	}
	return t, text, nil
}

// vouched puts into the session what its provider says now.
func (c *Center) vouched(t *auth.Token, v auth.Vouched, secret config.Secret) error {
	if err := checkVouched(v.Identity); err != nil {
		return err
	}
	if v.Identity.Subject != t.User || v.Identity.Provider != t.Provider {
		return config.Errorf(config.Internal, "", t.User, "provider %q vouches for another, %.300q", t.Provider, v.Identity.Subject)
	}
	t.Groups, t.Renewal, t.RenewAt, t.RenewBy = slices.Clone(v.Identity.Groups), nil, time.Time{}, time.Time{}
	now := c.now().UTC().Round(0)
	switch {
	case v.Until.IsZero():
		return nil
	case v.Renewal.Empty() || c.renewals.providers[t.Provider] == nil:
		if v.Until.Before(t.ExpiresAt) {
			t.ExpiresAt = v.Until.UTC().Round(0)
		}
		if t.Expired(now) {
			return config.Errorf(config.Unauthenticated, "", t.User, "provider %q vouches for a time that is over; compare the clocks", t.Provider)
		}
		return nil
	}
	sealed, err := auth.SealRenewal(secret, v.Renewal)
	if err != nil {
		return err
	}
	t.Renewal, t.RenewAt = sealed, v.Until.UTC().Round(0)
	if least := now.Add(renewalLeast); t.RenewAt.Before(least) {
		t.RenewAt = least
	}
	t.RenewBy = t.RenewAt.Add(c.limits.SessionGrace)
	return nil
}

// renewSessions has sessions vouched for anew until ctx ends.
func (c *Center) renewSessions(ctx context.Context) {
	var workers sync.WaitGroup
	defer workers.Wait()
	for range renewalWorkers {
		workers.Go(func() {
			for {
				select {
				case one := <-c.renewals.queue:
					c.renew(ctx, one)
				case <-ctx.Done():
					return
				}
			}
		})
	}
}

func (c *Center) renew(ctx context.Context, one *renewal) {
	var again time.Time
	if err := c.tryRenewal(ctx, one); err != nil {
		c.log.WarnContext(ctx, "a session was not renewed; it goes on while its grace lasts", "token", one.session, "error", err)
		again = c.now().Add(renewalPause)
	}
	c.renewals.done(one, again)
}

func (c *Center) tryRenewal(ctx context.Context, one *renewal) error {
	t, err := c.claimRenewal(ctx, one.session)
	if err != nil || t == nil {
		return err
	}
	plain, err := auth.OpenRenewal(one.secret, t.Renewal)
	if err != nil {
		return err
	}
	v, err := c.askProvider(ctx, t.Provider, plain)
	if err != nil && config.KindOf(err) != config.Unauthenticated {
		return err
	}
	// What the provider has said is not lost because the node stops.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), usePatience)
	defer cancel()
	if err != nil {
		return c.endUnvouched(ctx, t, err)
	}
	_, err = c.commit(ctx, "auth.renew", func(*view.Snapshot) (store.Txn, error) {
		s, ok := c.directory.state.Load().sessions[t.ID]
		if !ok {
			return store.Txn{}, nil // it was ended meanwhile
		}
		next := *s.token
		if err := c.vouched(&next, v, one.secret); err != nil {
			return store.Txn{}, err
		}
		return s.rewrite(next), nil
	})
	return err
}

// askProvider asks within a bounded time.
func (c *Center) askProvider(ctx context.Context, provider string, renewal config.Secret) (auth.Vouched, error) {
	p := c.renewals.providers[provider]
	if p == nil {
		return auth.Vouched{}, config.Errorf(config.Unavailable, "", "", "there is no provider %q any longer that could vouch anew", provider)
	}
	ctx, cancel := context.WithTimeout(ctx, renewalPatience)
	defer cancel()
	return p.Renew(ctx, renewal)
}

// claimRenewal makes the session this node's to renew for a while; nil if there
// is nothing to renew.
func (c *Center) claimRenewal(ctx context.Context, id string) (*auth.Token, error) {
	s, ok := c.directory.state.Load().sessions[id]
	now := c.now().UTC().Round(0)
	if !ok || !s.token.Due(now) {
		return nil, nil
	}
	if now.Before(s.token.RenewAt) {
		return nil, config.Errorf(config.Unavailable, "", "", "another node is asking the provider, or asked it just now in vain")
	}
	next := *s.token
	next.RenewAt = now.Add(renewalClaim)
	ctx, cancel := context.WithTimeout(ctx, usePatience)
	defer cancel()
	revision, err := c.store.Commit(ctx, s.rewrite(next))
	if err != nil {
		return nil, err
	}
	c.settle(ctx, revision)
	return &next, nil
}

// rewrite is the change of the session's token, if it is still as it is known.
func (s *session) rewrite(t auth.Token) store.Txn {
	key := record.Tokens.Key(t.ID)
	return store.Txn{
		Conds:  []store.Cond{{Key: key, Revision: s.revision}},
		Writes: []store.Write{{Key: key, Value: record.EncodeToken(t)}},
	}
}

// endUnvouched ends a session that its provider vouches for no longer.
func (c *Center) endUnvouched(ctx context.Context, t *auth.Token, why error) error {
	const op = "auth.renew"
	c.log.InfoContext(ctx, "a session has ended: its provider vouches for it no longer", "token", t.ID, "subject", t.User, "reason", why)
	_, err := c.commit(ctx, op, func(*view.Snapshot) (store.Txn, error) {
		if _, ok := c.directory.Token(t.ID); !ok {
			return store.Txn{}, nil
		}
		return store.Txn{Writes: []store.Write{
			{Key: record.Tokens.Key(t.ID), Delete: true},
			c.audited(ctx, audit.Record{
				Action: op, Subject: t.User, Outcome: audit.Failed,
				Actor:  audit.Actor{Subject: t.User, Method: "token", TokenID: t.ID},
				Detail: map[string]string{"token": t.ID, "provider": t.Provider},
			}),
		}}, nil
	})
	return err
}
