package auth_test

import (
	"context"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
)

// driver answers for one user name and notes whether it was asked.
type driver struct {
	user  string
	id    auth.Identity
	err   error
	asked int
}

func (d *driver) Authenticate(_ context.Context, c auth.Credentials) (auth.Identity, bool, error) {
	d.asked++
	return d.id, c.Username == d.user, d.err
}

func TestChain(t *testing.T) {
	alice := auth.Identity{Subject: "alice", Method: "first"}
	tests := []struct {
		name   string
		chain  auth.Chain
		cred   auth.Credentials
		want   auth.Identity
		kind   config.ErrorKind // Internal stands for no error where text is empty
		text   string
		askedN []int
	}{
		{
			name:  "the first that takes it decides",
			chain: auth.Chain{&driver{user: "alice", id: alice}, &driver{user: "alice"}},
			cred:  auth.Credentials{Username: "alice"}, want: alice, askedN: []int{1, 0},
		},
		{
			name:  "the next is asked about another sort",
			chain: auth.Chain{&driver{user: "bob"}, &driver{user: "alice", id: alice}},
			cred:  auth.Credentials{Username: "alice"}, want: alice, askedN: []int{1, 1},
		},
		{
			name:  "a refusal is final",
			chain: auth.Chain{&driver{user: "alice", err: config.Errorf(config.Unauthenticated, "", "", "wrong")}, &driver{user: "alice", id: alice}},
			cred:  auth.Credentials{Username: "alice"}, kind: config.Unauthenticated, text: "wrong", askedN: []int{1, 0},
		},
		{
			name:  "an error with an identity proves nobody",
			chain: auth.Chain{&driver{user: "alice", id: alice, err: context.Canceled}},
			cred:  auth.Credentials{Username: "alice"}, kind: config.Canceled, text: "canceled", askedN: []int{1},
		},
		{
			name:  "a driver that proves nobody without an error is at fault",
			chain: auth.Chain{&driver{user: "alice"}},
			cred:  auth.Credentials{Username: "alice"}, kind: config.Internal, text: "proved nobody", askedN: []int{1},
		},
		{
			name: "no credentials", chain: auth.Chain{&driver{user: "alice", id: alice}},
			kind: config.Unauthenticated, text: "no credentials were sent; log in", askedN: []int{1},
		},
		{
			name: "credentials that nobody takes", chain: auth.Chain{&driver{user: "alice", id: alice}},
			cred: auth.Credentials{Token: config.NewSecret("opaque")},
			kind: config.Unauthenticated, text: "of this sort are not accepted", askedN: []int{1},
		},
		{
			name: "a certificate that nobody takes", chain: auth.Chain{&driver{user: "alice", id: alice}},
			cred: auth.Credentials{Certificates: []*x509.Certificate{{}}},
			kind: config.Unauthenticated, text: "by a certificate alone", askedN: []int{1},
		},
		{
			name: "an empty chain lets nobody through",
			cred: auth.Credentials{Username: "alice"}, kind: config.Unauthenticated, text: "not accepted", askedN: []int{},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := test.chain.Authenticate(t.Context(), test.cred)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("identity (-want +got):\n%s", diff)
			}
			switch {
			case test.text == "" && err != nil:
				t.Errorf("want no error, got %v", err)
			case test.text != "" && (config.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.text)):
				t.Errorf("want %s with %q, got %v", test.kind, test.text, err)
			}
			asked := []int{}
			for _, d := range test.chain {
				asked = append(asked, d.(*driver).asked)
			}
			if diff := cmp.Diff(test.askedN, asked); diff != "" {
				t.Errorf("times asked (-want +got):\n%s", diff)
			}
		})
	}
}

func TestThrottledRoundsUpToWholeSeconds(t *testing.T) {
	tests := map[time.Duration]time.Duration{
		0:                                 time.Second,
		time.Millisecond:                  time.Second,
		time.Second:                       time.Second,
		time.Second + 1:                   2 * time.Second,
		59*time.Second + time.Millisecond: time.Minute,
	}
	for wait, want := range tests {
		err := auth.Throttled("authenticate", "too many", wait)
		var again *auth.RetryAfter
		if !errors.As(err, &again) || again.Wait != want || config.KindOf(err) != config.Throttled {
			t.Errorf("%s: want throttled for %s, got %v", wait, want, err)
		}
	}
	want := "authenticate: throttled: too many; try again in 2s"
	if got := auth.Throttled("authenticate", "too many", 1500*time.Millisecond).Error(); got != want {
		t.Errorf("want %q, got %q", want, got)
	}
}
