package auth

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// External names a subject or a group of a provider, "corp:alice". No user or
// group that is kept here can have such a name.
func External(provider, name string) string { return provider + ":" + name }

// SplitExternal takes such a name apart; ok is false for one that is kept here.
func SplitExternal(name string) (provider, rest string, ok bool) { return strings.Cut(name, ":") }

// The longest names, and the most groups, that are taken from a provider.
const (
	MaxExternalName   = 256 // bytes, the provider's included
	MaxExternalGroups = 500
)

// CheckExternal refuses a name of a provider's that cannot be shown or bound.
func CheckExternal(name string) error {
	provider, rest, ok := SplitExternal(name)
	bad := !ok || rest == "" || len(name) > MaxExternalName || CheckProvider(provider) != nil ||
		strings.ContainsFunc(rest, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' })
	if bad {
		return config.Errorf(config.Invalid, "", "", "name %.300q: want provider:name, of at most %d bytes and without control characters", name, MaxExternalName)
	}
	return nil
}

// CheckProvider refuses what cannot name a provider.
func CheckProvider(name string) error {
	if (config.Path{Tenant: name}).Validate() != nil || name == "" {
		return config.Errorf(config.Invalid, "", "", "provider %.64q: use lower-case letters, digits and '-', at most 63", name)
	}
	return nil
}

// Provider vouches for people whom it knows and this installation does not. A
// driver's Authenticator may have some: see Federation.
type Provider interface {
	// Provider is its name, as settings give it: "corp".
	Provider() string
}

// Federation is implemented by an Authenticator that has providers.
type Federation interface {
	Providers() []Provider
}

// Vouched is what a provider has said of somebody who logged in with it.
type Vouched struct {
	// Identity has the provider's name and groups.
	Identity Identity
	// Renewal is what the provider needs to say it anew without asking the person,
	// in a form of its own; empty if it cannot.
	Renewal config.Secret
	// Until is when it should be asked anew; zero for never.
	Until time.Time
}

// Redirecter logs people in on a page of its own: the authorization code flow of
// OAuth2, with PKCE.
type Redirecter interface {
	Provider
	// Begin returns where to send the browser. state is to be kept by the browser
	// alone, until it comes back to callback.
	Begin(ctx context.Context, callback string) (page string, state config.Secret, err error)
	// Finish takes what the browser brought back in the query of callback. The
	// error is Unauthenticated if it proves nothing, Unavailable if the provider
	// cannot be asked.
	Finish(ctx context.Context, callback string, state config.Secret, answer url.Values) (Vouched, error)
}

// DeviceCode is what a person needs to log in a program that has no browser.
type DeviceCode struct {
	Code     config.Secret // for the program alone
	UserCode string        // for the person to type or compare
	Page     string        // where
	Complete string        // the same page with the code in it, if there is one
	Expires  time.Duration
	Interval time.Duration // between two polls
}

// Devicer logs programs in while a person consents elsewhere (RFC 8628).
type Devicer interface {
	Provider
	BeginDevice(ctx context.Context) (DeviceCode, error)
	// PollDevice asks whether the person has consented. done is false while it has
	// not been decided; wait is then how long to wait at least before asking again.
	PollDevice(ctx context.Context, code config.Secret) (v Vouched, done bool, wait time.Duration, err error)
}

// Renewer vouches anew for somebody who has logged in before.
type Renewer interface {
	Provider
	// Renew is Unauthenticated if the provider vouches no longer, Unavailable if it
	// cannot be asked now.
	Renew(ctx context.Context, renewal config.Secret) (Vouched, error)
}

// Leaver has a page to log out from the provider itself.
type Leaver interface {
	Provider
	// LeavePage returns where to send the browser, which comes back to after.
	LeavePage(renewal config.Secret, after string) (page string, ok bool)
}

// PasswordProvider proves names and passwords itself, by the chain: its users log
// in as provider:name.
type PasswordProvider interface {
	Provider
	TakesPasswords()
}
