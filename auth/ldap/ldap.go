package ldap

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/internal/recent"
	"github.com/setpointhq/setpoint/auth/throttle"
	"github.com/setpointhq/setpoint/config"
)

// longestQueue is how many logins may wait for their turn.
const longestQueue = 256

// Authenticator proves user names and passwords with a directory. It keeps
// connections open; Close ends them.
type Authenticator struct {
	settings  Settings
	users     auth.Directory
	log       *slog.Logger
	dialer    *dialer
	pool      *pool
	groupBase *ldap.DN // nil for no groups
	// nobody is an entry that does not exist: a password that is sent for an
	// unknown user is tried on it, so that the work is as for a known one.
	nobody string

	slots   chan struct{} // one token for each login that asks the directory
	waiting atomic.Int64

	remembered *memory
	perUser    *throttle.Limiter
	perAddress *throttle.Limiter
	// Visits that led to a login are familiar for a while, and counted apart from
	// strangers', so that nobody can keep a user out who comes from where it always
	// does.
	familiar *recent.Map[visit, struct{}]
	perVisit *throttle.Limiter
}

// visit is a user's name, as claimed, with the network that it comes from.
type visit struct{ user, network string }

// An address from which a user logged in stays known for that user so long.
const (
	familiarTime = 24 * time.Hour
	familiarMost = 10_000
)

func open(s Settings, env auth.Env, d *dialer) *Authenticator {
	a := &Authenticator{
		settings: s,
		users:    env.Directory,
		log:      env.Log.With("provider", s.Provider),
		dialer:   d,
		pool: &pool{
			dialer: d, bindDN: s.BindDN, bindPassword: bindPassword(&s),
			most: s.Connections, idleTime: s.IdleTime, now: env.Now,
		},
		slots:      make(chan struct{}, s.Connections),
		remembered: newMemory(s.RememberMost, s.Remember, env.Now),
		perUser:    throttle.New(s.PerUser, env.Now),
		perAddress: throttle.New(s.PerAddress, env.Now),
		familiar:   recent.New[visit, struct{}](familiarMost, familiarTime, env.Now),
		perVisit:   throttle.New(s.PerUser, env.Now),
	}
	if s.GroupBaseDN != "" {
		a.groupBase, _ = ldap.ParseDN(s.GroupBaseDN) // valid, as Validate has seen
	}
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails: it would end the program
	a.nobody = "cn=" + hex.EncodeToString(random[:]) + "," + s.BaseDN
	return a
}

// Close ends the connections that are kept. Logins after it work, each on
// connections that it ends itself.
func (a *Authenticator) Close() error {
	a.pool.close()
	return nil
}

// Provider is its name.
func (a *Authenticator) Provider() string { return a.settings.Provider }

// TakesPasswords says that people log in by name and password.
func (*Authenticator) TakesPasswords() {}

// Providers is itself.
func (a *Authenticator) Providers() []auth.Provider { return []auth.Provider{a} }

// Authenticate proves a user name and password. A remembered password passes
// while the directory is down, and while others' failures make the user or the
// address wait.
func (a *Authenticator) Authenticate(ctx context.Context, c auth.Credentials) (auth.Identity, bool, error) {
	name, ok := a.takes(c.Username)
	if !ok {
		return auth.Identity{}, false, nil
	}
	d := a.remembered.digest(c.Username, c.Password.Reveal())
	if id, ok := a.remembered.right.Get(d); ok {
		return id, true, nil
	}
	at := &attempt{name: name, password: c.Password.Reveal(), digest: d, network: throttle.Network(c.Address)}
	at.failures = a.perUser
	if _, ok := a.familiar.Get(at.visit()); ok {
		at.failures, at.apart = a.perVisit, at.network
	}
	at.countAs("name " + fold(name))
	id, err := a.prove(ctx, at)
	return id, true, err
}

// takes returns the name that the directory has to know, if it is one of its users.
func (a *Authenticator) takes(username string) (name string, ok bool) {
	provider, rest, external := auth.SplitExternal(username)
	if external {
		return rest, provider == a.settings.Provider
	}
	if username == "" || !a.settings.AcceptBare {
		return "", false
	}
	_, local := a.users.User(username)
	return username, !local
}

// attempt is one try to prove a password.
type attempt struct {
	name     string
	password string
	digest   digest
	network  string
	failures *throttle.Limiter // where the user's failures are counted
	apart    string            // the network, if failures from it are counted apart
	keys     []string          // what they are counted under: name and entry
}

