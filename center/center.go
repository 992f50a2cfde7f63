// Package center holds the domain verbs: everything that can be done with
// configs, scopes, users and rights, one idea a file. Each exported method of
// Center that acts for a caller authorizes first, from the identity in its
// context, before it looks at anything else.
//
// Verbs are built from the node's view and end in one conditional store.Commit
// that carries the change together with its audit record. The package knows no
// protocol and no driver.
package center

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/format"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/internal/view"
	"github.com/setpointhq/setpoint/plugin"
	"github.com/setpointhq/setpoint/store"
)

// Options are the parts of a Center; all are required but those that say
// otherwise.
type Options struct {
	Store      store.Store
	View       *view.View
	Formats    *format.Set
	Directory  *Directory
	Authorizer auth.Authorizer
	Passwords  auth.PasswordHasher
	Limits     Limits
	Log        *slog.Logger
	Now        func() time.Time // time.Now if nil
	// Node is this node's name; "node" if empty.
	Node string
	// Elector gives offices to one node at a time; without one (nil) there is no
	// elected work: audit is not sealed, and kept for ever, and launches neither
	// begin nor advance nor fall back by themselves.
	Elector store.Elector
	// Sinks are told of every audit record that is sealed.
	Sinks []AuditSink
	// Renewers vouch anew for sessions of people known elsewhere, by their names;
	// without its own a session ends when it would have to be renewed.
	Renewers []auth.Renewer
	// Nodes is the cluster that the node belongs to; nil for a lone node.
	Nodes Nodes
	// Engine tells how this node's engine is doing; nil if it cannot.
	Engine store.Cluster
	// Snapshotter writes out all that the store holds, for backups; nil if the
	// store cannot. Version, of Setpoint, and EngineName, of the store's driver,
	// are what backups say of their origin.
	Snapshotter store.Snapshotter
	Version     string
	EngineName  string
	// Spool is the directory for files that are needed for a short time; empty
	// means the system's.
	Spool string
	// Self tells of this node what the center cannot know: where it is reached,
	// its version, its disk, and problems with any of these. May be nil.
	Self func(context.Context) config.Node
}

// Center is the domain's front door. It is safe for concurrent use.
type Center struct {
	store     store.Store
	view      *view.View
	formats   *format.Set
	directory *Directory
	authz     auth.Authorizer
	passwords auth.PasswordHasher
	limits    Limits
	log       *slog.Logger
	now       func() time.Time
	elector   store.Elector
	sinks     []AuditSink
	verifying atomic.Bool // one verification of the audit at a time
	refusals  *refusals
	turns     *turns
	renewals  *renewals
	lastToken atomic.Pointer[renderedToken]
	node      string
	nodes     Nodes
	engine    store.Cluster
	self      func(context.Context) config.Node
	started   time.Time
	pulse     *pulse
	instances *instances
	admission *admission

	snapshotter store.Snapshotter
	version     string
	engineName  string
	backing     chan struct{} // holds one while a backup is being made
	importing   chan struct{} // holds one while a tenant is being imported
	spool       string
	backups     backups
}

// New makes a Center of its parts.
func New(o Options) *Center {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Node == "" {
		o.Node = "node"
	}
	o.Directory.keepTime(o.Now)
	o.Directory.renew = newRenewals(o.Renewers)
	return &Center{
		store: o.Store, view: o.View, formats: o.Formats, directory: o.Directory,
		authz: o.Authorizer, passwords: o.Passwords, limits: o.Limits, log: o.Log, now: o.Now, elector: o.Elector, sinks: o.Sinks,
		refusals: newRefusals(), turns: newTurns(), renewals: o.Directory.renew,
		node: o.Node, nodes: o.Nodes, engine: o.Engine, self: o.Self, started: o.Now().UTC().Round(0),
		pulse: newPulse(), instances: newInstances(o.Limits), admission: newAdmission(o.Limits),
		snapshotter: o.Snapshotter, version: o.Version, engineName: o.EngineName, backing: make(chan struct{}, 1),
		importing: make(chan struct{}, 1), spool: o.Spool,
	}
}

