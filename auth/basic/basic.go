package basic

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/internal/recent"
	"github.com/setpointhq/setpoint/auth/throttle"
	"github.com/setpointhq/setpoint/config"
)

// An address from which a user logged in stays known for that user so long.
const (
	familiarTime = 24 * time.Hour
	familiarMost = 10_000
)

// Authenticator proves user names and passwords. It starts no goroutine and
// needs no closing.
type Authenticator struct {
	directory     auth.Directory
	log           *slog.Logger
	params        params
	dummy         passwordHash
	minimumLength int

	slots   chan struct{} // one token for each hash being computed
	waiting atomic.Int64
	queue   int64

	remembered *memory
	perUser    *throttle.Limiter
	perAddress *throttle.Limiter
	// Visits that led to a login are familiar for a while. They are spared the
	// wait that strangers' failures bring upon the user, and counted apart, so
	// that nobody can keep a user out who comes from where it always does.
	familiar *recent.Map[visit, struct{}]
	perVisit *throttle.Limiter
}

// visit is a user's name, as claimed, with the network that it comes from.
type visit struct{ user, network string }

func open(s Settings, env auth.Env) (*Authenticator, error) {
	if env.Directory == nil {
		return nil, config.Errorf(config.Internal, "open", place, "opened without a directory of users")
	}
	return &Authenticator{
		directory:     env.Directory,
		log:           env.Log,
		params:        s.params(),
		dummy:         dummyHash(s.params()),
		minimumLength: s.MinimumLength,
		slots:         make(chan struct{}, s.slots()),
		queue:         int64(s.Queue),
		remembered:    newMemory(s.RememberMost, s.Remember, env.Now),
		perUser:       throttle.New(s.PerUser, env.Now),
		perAddress:    throttle.New(s.PerAddress, env.Now),
		familiar:      recent.New[visit, struct{}](familiarMost, familiarTime, env.Now),
		perVisit:      throttle.New(s.PerUser, env.Now),
	}, nil
}

// Authenticate proves a user name and password. A remembered password passes
// even while others' failures make the user or the address wait. A name with a
// colon is a provider's: no user that is kept here can have it.
func (a *Authenticator) Authenticate(ctx context.Context, c auth.Credentials) (auth.Identity, bool, error) {
	if c.Username == "" && c.Password.Empty() {
		return auth.Identity{}, false, nil
	}
	if _, _, external := auth.SplitExternal(c.Username); external {
		return auth.Identity{}, false, nil
	}
	d := a.remembered.digest(c.Username, c.Password.Reveal())
	if !a.recall(d, c.Username) {
		if err := a.prove(ctx, c, d); err != nil {
			return auth.Identity{}, true, err
		}
	}
	return auth.Identity{Subject: c.Username, Method: Name}, true, nil
}

// recall reports whether the digest was right a short time ago, and would still
// be: what is known of the user now decides.
func (a *Authenticator) recall(d digest, name string) bool {
	phc, ok := a.remembered.get(d)
	if !ok {
		return false
	}
	u, ok := a.directory.User(name)
	return ok && mayLogIn(u) && u.PasswordHash == phc
}

func mayLogIn(u *auth.User) bool {
	return !u.Disabled && !u.Service && u.PasswordHash != ""
}

// prove checks a password by hashing it, when it is the caller's turn.
func (a *Authenticator) prove(ctx context.Context, c auth.Credentials, d digest) error {
	v := visit{user: c.Username, network: throttle.Network(c.Address)}
	if err := a.mayTry(v); err != nil {
		return err
	}
	release, err := a.turn(ctx)
	if err != nil {
		return err
	}
	defer release()
	// While this call waited, others may have proved the same, or failed: of a
	// thousand guesses sent at once, only so many as have slots are hashed.
	if a.recall(d, c.Username) {
		return nil
	}
	if err := a.mayTry(v); err != nil {
		return err
	}
	phc, right := a.check(c)
	a.count(v, right)
	if !right {
		return config.Errorf(config.Unauthenticated, "authenticate", "", "wrong user name or password")
	}
	a.remembered.put(d, phc)
	return nil
}

// check hashes exactly once whether or not there is such a user, so that the
// time taken does not tell. It returns the stored hash that matched.
func (a *Authenticator) check(c auth.Credentials) (phc string, right bool) {
	h, usable := a.dummy, false
	if u, ok := a.directory.User(c.Username); ok && mayLogIn(u) {
		stored, err := parsePHC(u.PasswordHash)
		if err != nil {
			a.log.Error("the stored password hash of a user cannot be used; set a new password", "user", u.Name, "error", err)
		} else {
			h, usable, phc = stored, true, u.PasswordHash
		}
	}
	password := []byte(c.Password.Reveal())
	if len(password) > longestPassword {
		password, usable = password[:longestPassword], false
	}
	return phc, h.matches(password) && usable
}

// mayTry is Throttled while the visitor has to wait.
func (a *Authenticator) mayTry(v visit) error {
	limiter, key := a.counter(v)
	return throttle.Check(limiter.Wait(key), a.perAddress.Wait(v.network))
}

// count notes how an attempt ended. A success clears the user's failures, but
// not the address's, or an attacker's own account would wash off its guesses.
func (a *Authenticator) count(v visit, right bool) {
	limiter, key := a.counter(v)
	if !right {
		limiter.Fail(key)
		a.perAddress.Fail(v.network)
		return
	}
	limiter.Clear(key)
	if v.network != "" {
		a.familiar.Put(v, struct{}{})
	}
}

// counter returns where the visitor's failures are counted.
func (a *Authenticator) counter(v visit) (*throttle.Limiter, string) {
	if _, ok := a.familiar.Get(v); ok {
		return a.perVisit, v.user + " " + v.network
	}
	return a.perUser, v.user
}

// turn waits until a hash may be computed, which takes a CPU and megabytes.
func (a *Authenticator) turn(ctx context.Context) (release func(), err error) {
	release = func() { <-a.slots }
	select {
	case a.slots <- struct{}{}:
		return release, nil
	default:
	}
	defer a.waiting.Add(-1)
	if a.waiting.Add(1) > a.queue {
		return nil, auth.Throttled("authenticate", "too many passwords are being checked just now", time.Second)
	}
	select {
	case a.slots <- struct{}{}:
		return release, nil
	case <-ctx.Done():
		return nil, config.Errorf(config.KindOf(ctx.Err()), "authenticate", "", "waiting for a turn to hash the password: %w", ctx.Err())
	}
}

var _ auth.Authenticator = (*Authenticator)(nil)