// countAs has the user's failures counted under a name more.
func (at *attempt) countAs(key string) { at.keys = append(at.keys, at.apart+" "+key) }

func (at *attempt) visit() visit { return visit{user: fold(at.name), network: at.network} }

// errRefused says that the password is not the user's, or that there is no such
// user. It never leaves the driver.
var errRefused = errors.New("refused")

// prove asks the directory, when it is the caller's turn.
func (a *Authenticator) prove(caller context.Context, at *attempt) (auth.Identity, error) {
	if err := a.mayTry(at); err != nil {
		return auth.Identity{}, err
	}
	ctx, cancel := context.WithTimeout(caller, a.settings.Timeout)
	defer cancel()
	release, err := a.turn(ctx)
	if err != nil {
		return auth.Identity{}, a.failure(caller, err)
	}
	defer release()
	// While this call waited, others may have proved the same, or failed.
	if id, ok := a.remembered.right.Get(at.digest); ok {
		return id, nil
	}
	if err := a.mayTry(at); err != nil {
		return auth.Identity{}, err
	}
	id, err := a.ask(ctx, at)
	switch {
	case err == nil:
		a.accept(at, id)
		return id, nil
	case errors.Is(err, errRefused):
		return auth.Identity{}, a.refuse(at, err)
	default:
		return auth.Identity{}, a.failure(caller, err)
	}
}

// ask proves the password and reads who the user is.
func (a *Authenticator) ask(ctx context.Context, at *attempt) (auth.Identity, error) {
	if !checkName(at.name) || at.password == "" || len(at.password) > longestPassword || strings.ContainsRune(at.password, 0) {
		return auth.Identity{}, errRefused // and the directory does not see it
	}
	if a.settings.UserDN != "" {
		return a.askDirectly(ctx, at)
	}
	entry, err := a.find(ctx, at.name)
	if err != nil {
		return auth.Identity{}, err
	}
	dn := a.nobody
	if entry != nil {
		dn = entry.DN
		// The directory may know one user by many names.
		at.countAs("entry " + fold(dn))
		if err := a.mayTry(at); err != nil {
			return auth.Identity{}, err
		}
	}
	own, err := a.bind(ctx, dn, at.password)
	if err != nil {
		return auth.Identity{}, err
	}
	own.close() // what is read from here on, is so with the driver's rights
	if entry == nil {
		return auth.Identity{}, errRefused
	}
	return a.identify(ctx, a.pool, entry)
}

// askDirectly binds as the entry that the name says, and reads with the user's rights.
func (a *Authenticator) askDirectly(ctx context.Context, at *attempt) (auth.Identity, error) {
	dn, err := buildDN(a.settings.UserDN, at.name)
	if err != nil {
		return auth.Identity{}, errRefused
	}
	own, err := a.bind(ctx, dn, at.password)
	if err != nil {
		return auth.Identity{}, err
	}
	defer own.close()
	entry, err := a.lookUp(ctx, own, at.name, dn, ldap.ScopeBaseObject)
	if ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
		err = nil
	}
	switch {
	case err != nil:
		return auth.Identity{}, err
	case entry == nil:
		return auth.Identity{}, fmt.Errorf("%w: %s may not read its own entry, or user_filter does not let it pass", errRefused, dn)
	}
	return a.identify(ctx, own, entry)
}

// bind proves the password on a connection of its own, which the caller closes.
func (a *Authenticator) bind(ctx context.Context, dn, password string) (*conn, error) {
	own, err := a.dialer.dial(ctx)
	if err != nil {
		return nil, err
	}
	err = own.bind(ctx, dn, password)
	if err == nil {
		return own, nil
	}
	own.close()
	if refused(err) {
		return nil, fmt.Errorf("%w: %w", errRefused, err)
	}
	return nil, fmt.Errorf("binding as the user: %w", err)
}

// find looks for the user's entry; nil if there is none.
func (a *Authenticator) find(ctx context.Context, name string) (*ldap.Entry, error) {
	return a.lookUp(ctx, a.pool, name, a.settings.BaseDN, ldap.ScopeWholeSubtree)
}