// Run does the center's background work until ctx ends: it writes the audit
// records of refused acts, tells the store when sessions were used, watches how
// old this node's picture may be and, while this node is elected to it, seals
// audit records, deletes those past their age, and drives launches. It returns
// when all of that has stopped.
func (c *Center) Run(ctx context.Context) error {
	if c.elector == nil {
		c.log.InfoContext(ctx, "the store elects nobody: audit is not sealed, told to no sink, and kept for ever, and launches do not advance by themselves")
	}
	var offices sync.WaitGroup
	defer offices.Wait()
	offices.Go(func() { c.hold(ctx, sealerOffice, c.sealAudit) })
	offices.Go(func() { c.hold(ctx, retentionOffice, c.retainAudit) })
	offices.Go(func() { c.hold(ctx, launchesOffice, c.driveLaunches) })
	for _, sink := range c.sinks {
		offices.Go(func() { c.hold(ctx, sinkOffice+sink.Name, c.tellSink(sink)) })
	}
	offices.Go(func() { c.watchPulse(ctx) })
	offices.Go(func() { c.instances.forget(ctx, c.now) })
	offices.Go(func() { c.tellUses(ctx) })
	offices.Go(func() { c.renewSessions(ctx) })
	return c.refusals.run(ctx, c.writeRefusals)
}

// Formats lists the names of the formats that this server offers.
func (c *Center) Formats() []string { return c.formats.Names() }

// Limits returns the limits in force.
func (c *Center) Limits() Limits { return c.limits }

// authorize is the first line of every method that acts for a caller.
func (c *Center) authorize(ctx context.Context, op string, verb auth.Verb, path config.Path) (auth.Identity, error) {
	id := auth.FromContext(ctx)
	if id.Anonymous() {
		return id, errAnonymous(op)
	}
	if !c.authz.Allowed(id, verb, path) {
		return id, c.refuse(ctx, op, verb, path)
	}
	return id, c.tooStale(op, verb)
}

// authorizeReach lets the caller in if it may do the verb at the path or
// anywhere below it: for listings, which then show only what it may see.
func (c *Center) authorizeReach(ctx context.Context, op string, verb auth.Verb, path config.Path) (auth.Identity, error) {
	id := auth.FromContext(ctx)
	if id.Anonymous() {
		return id, errAnonymous(op)
	}
	if !c.authz.Reaches(id, verb, path) {
		return id, c.refuse(ctx, op, verb, path)
	}
	return id, c.tooStale(op, verb)
}

// authenticated lets in whoever has proved an identity: for acts on oneself.
func (c *Center) authenticated(ctx context.Context, op string) (auth.Identity, error) {
	id := auth.FromContext(ctx)
	if id.Anonymous() {
		return id, errAnonymous(op)
	}
	return id, nil
}

func errAnonymous(op string) error {
	return config.Errorf(config.Unauthenticated, op, "", "this needs an identity: log in, or send an API token")
}

// refuse notes the attempt for audit and says which right was missing where. It
// is the same whether what was asked for exists or not.
func (c *Center) refuse(ctx context.Context, op string, verb auth.Verb, path config.Path) error {
	c.refusals.note(ctx, op, path, audit.Denied)
	where := path.String()
	if where == "" {
		where = "the whole installation"
	}
	return config.Errorf(config.Denied, op, path.String(), "%q has no right to %s on %s", auth.FromContext(ctx).Subject, verb, where)
}

// commitTries bounds how often a change is built anew because others were
// faster. Each try starts from a view that has seen what made the last one fail.
const commitTries = 64

// commit builds a change from the node's picture and commits it. When a
// condition fails, or build refuses because of what it saw, the picture may
// have been old: it catches up with the store and builds again. A refusal that
// repeats on a picture known to be current is the answer.
//
// When commit returns, this node serves the change: what one has written one
// can read back here.
func (c *Center) commit(ctx context.Context, op string, build func(*view.Snapshot) (store.Txn, error)) (int64, error) {
	var current int64 // the snapshot must be at least this new for a refusal to count
	for range commitTries {
		snap := c.view.Snapshot()
		txn, err := build(snap)
		switch {
		case err == nil && len(txn.Writes) == 0:
			return snap.Revision, nil
		case err == nil:
			var revision int64
			if revision, err = c.store.Commit(ctx, once(txn)); err == nil {
				c.settle(ctx, revision)
				return revision, nil
			}
			if !errors.Is(err, store.ErrConflict) {
				return 0, located(op, "", err)
			}
		case !dependsOnState(err) || current != 0 && snap.Revision >= current:
			return 0, located(op, "", err)
		}
		if current, err = c.catchUp(ctx); err != nil {
			return 0, located(op, "", err)
		}
	}
	return 0, config.Errorf(config.Conflict, op, "", "others kept changing it; it was tried %d times", commitTries)
}

// once makes a transaction safe to be sent again by the store where an answer
// was lost: its audit record has an id of its own, and is there once.
func once(txn store.Txn) store.Txn {
	for _, w := range txn.Writes {
		if section, _ := record.Split(w.Key); section == record.Audits && !w.Delete {
			txn.Once = w.Key
			break
		}
	}
	return txn
}

