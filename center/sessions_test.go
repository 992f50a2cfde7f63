package center_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/token"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
)

// asAlice returns a context of somebody whom the provider corp vouches for.
func (n *node) asAlice(groups ...string) context.Context {
	return auth.WithIdentity(n.t.Context(), auth.Identity{Subject: "corp:alice", Provider: "corp", Groups: groups, Method: "ldap"})
}

// proves asks the token driver, on this node, with the node's directory.
func (n *node) proves(text config.Secret) (auth.Identity, error) {
	n.t.Helper()
	var s token.Settings
	s.Defaults()
	a, err := s.Open(n.t.Context(), auth.Env{Directory: n.directory})
	n.must(err)
	id, _, err := a.Authenticate(n.t.Context(), auth.Credentials{Token: text})
	return id, err
}

func TestSessionOfSomebodyKnownElsewhere(t *testing.T) {
	n := start(t)
	n.house()
	made, text, err := n.Login(n.asAlice("corp:ops", "corp:staff"), 0)
	n.must(err)
	got, err := n.proves(text)
	n.must(err)
	want := auth.Identity{
		Subject: "corp:alice", Provider: "corp", Groups: []string{"corp:ops", "corp:staff"},
		Method: "token", TokenID: made.ID, Session: true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
	if _, ok := n.directory.User("corp:alice"); ok {
		t.Error("want no local user for somebody known elsewhere")
	}
	session := auth.WithIdentity(t.Context(), got)
	_, err = n.Tenant(session, "acme")
	wantKind(t, config.Denied, err) // nothing is bound to the name or the groups
	records, err := n.Audit(n.admin(), center.AuditRequest{Action: "auth.login"})
	n.must(err)
	if len(records.Items) != 1 || records.Items[0].Detail["provider"] != "corp" || records.Items[0].Actor.Subject != "corp:alice" {
		t.Errorf("want the login on record with its provider, got %+v", records.Items)
	}
	_, _, err = n.Login(session, 0)
	wantKind(t, config.Denied, err) // a session cannot prolong itself
	own, err := n.Tokens(session, "", pages)
	n.must(err)
	if len(own.Items) != 1 || own.Items[0].Provider != "corp" {
		t.Errorf("want alice to see her session, got %+v", own.Items)
	}
	n.must(n.Logout(session))
	_, err = n.proves(text)
	wantKind(t, config.Unauthenticated, err)
}

func TestLoginBelievesProvidersTheirOwnNamesOnly(t *testing.T) {
	n := start(t)
	n.user("bob")
	tests := []struct {
		name string
		id   auth.Identity
		want config.ErrorKind
	}{
		{"a local name", auth.Identity{Subject: "bob", Provider: "corp"}, config.Invalid},
		{"another's name", auth.Identity{Subject: "other:bob", Provider: "corp"}, config.Internal},
		{"another's group", auth.Identity{Subject: "corp:bob", Provider: "corp", Groups: []string{"other:ops"}}, config.Internal},
		{"a local group", auth.Identity{Subject: "corp:bob", Provider: "corp", Groups: []string{"ops"}}, config.Invalid},
		{"too many groups", auth.Identity{Subject: "corp:bob", Provider: "corp", Groups: make([]string, 501)}, config.TooLarge},
		{"a name too long", auth.Identity{Subject: "corp:" + strings.Repeat("b", 300), Provider: "corp"}, config.Invalid},
		{"no provider", auth.Identity{Subject: "corp:bob"}, config.Internal},
		{"narrowed", auth.Identity{Subject: "bob", Narrow: []auth.Grant{}}, config.Denied},
		{"unknown here", auth.Identity{Subject: "carl"}, config.NotFound},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := n.Login(auth.WithIdentity(t.Context(), test.id), 0)
			wantKind(t, test.want, err)
		})
	}
}

// writes counts the commits that write a token, and none of their audit.
type writes struct {
	store.Store
	count atomic.Int64
}

func (w *writes) Commit(ctx context.Context, txn store.Txn) (int64, error) {
	if strings.HasPrefix(txn.Writes[0].Key, "k/") && len(txn.Conds) == len(txn.Writes) {
		w.count.Add(1)
	}
	return w.Store.Commit(ctx, txn)
}

func TestSessionIdlesOutWhereverItIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &writes{Store: prepared(t)}
		a, b := join(t, s), join(t, s)
		pass(time.Second) // so that what is on record has an order
		_, text, err := a.Login(a.asAlice(), 0)
		a.must(err)
		for range 50 {
			pass(6 * time.Minute)
			_, err := a.proves(text)
			a.must(err)
		}
		if got := s.count.Load(); got < 5*5 || got > 5*7 {
			t.Errorf("want use told about six times an hour for five hours, got %d times", got)
		}
		pass(55 * time.Minute)
		_, err = b.proves(text) // the other node has learned of it all
		b.must(err)
		pass(55 * time.Minute)
		_, err = a.proves(text)
		a.must(err)
		before := s.count.Load()
		pass(time.Hour)
		for name, n := range map[string]*node{"a": a, "b": b} {
			_, err := n.proves(text)
			if e := wantKind(t, config.Unauthenticated, err); !strings.Contains(e.Error(), "not used for 1h0m0s") {
				t.Errorf("%s: want it said why, got %v", name, err)
			}
		}
		if got := s.count.Load() - before; got > 2 {
			t.Errorf("want the last use told once or twice, got %d times", got)
		}
		records, err := a.Audit(a.admin(), center.AuditRequest{})
		a.must(err)
		if len(records.Items) != 2 || records.Items[0].Action != "auth.login" {
			t.Errorf("want nothing but the installation and the login on record, got %+v", records.Items)
		}
	})
}

func TestSessionEndsByItsAgeHoweverItIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := join(t, prepared(t))
		_, text, err := n.Login(n.asAlice(), 2*time.Hour)
		n.must(err)
		for range 3 {
			pass(39 * time.Minute)
			_, err := n.proves(text)
			n.must(err)
		}
		pass(4 * time.Minute)
		_, err = n.proves(text)
		if e := wantKind(t, config.Unauthenticated, err); !strings.Contains(e.Error(), "expired") {
			t.Errorf("want it said that it expired, got %v", err)
		}
	})
}

func TestIdleLimitOfNewSessions(t *testing.T) {
	for name, test := range map[string]struct {
		idle, ttl time.Duration
		want      config.Seconds
	}{
		"as the limit says":     {time.Hour, 0, 3600},
		"never":                 {0, 0, 0},
		"no more than its life": {time.Hour, 30 * time.Minute, 0},
	} {
		n := start(t, func(l *center.Limits) { l.SessionIdle = test.idle })
		made, _, err := n.Login(n.asAlice(), test.ttl)
		n.must(err)
		if made.IdleAfter != test.want {
			t.Errorf("%s: want %v, got %v", name, test.want, made.IdleAfter)
		}
	}
	var limits center.Limits
	limits.Defaults()
	for idle, good := range map[time.Duration]bool{0: true, time.Minute: true, time.Second: false, -1: false} {
		limits.SessionIdle = idle
		if err := limits.Validate(); (err == nil) != good {
			t.Errorf("limit %s: want good %v, got %v", idle, good, err)
		}
	}
}

// lifetime is a test's part, at whose end its cleanup is done.
type lifetime struct {
	testing.TB
	cleanup []func()
}

func (l *lifetime) Cleanup(f func()) { l.cleanup = append(l.cleanup, f) }

func (l *lifetime) end() {
	for _, f := range slices.Backward(l.cleanup) {
		f()
	}
}

// A node that comes back knows of all use up to its end, and one whose clock was
// set back by a day meanwhile neither ends a session for that nor keeps it for
// the day.
func TestUseOutlivesTheNode(t *testing.T) {
	for name, back := range map[string]time.Duration{"started again": 0, "with its clock set back": 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := prepared(t)
				short := &lifetime{TB: t}
				n := join(short, s)
				_, text, err := n.Login(n.asAlice(), 0)
				n.must(err)
				for _, wait := range []time.Duration{50 * time.Minute, 2 * time.Minute} {
					pass(wait)
					_, err = n.proves(text)
					n.must(err)
				}
				short.end()
				pass(time.Hour - time.Second)
				clock := func() time.Time { return time.Now().Add(-back) }
				n = joinWith(t, s, func(o *center.Options) { o.Now = clock })
				var settings token.Settings
				settings.Defaults()
				a, err := settings.Open(t.Context(), auth.Env{Directory: n.directory, Now: clock})
				n.must(err)
				_, _, err = a.Authenticate(t.Context(), auth.Credentials{Token: text})
				n.must(err)
				pass(time.Hour)
				_, _, err = a.Authenticate(t.Context(), auth.Credentials{Token: text})
				if e := wantKind(t, config.Unauthenticated, err); !strings.Contains(e.Error(), "not used") {
					t.Errorf("want it idled out, got %v", err)
				}
			})
		})
	}
}

// Use that is told late brings no session back, whoever ended it.
func TestUseBringsNoSessionBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &faulty{Store: prepared(t)}
		a, b := join(t, s), join(t, s)
		_, text, err := a.Login(a.asAlice(), 0)
		a.must(err)
		pass(30 * time.Minute)
		s.fail(errCutOff)
		_, err = a.proves(text)
		a.must(err)
		pass(time.Minute) // it would be told now, and cannot be
		s.fail(nil)
		_, err = b.EndSessions(b.admin(), "corp:alice")
		b.must(err)
		pass(time.Hour)
		for _, n := range []*node{a, b} {
			left, err := n.Tokens(n.admin(), "corp:alice", pages)
			n.must(err)
			if _, err := n.proves(text); len(left.Items) != 0 || config.KindOf(err) != config.Unauthenticated {
				t.Errorf("want the session gone, got %+v, %v", left.Items, err)
			}
		}
	})
}

