package basic

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/config"
)

func TestGuessingOneUserFromManyAddresses(t *testing.T) {
	f := openWith(t, quick())
	guess := func(i int) error { return f.login(t, "alice", "guess", fmt.Sprintf("198.51.100.%d", i)) }
	for i := range 5 {
		wantKind(t, "the first guesses", config.Unauthenticated, guess(i))
	}
	wantKind(t, "the sixth", config.Throttled, guess(6))
	wantKind(t, "the right password from a new address", config.Throttled, f.login(t, "alice", password, "192.0.2.7"))
	if err := f.login(t, "alice", "wrong", "192.0.2.7"); config.KindOf(err) != config.Throttled {
		t.Errorf("want the wait to hide whether a password is right, got %v", err)
	}
	f.clock.now = f.clock.now.Add(time.Second)
	if err := f.login(t, "alice", password, "192.0.2.7"); err != nil {
		t.Errorf("want the right password to pass after the wait, got %v", err)
	}
}

func TestSuccessForgivesTheUser(t *testing.T) {
	f := openWith(t, quick())
	for range 3 {
		for i := range 4 {
			wantKind(t, "a slip", config.Unauthenticated, f.login(t, "alice", "slip", fmt.Sprintf("192.0.2.%d", i)))
		}
		f.clock.now = f.clock.now.Add(time.Minute) // or the password is remembered, and nothing is counted
		if err := f.login(t, "alice", password, ""); err != nil {
			t.Fatalf("want the right password to pass, got %v", err)
		}
	}
}

func TestUnknownUsersAreSlowedLikeKnownOnes(t *testing.T) {
	f := openWith(t, quick())
	var alice, bob []string
	for range 8 {
		alice = append(alice, f.login(t, "alice", "guess", "").Error())
		bob = append(bob, f.login(t, "bob", "guess", "").Error())
	}
	if diff := cmp.Diff(alice, bob); diff != "" {
		t.Errorf("the answers tell users apart (-known +unknown):\n%s", diff)
	}
}

func TestStrangersCannotKeepAUserOut(t *testing.T) {
	f := openWith(t, quick())
	const home, office = "2001:db8:1:1::1", "203.0.113.200"
	for _, familiar := range []string{home, office} {
		if err := f.login(t, "alice", password, familiar); err != nil {
			t.Fatal(err)
		}
		f.clock.now = f.clock.now.Add(time.Hour)
	}
	f.clock.now = f.clock.now.Add(time.Hour) // the password is no longer remembered, the address is
	for i := range 50 {
		if err := f.login(t, "alice", "guess", fmt.Sprintf("198.51.100.%d", i)); err == nil {
			t.Fatal("want guesses refused")
		}
	}
	for i := range 6 { // a name made up to read like the count of the familiar address
		if err := f.login(t, "alice "+office, "guess", fmt.Sprintf("203.0.113.%d", i)); err == nil {
			t.Fatal("want a made-up name refused")
		}
	}
	if err := f.login(t, "alice", password, office); err != nil {
		t.Errorf("want the user in from where it came before, got %v", err)
	}
	f.clock.now = f.clock.now.Add(time.Hour)
	for i := range 50 {
		if err := f.login(t, "alice", "guess", fmt.Sprintf("198.51.100.%d", i)); err == nil {
			t.Fatal("want guesses refused")
		}
	}
	if err := f.login(t, "alice", password, "2001:db8:1:1::2"); err != nil {
		t.Errorf("want the user in from the network that it came from before, got %v", err)
	}

	f.clock.now = f.clock.now.Add(time.Hour)
	for range 5 {
		wantKind(t, "guesses from there", config.Unauthenticated, f.login(t, "alice", "guess", home))
	}
	wantKind(t, "more guesses from there", config.Throttled, f.login(t, "alice", "guess", home))
}

func TestGuessingManyUsersFromOneAddress(t *testing.T) {
	f := openWith(t, quick())
	const address = "198.51.100.1"
	for i := range 30 {
		wantKind(t, "the first guesses", config.Unauthenticated, f.login(t, fmt.Sprintf("user-%d", i), password, address))
	}
	wantKind(t, "one more", config.Throttled, f.login(t, "user-31", password, address))
	if err := f.login(t, "alice", password, "192.0.2.7"); err != nil {
		t.Errorf("want other addresses served, got %v", err)
	}
	f.clock.now = f.clock.now.Add(time.Second)
	if err := f.login(t, "alice", password, address); err != nil {
		t.Fatalf("want an answer after the wait, got %v", err)
	}
	wantKind(t, "a guess after a success", config.Unauthenticated, f.login(t, "user-32", password, address))
	wantKind(t, "a success does not wash off guesses", config.Throttled, f.login(t, "user-33", password, address))
}

func TestGuessesSentAtOnceAreSlowedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := openWith(t, quick())
		for range cap(f.slots) {
			f.slots <- struct{}{}
		}
		const guesses = 100
		answers := make(chan error, guesses)
		for range guesses {
			go func() {
				_, _, err := f.Authenticate(t.Context(), credentials("alice", "guess", ""))
				answers <- err
			}()
		}
		synctest.Wait()
		for range cap(f.slots) {
			<-f.slots
		}
		checked := 0
		for range guesses {
			if config.KindOf(<-answers) == config.Unauthenticated {
				checked++
			}
		}
		// One guess for each other slot may be under way when the limit is met.
		if most := 5 + cap(f.slots) - 1; checked < 5 || checked > most {
			t.Errorf("want 5 to %d of the guesses checked, got %d", most, checked)
		}
	})
}