// dependsOnState reports whether a refusal could come from an old picture.
func dependsOnState(err error) bool {
	switch config.KindOf(err) {
	case config.Conflict, config.NotFound, config.Exists, config.Exhausted:
		return true
	default:
		return false
	}
}

// catchUp brings the view to a point that includes every commit that finished
// before the call, and returns that point.
func (c *Center) catchUp(ctx context.Context) (int64, error) {
	begun := c.pulse.now()
	page, err := c.store.Range(ctx, store.Query{Key: record.ClusterKey, KeysOnly: true})
	if err != nil {
		return 0, err
	}
	if err := c.waitFor(ctx, page.Revision); err != nil {
		return page.Revision, err
	}
	c.pulse.confirm(begun)
	return page.Revision, nil
}

// waitFor waits until the view has applied the revision, within a bound.
func (c *Center) waitFor(ctx context.Context, revision int64) error {
	if c.view.Snapshot().Revision >= revision {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.limits.RevisionWait)
	defer cancel()
	return c.view.WaitFor(ctx, revision)
}

// settle waits for the node's own view after a commit. The change is durable
// whatever happens here, so a view that is late is not the caller's error.
func (c *Center) settle(ctx context.Context, revision int64) {
	if err := c.waitFor(ctx, revision); err != nil && ctx.Err() == nil {
		c.log.WarnContext(ctx, "the view is late", "revision", revision, "error", err)
	}
}

// located completes an error with operation and path where they are missing;
// nil stays nil.
func located(op, path string, err error) error {
	if err == nil {
		return nil
	}
	var e *config.Error
	if !errors.As(err, &e) {
		return &config.Error{Op: op, Kind: config.KindOf(err), Path: path, Err: err}
	}
	if e.Op != "" && (e.Path != "" || path == "") {
		return err
	}
	whole := *e
	if whole.Op == "" {
		whole.Op = op
	}
	if whole.Path == "" {
		whole.Path = path
	}
	return &whole
}

// token renders a revision for clients. The last one is remembered: thousands
// of watchers are told one and the same.
func (c *Center) token(revision int64) config.Token {
	cluster := c.view.Snapshot().Cluster
	if last := c.lastToken.Load(); last != nil && last.revision == revision && last.cluster == cluster {
		return last.token
	}
	last := &renderedToken{revision: revision, cluster: cluster, token: encodeToken(revision, cluster)}
	c.lastToken.Store(last)
	return last.token
}

// renderedToken is a token with what it was made of.
type renderedToken struct {
	revision int64
	cluster  string
	token    config.Token
}

// expect turns a client's token into the revision that a condition wants, and
// compares it with what is there. The empty token expects nothing.
func (c *Center) expect(op string, path string, expected config.Token, actual int64) error {
	if expected == "" {
		return nil
	}
	revision, cluster, err := decodeToken(expected)
	if err != nil {
		return located(op, path, err)
	}
	if revision != actual || cluster != c.view.Snapshot().Cluster {
		return config.Errorf(config.Conflict, op, path, "it was changed since you read it: read it again and repeat your change")
	}
	return nil
}

// stamp is who changes something now, for the nouns' author fields.
func (c *Center) stamp(id auth.Identity) (string, time.Time) {
	return id.Subject, c.now().UTC().Round(0)
}

// Limits bound what one installation takes in.
type Limits struct {
	ConfigSize       plugin.Size   `yaml:"config_size" doc:"largest content of one config"`
	ConfigsPerEnv    int           `yaml:"configs_per_env" doc:"most configs in one env, deleted ones not counted"`
	KeepReleases     int           `yaml:"keep_releases" doc:"how many releases of a config are kept; those in use always are"`
	ChangeSetConfigs int           `yaml:"change_set_configs" doc:"most configs in one change set"`
	ChangeSetSize    plugin.Size   `yaml:"change_set_size" doc:"most content in one change set"`
	TenantSize       plugin.Size   `yaml:"tenant_size" doc:"largest export of a tenant that is imported, unpacked"`
	CommentLength    int           `yaml:"comment_length" doc:"longest comment or description, in bytes"`
	RevisionWait     time.Duration `yaml:"revision_wait" doc:"longest wait for this node to catch up with a revision that a client asks for"`
	SessionTTL       time.Duration `yaml:"session_ttl" doc:"how long a login lasts"`
	SessionIdle      time.Duration `yaml:"session_idle" doc:"how long a login lasts that is not used, if that is shorter; 0 means as long as one that is"`
	SessionGrace     time.Duration `yaml:"session_grace" doc:"how long a login goes on whose provider is to vouch for it anew and cannot be asked"`
	TokenTTL         time.Duration `yaml:"token_ttl" doc:"longest life of an API token"`
	AuditRetention   time.Duration `yaml:"audit_retention" doc:"age at which audit records are deleted, counted from when they were sealed, the same on all nodes; 0 keeps them for ever, because what is gone cannot be asked for again"`
	RolloutHistory   time.Duration `yaml:"rollout_history" doc:"how long launches that have ended are remembered; 0 keeps them for ever"`
	InstancesKept    time.Duration `yaml:"instances_kept" doc:"how long a node remembers an instance that has left"`
	InstancesMost    int           `yaml:"instances_most" doc:"most instances that a node remembers beside those with an open watch"`
	TenantWatches    int           `yaml:"tenant_watches" doc:"most watches that one tenant has open on a node, over all protocols"`
	WaitingWatches   int           `yaml:"waiting_watches" doc:"most clients that wait for a node to catch up with what they have seen, after it started or was cut off; others are told to come again"`
	MaxStaleness     time.Duration `yaml:"max_staleness" doc:"how long a node that is cut off from the others goes on serving what it knows; 0 means for ever"`
}

