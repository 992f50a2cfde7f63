package auth_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
)

func TestTokenIdles(t *testing.T) {
	made := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name  string
		token auth.Token
		after time.Duration // since it was made
		want  bool
	}{
		{"one without a limit never does", auth.Token{}, 1e6 * time.Hour, false},
		{"one never used counts from when it was made", auth.Token{IdleAfter: 60}, time.Minute - 1, false},
		{"at the limit it has", auth.Token{IdleAfter: 60}, time.Minute, true},
		{"use counts", auth.Token{IdleAfter: 60, UsedAt: made.Add(time.Hour)}, time.Hour + time.Minute - 1, false},
		{"use counts until the limit", auth.Token{IdleAfter: 60, UsedAt: made.Add(time.Hour)}, time.Hour + time.Minute, true},
		{"use ahead is as good as now", auth.Token{IdleAfter: 60, UsedAt: made.Add(time.Hour)}, 0, false},
		{"use before it was made is none", auth.Token{IdleAfter: 60, UsedAt: made.Add(-time.Hour)}, 30 * time.Second, false},
		{"fractions of a second", auth.Token{IdleAfter: 0.5}, 500 * time.Millisecond, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.token.CreatedAt = made
			if got := test.token.Idle(made.Add(test.after)); got != test.want {
				t.Errorf("idle after %s: want %v, got %v", test.after, test.want, got)
			}
		})
	}
}

func TestRenewalIsReadWithItsSecretOnly(t *testing.T) {
	_, secret, hash := auth.NewBearer()
	_, other, _ := auth.NewBearer()
	renewal := config.NewSecret("a refresh token")
	sealed, err := auth.SealRenewal(secret, renewal)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("refresh")) || bytes.Contains(sealed, hash) {
		t.Errorf("want nothing to be read, got %q", sealed)
	}
	if got, err := auth.OpenRenewal(secret, sealed); err != nil || got.Reveal() != renewal.Reveal() {
		t.Errorf("want %q, got %q, %v", renewal.Reveal(), got.Reveal(), err)
	}
	again, err := auth.SealRenewal(secret, renewal)
	if err != nil || bytes.Equal(sealed, again) {
		t.Errorf("want no two alike, got %x twice, %v", sealed, err)
	}
	// The same secret under another session's id.
	renamed := config.NewSecret(other.Reveal()[:16] + secret.Reveal()[16:])
	changed := bytes.Clone(sealed)
	changed[len(changed)-1] ^= 1
	for name, c := range map[string]struct {
		secret config.Secret
		sealed []byte
	}{
		"another secret": {other, sealed}, "another id": {renamed, sealed}, "no secret": {config.NewSecret("sp_"), sealed},
		"changed": {secret, changed}, "cut": {secret, sealed[:len(sealed)-1]}, "nothing": {secret, nil},
	} {
		if got, err := auth.OpenRenewal(c.secret, c.sealed); err == nil || !got.Empty() {
			t.Errorf("%s: want an error, got %q", name, got.Reveal())
		}
	}
	if _, err := auth.SealRenewal(secret, config.NewSecret(strings.Repeat("x", auth.MaxRenewal+1))); config.KindOf(err) != config.TooLarge {
		t.Errorf("want too much refused, got %v", err)
	}
}

type mayRenew struct{ auth.Renewer }

func (mayRenew) Provider() string { return "corp" }

type cannotRenew struct{}

func (cannotRenew) Provider() string { return "other" }

// federated is a driver with providers.
type federated struct {
	auth.Authenticator
	providers []auth.Provider
}

func (f federated) Providers() []auth.Provider { return f.providers }

func TestRenewersAreThoseProvidersThatCan(t *testing.T) {
	got := auth.Chain{federated{providers: []auth.Provider{cannotRenew{}, mayRenew{}}}}.Renewers()
	if len(got) != 1 || got[0].Provider() != "corp" {
		t.Errorf("want corp alone, got %v", got)
	}
}

func FuzzOpenRenewal(f *testing.F) {
	_, secret, _ := auth.NewBearer()
	sealed, err := auth.SealRenewal(secret, config.NewSecret("a refresh token"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, changed []byte) {
		if got, err := auth.OpenRenewal(secret, changed); err == nil && !bytes.Equal(changed, sealed) {
			t.Errorf("want only what was sealed read, got %q of %x", got.Reveal(), changed)
		}
	})
}
