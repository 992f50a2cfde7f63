package authtest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
)

// Proof is a freshly opened Authenticator with what it can and cannot prove.
type Proof struct {
	Authenticator auth.Authenticator
	Directory     *Directory // holds User, unless it is External
	User          string
	// External says that User is known elsewhere, so that nobody here can disable it.
	External bool
	Method   string
	// Right proves User.
	Right auth.Credentials
	// Wrong are of this driver's sort and prove nothing, by the way in which they
	// are wrong. All must be answered alike.
	Wrong map[string]auth.Credentials
	// Foreign are other drivers'.
	Foreign map[string]auth.Credentials
}

// Authenticator checks that a driver keeps the contract of auth.Authenticator.
// open is called for every subtest and must return nothing used before.
func Authenticator(t *testing.T, open func(t *testing.T) Proof) {
	t.Helper()
	tests := []struct {
		name string
		run  func(*testing.T, Proof)
	}{
		{"right credentials prove the user, again and again", provesUser},
		{"credentials of another sort are left to others", leavesForeign},
		{"a disabled user is refused at once", refusesDisabled},
		{"a deleted user is refused at once", refusesDeleted},
		{"guessing is slowed", slowsGuessing},
		{"a user in good standing passes while others guess", passesWhileOthersGuess},
		{"a caller that went away is let go", letsGo},
		{"many at once", manyAtOnce},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
	t.Run("wrong credentials are all answered alike", func(t *testing.T) { answersAlike(t, open) })
}

func provesUser(t *testing.T, p Proof) {
	for range 3 {
		wantProved(t, p)
	}
}

func leavesForeign(t *testing.T, p Proof) {
	p.Foreign["nothing at all"] = auth.Credentials{Address: "192.0.2.7"}
	for name, c := range p.Foreign {
		id, ok, err := p.Authenticator.Authenticate(t.Context(), c)
		if ok || err != nil || !id.Anonymous() {
			t.Errorf("%s: want nobody, not taken, no error; got %+v, taken %v, %v", name, id, ok, err)
		}
	}
}

func answersAlike(t *testing.T, open func(t *testing.T) Proof) {
	first := ""
	for name := range open(t).Wrong {
		p := open(t) // so that no count of failures gets in the way
		err := wantRefused(t, p, p.Wrong[name])
		if err == nil {
			continue
		}
		if first == "" {
			first = err.Error()
		}
		if err.Error() != first {
			t.Errorf("%s: want the text of the others, %q, got %q", name, first, err)
		}
	}
	if first == "" {
		t.Fatal("the test gave no wrong credentials")
	}
}

func refusesDisabled(t *testing.T, p Proof) {
	wantProved(t, p)
	if p.External {
		return
	}
	u, _ := p.Directory.User(p.User)
	disabled := *u
	disabled.Disabled = true
	p.Directory.PutUser(disabled)
	wantRefused(t, p, p.Right)
	p.Directory.PutUser(*u)
	wantProved(t, p)
}

func refusesDeleted(t *testing.T, p Proof) {
	wantProved(t, p)
	if p.External {
		return
	}
	p.Directory.DeleteUser(p.User)
	wantRefused(t, p, p.Right)
}

func slowsGuessing(t *testing.T, p Proof) {
	err := guessUntilThrottled(t, p)
	var again *auth.RetryAfter
	if !errors.As(err, &again) {
		t.Fatalf("want a RetryAfter as the cause, got %v", err)
	}
	if again.Wait < time.Second || again.Wait > time.Hour || !strings.Contains(err.Error(), again.Wait.String()) {
		t.Errorf("want a wait from a second to an hour, told in the text; got %s in %q", again.Wait, err)
	}
}

func passesWhileOthersGuess(t *testing.T, p Proof) {
	wantProved(t, p)
	guessUntilThrottled(t, p)
	wantProved(t, p)
}

func letsGo(t *testing.T, p Proof) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range p.Wrong {
		if _, _, err := p.Authenticator.Authenticate(ctx, c); err == nil {
			t.Error("want wrong credentials refused whatever the context, got no error")
		}
	}
}

func manyAtOnce(t *testing.T, p Proof) {
	wantProved(t, p) // or the others' guesses might make this first login wait
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 4 {
				wantProved(t, p)
			}
		})
		all.Go(func() {
			for name, c := range p.Wrong {
				id, _, err := p.Authenticator.Authenticate(t.Context(), c)
				if kind := config.KindOf(err); !id.Anonymous() || kind != config.Unauthenticated && kind != config.Throttled {
					t.Errorf("%s: want unauthenticated or throttled, got %+v, %v", name, id, err)
				}
			}
		})
	}
	all.Wait()
}

// guessUntilThrottled sends wrong credentials until the driver has had enough.
func guessUntilThrottled(t *testing.T, p Proof) error {
	t.Helper()
	const most = 200
	for range most {
		for _, c := range p.Wrong {
			_, _, err := p.Authenticator.Authenticate(t.Context(), c)
			switch config.KindOf(err) {
			case config.Throttled:
				return err
			case config.Unauthenticated:
			default:
				t.Fatalf("want unauthenticated or throttled, got %v", err)
			}
		}
	}
	t.Fatalf("want guessing throttled, got %d rounds of wrong credentials checked", most)
	return nil
}

func wantProved(t *testing.T, p Proof) {
	t.Helper()
	id, ok, err := p.Authenticator.Authenticate(t.Context(), p.Right)
	if err != nil || !ok || id.Subject != p.User || id.Method != p.Method {
		t.Errorf("want %s proved by %s, got %+v, taken %v, %v", p.User, p.Method, id, ok, err)
	}
}

func wantRefused(t *testing.T, p Proof, c auth.Credentials) error {
	t.Helper()
	id, ok, err := p.Authenticator.Authenticate(t.Context(), c)
	if !ok || config.KindOf(err) != config.Unauthenticated || !id.Anonymous() {
		t.Errorf("want nobody, taken, unauthenticated; got %+v, taken %v, %v", id, ok, err)
		return err
	}
	for _, secret := range []config.Secret{c.Password, c.Token} {
		if s := secret.Reveal(); s != "" && strings.Contains(err.Error(), s) {
			t.Errorf("want no secret in the error, got %q", err)
		}
	}
	return err
}