// Defaults fills every field.
func (l *Limits) Defaults() {
	*l = Limits{
		ConfigSize:       1 << 20,
		ConfigsPerEnv:    20_000,
		KeepReleases:     100,
		ChangeSetConfigs: 1_000,
		ChangeSetSize:    16 << 20,
		TenantSize:       4 << 30,
		CommentLength:    2_000,
		RevisionWait:     5 * time.Second,
		SessionTTL:       12 * time.Hour,
		SessionIdle:      time.Hour,
		SessionGrace:     time.Hour,
		TokenTTL:         5 * 365 * 24 * time.Hour,
		RolloutHistory:   90 * 24 * time.Hour,
		InstancesKept:    10 * time.Minute,
		InstancesMost:    50_000,
		TenantWatches:    60_000,
		WaitingWatches:   1_000,
	}
}

// Validate refuses limits under which nothing works.
func (l Limits) Validate() error {
	type bound struct {
		name       string
		value, min int64
	}
	var errs []error
	for _, b := range []bound{
		{"config_size", int64(l.ConfigSize), 1}, {"configs_per_env", int64(l.ConfigsPerEnv), 1},
		{"keep_releases", int64(l.KeepReleases), 1}, {"change_set_configs", int64(l.ChangeSetConfigs), 1},
		{"change_set_size", int64(l.ChangeSetSize), int64(l.ConfigSize)}, {"comment_length", int64(l.CommentLength), 1},
		{"tenant_size", int64(l.TenantSize), int64(l.ConfigSize)},
		{"revision_wait", int64(l.RevisionWait), int64(time.Millisecond)},
		{"session_ttl", int64(l.SessionTTL), int64(time.Minute)}, {"token_ttl", int64(l.TokenTTL), int64(time.Minute)},
		{"instances_kept", int64(l.InstancesKept), int64(time.Minute)}, {"instances_most", int64(l.InstancesMost), 1},
		{"tenant_watches", int64(l.TenantWatches), 1}, {"waiting_watches", int64(l.WaitingWatches), 1},
	} {
		if b.value < b.min {
			errs = append(errs, fmt.Errorf("limits.%s: must be at least %d", b.name, b.min))
		}
	}
	if l.AuditRetention != 0 && l.AuditRetention < time.Hour {
		errs = append(errs, fmt.Errorf("limits.audit_retention: must be at least 1h, or 0 to keep records for ever, is %s", l.AuditRetention))
	}
	if l.SessionGrace < 0 {
		errs = append(errs, fmt.Errorf("limits.session_grace: must be at least 0, is %s", l.SessionGrace))
	}
	if l.SessionIdle != 0 && l.SessionIdle < time.Minute {
		errs = append(errs, fmt.Errorf("limits.session_idle: must be at least 1m, or 0 for logins that end by their age alone, is %s", l.SessionIdle))
	}
	if l.RolloutHistory != 0 && l.RolloutHistory < time.Hour {
		errs = append(errs, fmt.Errorf("limits.rollout_history: must be at least 1h, or 0 to keep launches for ever, is %s", l.RolloutHistory))
	}
	if l.MaxStaleness != 0 && l.MaxStaleness < pulsePatience {
		errs = append(errs, fmt.Errorf("limits.max_staleness: must be at least %s, which is when a node knows that it is cut off, or 0", pulsePatience))
	}
	return errors.Join(errs...)
}

// PageRequest asks for one page of a listing.
type PageRequest struct {
	Limit int    // 0 means 100; at most 1,000
	After string // Page.Next of the page before
}

const (
	defaultPage = 100
	maxPage     = 1000
)

// size returns the number of items to give.
func (p PageRequest) size() int {
	if p.Limit <= 0 {
		return defaultPage
	}
	return min(p.Limit, maxPage)
}
