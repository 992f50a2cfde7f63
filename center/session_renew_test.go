package center_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
)

// corp is a provider that says what a test tells it to, with a renewal that is
// good for one time.
type corp struct {
	mu     sync.Mutex
	asked  int
	next   string // the renewal that it takes
	groups []string
	who    string
	err    error
	hangs  bool
	keeps  bool // the same renewal is good again
}

func (*corp) Provider() string { return "corp" }

func (p *corp) tell(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

func (p *corp) times() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

func (p *corp) Renew(ctx context.Context, renewal config.Secret) (auth.Vouched, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	switch {
	case p.hangs:
		p.mu.Unlock()
		<-ctx.Done()
		p.mu.Lock()
		return auth.Vouched{}, ctx.Err()
	case p.err != nil:
		return auth.Vouched{}, p.err
	case renewal.Reveal() != p.next:
		return auth.Vouched{}, config.Errorf(config.Unauthenticated, "", "", "the renewal was used before")
	}
	if !p.keeps {
		p.next += "+"
	}
	return p.vouch(), nil
}

func (p *corp) vouch() auth.Vouched {
	return auth.Vouched{
		Identity: auth.Identity{Subject: p.who, Provider: "corp", Groups: p.groups, Method: "oidc"},
		Renewal:  config.NewSecret(p.next), Until: time.Now().Add(15 * time.Minute),
	}
}

// federated runs fn with two nodes of one installation and a session of alice's,
// in a bubble of time.
func federated(t *testing.T, fn func(p *corp, a, b *node, text config.Secret)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := prepared(t)
		p := &corp{who: "corp:alice", next: "first", groups: []string{"corp:staff"}}
		a, b := withProvider(t, s, p), withProvider(t, s, p)
		made, text, err := a.LoginVouched(t.Context(), p.vouch(), 0)
		a.must(err)
		if made.Provider != "corp" || !made.Session || strings.Contains(string(made.Renewal), "first") {
			t.Errorf("want a session of corp's with a sealed renewal, got %+v", made)
		}
		fn(p, a, b, text)
	})
}

func withProvider(t testing.TB, s store.Store, p *corp) *node {
	return joinWith(t, s, func(o *center.Options) { o.Renewers, o.Limits.SessionIdle = []auth.Renewer{p}, 0 })
}

// groups returns those that the session proves on the node.
func (n *node) groups(text config.Secret) []string {
	n.t.Helper()
	id, err := n.proves(text)
	n.must(err)
	return id.Groups
}

func TestSessionIsRenewedOnUse(t *testing.T) {
	federated(t, func(p *corp, a, b *node, text config.Secret) {
		pass(14 * time.Minute)
		a.groups(text)
		synctest.Wait()
		if got := p.times(); got != 0 {
			t.Errorf("want the provider left alone in its time, got asked %d times", got)
		}
		for round := range 3 {
			p.tell(func() { p.groups = []string{"corp:ops"} })
			pass(16 * time.Minute)
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() { a.groups(text) })
			}
			all.Wait()
			synctest.Wait()
			if got := p.times(); got != round+1 {
				t.Fatalf("want the provider asked once each time, got %d times after %d", got, round+1)
			}
			for _, n := range []*node{a, b} {
				if diff := cmp.Diff([]string{"corp:ops"}, n.groups(text)); diff != "" {
					t.Errorf("the groups as they are now (-want +got):\n%s", diff)
				}
			}
		}
		pass(16 * time.Minute)
		a.groups(text)
		b.groups(text) // a renewal that two nodes used would end the session
		synctest.Wait()
		pass(time.Minute)
		if got := p.times(); got != 4 {
			t.Errorf("want one of the nodes to ask, got %d times", got)
		}
		a.groups(text)
	})
}