func (a *Authenticator) lookUp(ctx context.Context, in searcher, name, base string, scope int) (*ldap.Entry, error) {
	filter, err := buildFilter(a.settings.UserFilter, usernameMark, name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errRefused, err)
	}
	attributes := []string{a.settings.UserAttribute}
	if a.settings.MemberOf != "" {
		attributes = append(attributes, a.settings.MemberOf)
	}
	// Two are enough to see that it is not one.
	entries, err := in.search(ctx, query{base: base, scope: scope, filter: filter, attributes: attributes, most: 2})
	switch {
	case len(entries) > 1:
		a.log.Warn("the directory knows several users by one name; none of them can log in by it", "user", name, "first", entries[0].DN, "second", entries[1].DN)
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("looking for users at %s: %w", base, err)
	case len(entries) == 0 || entries[0].DN == "":
		return nil, nil
	}
	return entries[0], nil
}

// identify returns who somebody is who has proved to be the entry.
func (a *Authenticator) identify(ctx context.Context, in searcher, entry *ldap.Entry) (auth.Identity, error) {
	names := entry.GetEqualFoldAttributeValues(a.settings.UserAttribute)
	if len(names) != 1 || !checkName(names[0]) || auth.CheckExternal(auth.External(a.settings.Provider, names[0])) != nil {
		return auth.Identity{}, fmt.Errorf("%w: %s has %d values of %s, want one that can be a name", errRefused, entry.DN, len(names), a.settings.UserAttribute)
	}
	groups, err := a.groups(ctx, in, entry)
	switch {
	case errors.Is(err, errGroups):
		return auth.Identity{}, fmt.Errorf("%w: %s: %w", errRefused, entry.DN, err)
	case err != nil:
		return auth.Identity{}, err
	}
	return auth.Identity{
		Subject: auth.External(a.settings.Provider, names[0]), Provider: a.settings.Provider,
		Groups: groups, Method: Name,
	}, nil
}

// mayTry is Throttled while the user or the address has to wait.
func (a *Authenticator) mayTry(at *attempt) error {
	wait := []time.Duration{a.perAddress.Wait(at.network)}
	for _, key := range at.keys {
		wait = append(wait, at.failures.Wait(key))
	}
	return throttle.Check(wait...)
}

// accept remembers the password and clears the user's failures, but not the
// address's, or an attacker's own account would wash off its guesses.
func (a *Authenticator) accept(at *attempt, id auth.Identity) {
	for _, key := range at.keys {
		at.failures.Clear(key)
	}
	if at.network != "" {
		a.familiar.Put(at.visit(), struct{}{})
	}
	a.remembered.right.Put(at.digest, id)
}

// refuse counts the failure and says the same whatever was wrong; the log knows.
func (a *Authenticator) refuse(at *attempt, why error) error {
	for _, key := range at.keys {
		at.failures.Fail(key)
	}
	a.perAddress.Fail(at.network)
	if why != errRefused { //nolint:errorlint // bare, it has nothing to tell
		a.log.Info("the directory's user was refused", "user", at.name, "address", at.network, "why", why)
	}
	return config.Errorf(config.Unauthenticated, "authenticate", "", "wrong user name or password")
}

// failure is what the caller is told when the directory did not decide.
func (a *Authenticator) failure(caller context.Context, err error) error {
	if gone := caller.Err(); gone != nil {
		return config.Errorf(config.KindOf(gone), "authenticate", "", "waiting for the directory %s: %w", a.settings.Provider, gone)
	}
	if config.KindOf(err) == config.Throttled {
		return err
	}
	a.log.Warn("the directory cannot be asked; nobody can log in with it", "error", err)
	return config.Errorf(config.Unavailable, "authenticate", "", "the directory %s cannot be asked just now; try again later, or log in with an API token", a.settings.Provider)
}

// turn waits until the directory may be asked.
func (a *Authenticator) turn(ctx context.Context) (release func(), err error) {
	release = func() { <-a.slots }
	select {
	case a.slots <- struct{}{}:
		return release, nil
	default:
	}
	defer a.waiting.Add(-1)
	if a.waiting.Add(1) > longestQueue {
		return nil, auth.Throttled("authenticate", "too many passwords are being checked just now", time.Second)
	}
	select {
	case a.slots <- struct{}{}:
		return release, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for a turn: %w", ctx.Err())
	}
}

var (
	_ auth.Authenticator = (*Authenticator)(nil)
	_ auth.Federation    = (*Authenticator)(nil)
)