func TestLogoutEverywhere(t *testing.T) {
	n := start(t)
	bob := n.user("bob")
	n.user("carl")
	others, _, err := n.Login(n.as("carl"), 0)
	n.must(err)
	kept, _, err := n.CreateToken(bob, center.NewToken{})
	n.must(err)
	for user, ctx := range map[string]context.Context{"bob": bob, "corp:alice": n.asAlice()} {
		for want := range 3 {
			for range want {
				_, _, err := n.Login(ctx, 0)
				n.must(err)
			}
			got, err := n.LogoutEverywhere(ctx)
			n.must(err)
			if got != want {
				t.Errorf("%s: want %d sessions ended, got %d", user, want, got)
			}
		}
		records, err := n.Audit(n.admin(), center.AuditRequest{Action: "auth.logout_everywhere", Actor: user})
		n.must(err)
		if len(records.Items) != 3 || records.Items[0].Subject != user || records.Items[0].Detail["sessions"] != "2" {
			t.Errorf("%s: want each on record with how many, got %+v", user, records.Items)
		}
	}
	for _, id := range []string{others.ID, kept.ID} {
		if _, ok := n.directory.Token(id); !ok {
			t.Errorf("want %s left alone", id)
		}
	}
	narrow := auth.WithIdentity(t.Context(), auth.Identity{Subject: "bob", TokenID: "x", Narrow: []auth.Grant{}})
	wantKind(t, config.Denied, second(n.LogoutEverywhere(narrow)))
}

func TestEndSessions(t *testing.T) {
	n := start(t)
	n.house()
	ann := n.user("ann", grant(t, "admin", "acme"))
	bob := n.user("bob")
	for _, ctx := range []context.Context{bob, n.asAlice()} {
		_, _, err := n.Login(ctx, 0)
		n.must(err)
	}
	for _, user := range []string{"bob", "corp:alice", "nobody", "corp:nobody"} {
		wantKind(t, config.Denied, second(n.EndSessions(ann, user)))
	}
	for user, want := range map[string]int{"bob": 1, "corp:alice": 1, "corp:nobody": 0} {
		if got, err := n.EndSessions(n.admin(), user); err != nil || got != want {
			t.Errorf("%s: want %d sessions ended, got %d, %v", user, want, got, err)
		}
	}
	wantKind(t, config.NotFound, second(n.EndSessions(n.admin(), "nobody")))
	wantKind(t, config.Invalid, second(n.EndSessions(n.admin(), "corp:")))
}

// However many there are, no commit is larger than stores take.
func TestManySessionsEndInSeveralCommits(t *testing.T) {
	n := start(t)
	var all []store.Write
	const many = 1234
	for i := range many {
		id := fmt.Sprintf("s%d", i)
		all = append(all, store.Write{Key: record.Tokens.Key(id), Value: record.EncodeToken(auth.Token{ID: id, User: "corp:alice", Provider: "corp", Session: true})})
	}
	revision, err := n.store.Commit(t.Context(), store.Txn{Writes: all})
	n.must(err)
	n.must(n.view.WaitFor(t.Context(), revision))
	got, err := n.EndSessions(n.admin(), "corp:alice")
	n.must(err)
	if got != many {
		t.Errorf("want %d ended, got %d", many, got)
	}
	records, err := n.Audit(n.admin(), center.AuditRequest{Action: "user.end_sessions"})
	n.must(err)
	if len(records.Items) != 3 {
		t.Errorf("want three commits on record, got %+v", records.Items)
	}
}

// BenchmarkSession is what proving a session costs, with its use noted and not.
func BenchmarkSession(b *testing.B) {
	for name, idle := range map[string]time.Duration{"noted": time.Hour, "not noted": 0} {
		b.Run(name, func(b *testing.B) {
			n := start(b, func(l *center.Limits) { l.SessionIdle = idle })
			_, text, err := n.Login(n.asAlice("corp:ops"), 0)
			n.must(err)
			var s token.Settings
			s.Defaults()
			a, err := s.Open(b.Context(), auth.Env{Directory: n.directory})
			n.must(err)
			ctx := b.Context()
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, _, err := a.Authenticate(ctx, auth.Credentials{Token: text}); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// A provider's word, with no session made of it, is good for a watch for as long
// as a session would be.
func TestWatchOfSomebodyKnownElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := join(t, prepared(t))
		n.house()
		n.publish(app, "1")
		_, err := n.CreateBinding(n.admin(), auth.Binding{User: "corp:alice", Role: auth.RoleClient, Scope: path(t, "acme")})
		n.must(err)
		watch, err := n.Watch(n.asAlice(), center.WatchRequest{Patterns: []string{"acme/shop/dev"}}, func() {})
		n.must(err)
		defer watch.Close()
		if _, ok, err := watch.Next(); !ok || err != nil {
			t.Fatalf("want a snapshot, got %v, %v", ok, err)
		}
		pass(12*time.Hour - time.Second)
		_, _, err = watch.Next()
		n.must(err)
		pass(time.Second)
		_, _, err = watch.Next()
		wantKind(t, config.Unauthenticated, err)
	})
}