func TestSessionEndsWhenNobodyVouches(t *testing.T) {
	federated(t, func(p *corp, a, b *node, text config.Secret) {
		p.tell(func() { p.err = config.Errorf(config.Unauthenticated, "", "", "alice has left") })
		pass(16 * time.Minute)
		a.groups(text)
		synctest.Wait()
		for _, n := range []*node{a, b} {
			_, err := n.proves(text)
			wantKind(t, config.Unauthenticated, err)
		}
		records, err := a.Audit(a.admin(), center.AuditRequest{Action: "auth.renew"})
		a.must(err)
		if len(records.Items) != 1 || records.Items[0].Actor.Subject != "corp:alice" || records.Items[0].Detail["provider"] != "corp" {
			t.Errorf("want the end on record, got %+v", records.Items)
		}
	})
}

func TestProviderInTroubleEndsNoSessionInItsGrace(t *testing.T) {
	for name, trouble := range map[string]func(p *corp){
		"down":             func(p *corp) { p.err = config.Errorf(config.Unavailable, "", "", "no route") },
		"hanging":          func(p *corp) { p.hangs = true },
		"of another":       func(p *corp) { p.who = "corp:mallory" },
		"of a local admin": func(p *corp) { p.who = "admin" },
		"of others' group": func(p *corp) { p.groups = []string{"other:ops"} },
	} {
		t.Run(name, func(t *testing.T) {
			federated(t, func(p *corp, a, b *node, text config.Secret) {
				p.tell(func() { trouble(p); p.keeps = true })
				for range 7 {
					pass(10 * time.Minute)
					for _, n := range []*node{a, b} {
						begun := time.Now()
						if diff := cmp.Diff([]string{"corp:staff"}, n.groups(text)); diff != "" {
							t.Errorf("the groups as they were (-want +got):\n%s", diff)
						}
						if took := time.Since(begun); took != 0 {
							t.Errorf("want no call to wait in the grace, waited %s", took)
						}
					}
				}
				if got := p.times(); got == 0 || got > 20 {
					t.Errorf("want the provider asked now and then, got %d times", got)
				}
				pass(6 * time.Minute)
				begun := time.Now()
				_, err := a.proves(text)
				wantKind(t, config.Unavailable, err)
				if took := time.Since(begun); took > 6*time.Second {
					t.Errorf("want a bounded wait once the grace is over, waited %s", took)
				}
				p.tell(func() {
					p.err, p.hangs, p.who, p.groups, p.next = nil, false, "corp:alice", []string{"corp:ops"}, "first"
				})
				pass(time.Minute)
				if diff := cmp.Diff([]string{"corp:ops"}, a.groups(text)); diff != "" {
					t.Errorf("want it to go on when the provider is back (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// What cannot be renewed lasts as long as the provider has said, and no longer.
func TestVouchedSessionWithoutRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &corp{who: "corp:alice", next: "first"}
		s := prepared(t)
		n, plain := withProvider(t, s, p), join(t, s)
		bare := p.vouch()
		bare.Renewal = config.Secret{}
		for name, login := range map[string]func() (auth.Token, config.Secret, error){
			"no renewal": func() (auth.Token, config.Secret, error) { return n.LoginVouched(t.Context(), bare, 0) },
			"no renewer": func() (auth.Token, config.Secret, error) { return plain.LoginVouched(t.Context(), p.vouch(), 0) },
		} {
			made, _, err := login()
			n.must(err)
			if !made.ExpiresAt.Equal(bare.Until) || made.Renewal != nil {
				t.Errorf("%s: want it to end when the provider's time does, got %+v", name, made)
			}
		}
		forever := p.vouch()
		forever.Until = time.Time{}
		made, _, err := n.LoginVouched(t.Context(), forever, time.Hour)
		n.must(err)
		if !made.RenewAt.IsZero() || made.ExpiresAt.Sub(made.CreatedAt) != time.Hour {
			t.Errorf("want it to last as asked for, got %+v", made)
		}
		bare.Until = time.Now()
		wantKind(t, config.Unauthenticated, third(n.LoginVouched(t.Context(), bare, 0)))
		local := auth.Vouched{Identity: auth.Identity{Subject: center.AdminUser}}
		wantKind(t, config.Unauthenticated, third(n.LoginVouched(t.Context(), local, 0)))
		lie := auth.Vouched{Identity: auth.Identity{Subject: center.AdminUser, Provider: "corp"}}
		wantKind(t, config.Invalid, third(n.LoginVouched(t.Context(), lie, 0)))
	})
}
