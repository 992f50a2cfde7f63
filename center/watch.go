package center

import (
	"context"
	"slices"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/view"
)

// WatchRequest asks for what a client is served and every change of it.
type WatchRequest struct {
	Patterns []string // config paths, envs, or patterns with '*'
	Client   config.Client
	// After resumes: only what changed since that token is delivered. Empty, or
	// a token that can no longer be resumed from, begins with a snapshot.
	After config.Token
	// Protocol names what the client speaks, for listings of instances.
	Protocol string
}

// MaxPatterns bounds the patterns of one watch.
const MaxPatterns = 256

// Watch is one subscription. It belongs to one goroutine.
type Watch struct {
	center   *Center
	sub      *view.Subscription
	identity auth.Identity
	scopes   []config.Path
	tenants  []string // that it is counted against
	// password is the stored hash of the one that opened the watch, where one did.
	password string
	vouched  time.Time // when it was opened, and its provider vouched for who did
	notify   func()

	// What listings of instances tell of it. None of it changes.
	client   config.Client
	request  auth.Request
	protocol string
	patterns []string
	selects  []config.Pattern // what the patterns say
	since    time.Time
	named    *named // nil for a client without a name
}

// Delivery is everything that changed for the client since the last one, as of
// one revision.
type Delivery struct {
	Revision config.Token
	// Reset means: this is a snapshot, forget whatever is not in it.
	Reset bool
	// Current marks the delivery with which the client has caught up.
	Current bool
	Changes []view.Change
}

// Watch subscribes. notify is called, from loops that serve everybody, whenever
// Next may have something new or Staleness has changed; it must not block. The
// caller calls Next once without being notified, and Close at the end.
//
// It is Throttled where the tenant has too many watches open on this node, and
// Unavailable where too many clients wait for the node to catch up.
func (c *Center) Watch(ctx context.Context, r WatchRequest, notify func()) (*Watch, error) {
	const op = "config.watch"
	id, err := c.authenticated(ctx, op)
	if err != nil {
		return nil, err
	}
	patterns, scopes, err := c.watchScopes(ctx, op, r.Patterns)
	if err != nil {
		return nil, err
	}
	tenants := tenantsOf(scopes)
	if err := c.admission.enter(op, tenants); err != nil {
		return nil, err
	}
	after, err := c.resumeAt(ctx, op, r.After)
	if err != nil {
		c.admission.leave(tenants)
		return nil, err
	}
	w := &Watch{
		center: c, identity: id, scopes: scopes, tenants: tenants, notify: notify,
		client: r.Client, request: auth.RequestFrom(ctx), protocol: r.Protocol, patterns: slices.Clone(r.Patterns), selects: patterns,
	}
	if user, ok := c.directory.User(id.Subject); ok {
		w.password = user.PasswordHash
	}
	w.vouched = c.now()
	w.sub = c.view.Subscribe(view.Filter{Patterns: patterns, Client: r.Client, After: after}, notify)
	c.instances.add(w, c.now().UTC().Round(0))
	return w, nil
}

// watchScopes parses and authorizes the patterns. A pattern needs the right on
// everything that it could match.
func (c *Center) watchScopes(ctx context.Context, op string, texts []string) ([]config.Pattern, []config.Path, error) {
	if len(texts) == 0 || len(texts) > MaxPatterns {
		return nil, nil, config.Errorf(config.Invalid, op, "", "name 1 to %d paths or patterns to watch; got %d", MaxPatterns, len(texts))
	}
	patterns := make([]config.Pattern, len(texts))
	scopes := make([]config.Path, len(texts))
	for i, text := range texts {
		pattern, err := config.ParsePattern(text)
		if err != nil {
			return nil, nil, located(op, "", err)
		}
		patterns[i], scopes[i] = pattern, pattern.Prefix()
		if _, err := c.authorize(ctx, op, auth.Fetch, scopes[i]); err != nil {
			return nil, nil, err
		}
	}
	return patterns, scopes, nil
}

// resumeAt turns a token into the revision to go on from. A token of another
// installation, or of a past that was lost, starts over with a snapshot: nothing
// may be skipped. It is Unavailable if the client is further than this node: a
// snapshot would take it back to what was before.
func (c *Center) resumeAt(ctx context.Context, op string, after config.Token) (int64, error) {
	if after == "" {
		return 0, nil
	}
	revision, cluster, err := decodeToken(after)
	if err != nil {
		return 0, located(op, "", err)
	}
	if cluster != c.view.Snapshot().Cluster {
		return 0, nil
	}
	if c.view.Snapshot().Revision >= revision {
		return revision, nil
	}
	done, err := c.admission.wait(op)
	if err != nil {
		return 0, err
	}
	defer done()
	if c.waitFor(ctx, revision) == nil {
		return revision, nil
	}
	newest, err := c.catchUp(ctx)
	switch {
	case ctx.Err() != nil:
		return 0, located(op, "", ctx.Err())
	case err != nil:
		return 0, config.Errorf(config.Unavailable, op, "", "this node has not caught up with the revision to resume from; another may have: %w", err)
	case newest < revision:
		return 0, nil // nobody has come to there
	}
	return revision, nil
}

// proven reports whether the password that opened the watch would still open
// it. What a token opened, its authenticator is asked about.
func (w *Watch) proven() bool {
	if w.identity.TokenID != "" {
		return true
	}
	// Who is known elsewhere is believed for as long as a login would last; bearer
	// tokens and certificates the protocols look at more often.
	if w.identity.Provider != "" {
		return w.center.now().Sub(w.vouched) < w.center.limits.SessionTTL
	}
	user, ok := w.center.directory.User(w.identity.Subject)
	return ok && !user.Disabled && user.PasswordHash == w.password
}

// Next returns what is new, without waiting; ok is false if nothing is. The
// error is Unauthenticated once the password that opened the watch was changed
// or its user is gone or disabled, Denied once the right to watch was withdrawn,
// and Unavailable once this node is staler than the limit max_staleness allows.
func (w *Watch) Next() (d Delivery, ok bool, err error) {
	if !w.proven() {
		return Delivery{}, false, config.Errorf(config.Unauthenticated, "config.watch", "", "the password that this watch was opened with is no longer good")
	}
	for _, scope := range w.scopes {
		if !w.center.authz.Allowed(w.identity, auth.Fetch, scope) {
			return Delivery{}, false, config.Errorf(config.Denied, "config.watch", scope.String(), "the right to watch this was withdrawn")
		}
	}
	if err := w.center.tooStale("config.watch", auth.Fetch); err != nil {
		return Delivery{}, false, err
	}
	got, ok := w.sub.Next()
	if !ok {
		return Delivery{}, false, nil
	}
	return Delivery{Revision: w.center.token(got.Revision), Reset: got.Reset, Current: got.Current, Changes: got.Changes}, true, nil
}

// Content returns the bytes of a release that Next delivered.
func (w *Watch) Content(ctx context.Context, r *config.Release) ([]byte, error) {
	content, err := w.center.view.Content(ctx, r)
	return content, located("config.watch", r.Path.String(), err)
}

// Revision returns the position that the watch was last brought to.
func (w *Watch) Revision() config.Token { return w.center.token(w.sub.Revision()) }

// Close ends the subscription. notify may be called once more meanwhile.
func (w *Watch) Close() {
	w.center.instances.remove(w, w.center.now())
	w.sub.Close()
	w.center.admission.leave(w.tenants)
	w.tenants = nil
}
