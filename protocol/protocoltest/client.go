package protocoltest

import (
	"context"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

// Client speaks one protocol to one node, as one caller. It implements one of
// the interfaces below for each Part that the protocol offers.
//
// All methods are safe for use by several goroutines, end when ctx does, and
// return a *config.Error in which Kind, Path, Current, Problems and the text are
// those of the server's. What they ask with and return are the domain's nouns,
// with everything that the center put into them; a field Protocol of a request
// is of no meaning. Nothing is tried again, and nothing refused that the server
// could refuse.
type Client interface {
	// Close ends all that is open, as a client does that goes away. It may be
	// called twice.
	Close()
}

// Scopes is the control plane of tenants, apps and envs.
type Scopes interface {
	CreateTenant(ctx context.Context, t config.Tenant) (config.Tenant, error)
	Tenant(ctx context.Context, name string) (config.Tenant, error)
	ListTenants(ctx context.Context, r center.PageRequest) (config.Page[config.Tenant], error)
	CreateApp(ctx context.Context, a config.App) (config.App, error)
	ListApps(ctx context.Context, tenant string, r center.PageRequest) (config.Page[config.App], error)
	CreateEnv(ctx context.Context, e config.Env) (config.Env, error)
	ListEnvs(ctx context.Context, app config.Path) ([]config.Env, error)
	UpdateEnv(ctx context.Context, p center.EnvPatch) (config.Env, error)
	// DeleteScope deletes the tenant, app or env at the path.
	DeleteScope(ctx context.Context, path config.Path, expected config.Token) error
}

// Configs is the control plane of configs and what is known of them.
type Configs interface {
	CreateConfig(ctx context.Context, c config.Config) (config.State, error)
	Config(ctx context.Context, path config.Path) (config.State, error)
	ListConfigs(ctx context.Context, r center.ConfigsRequest) (config.Page[config.State], error)
	UpdateConfig(ctx context.Context, p center.ConfigPatch) (config.State, error)
	DeleteConfig(ctx context.Context, d center.DeleteConfig) error
	UndeleteConfig(ctx context.Context, path config.Path, comment string) (config.State, error)
}

// Drafts is the control plane of working copies.
type Drafts interface {
	SaveDraft(ctx context.Context, d center.SaveDraft) (config.Draft, []config.Problem, error)
	Draft(ctx context.Context, path config.Path) (config.Draft, error)
	DeleteDraft(ctx context.Context, path config.Path, expected config.Token) error
}

// Releases is the control plane of what is released, and of its history.
type Releases interface {
	Publish(ctx context.Context, p center.Publish) (config.ChangeSet, error)
	Rollback(ctx context.Context, r center.Rollback) (config.ChangeSet, error)
	Promote(ctx context.Context, p center.Promote) (config.ChangeSet, error)
	// Release returns one release with its content.
	Release(ctx context.Context, path config.Path, version int64) (config.Release, []byte, error)
	ListReleases(ctx context.Context, path config.Path, r center.PageRequest) (config.Page[config.Release], error)
	ListChangeSets(ctx context.Context, tenant string, r center.PageRequest) (config.Page[config.ChangeSet], error)
}

// Launches is the control plane of launches; one is started by Publish.
type Launches interface {
	Launch(ctx context.Context, r center.LaunchRef) (config.Launch, error)
	ListLaunches(ctx context.Context, r center.LaunchesRequest) (config.Page[config.Launch], error)
	AdvanceLaunch(ctx context.Context, a center.LaunchAct) (config.Launch, error)
	PauseLaunch(ctx context.Context, a center.LaunchAct) (config.Launch, error)
	ResumeLaunch(ctx context.Context, a center.LaunchAct) (config.Launch, error)
	SwitchLaunch(ctx context.Context, a center.SwitchLaunch) (config.Launch, error)
	AbortLaunch(ctx context.Context, a center.LaunchAct) (config.Launch, error)
	PromoteLaunch(ctx context.Context, a center.LaunchAct) (config.Launch, error)
}

// Foresight is the control plane of who would be served what, and why.
type Foresight interface {
	Preview(ctx context.Context, r center.PreviewRequest) (config.Preview, error)
	Explain(ctx context.Context, r center.ExplainRequest) (config.Explained, error)
}

// Instances is the control plane of who is there.
type Instances interface {
	ListInstances(ctx context.Context, r center.InstanceRequest) (center.InstanceList, error)
}

// Reads is the data plane of one config and of whole envs.
type Reads interface {
	// Get reads one config as it is served to the caller.
	Get(ctx context.Context, r Read) (Served, error)
	// Snapshot reads all that an env serves to the caller.
	Snapshot(ctx context.Context, r Read) (Snapshot, error)
}

// Read asks for a config or an env.
type Read struct {
	Path config.Path
	center.Freshness
	// Have is the Tag of the answer that the client has already; "" for none.
	Have string
}

// Served is a config as a client gets it.
type Served struct {
	Version  int64
	Format   string
	Content  []byte
	Revision config.Token
	// Tag is what the protocol calls this answer by: a digest, an ETag.
	Tag string
	// NotModified says that the client has the content already, and was sent none.
	NotModified bool
}

// Snapshot is all that an env serves, at one revision.
type Snapshot struct {
	Revision    config.Token
	Configs     []ServedConfig // by name
	Tag         string         // as in Served
	NotModified bool
}

// ServedConfig is one config of a Snapshot.
type ServedConfig struct {
	Path    config.Path
	Version int64
	Format  string
	Digest  string
	Content []byte
}

// Watches is the data plane of changes.
type Watches interface {
	// Watch opens a subscription. What refuses it may be returned here, or by the
	// first Next.
	Watch(ctx context.Context, r WatchRequest) (Stream, error)
}

// WatchRequest says what to watch, and from where on.
type WatchRequest struct {
	Patterns []string
	After    config.Token
}

// Stream is one subscription, which one goroutine reads. It does not reconnect
// by itself, and reads ahead by no more than an event, so that a slow reader is a
// slow client.
type Stream interface {
	// Next waits for an event. Once it has returned an error that is not ctx's,
	// the stream has ended for that reason.
	Next(ctx context.Context) (Event, error)
	// Close cuts the stream off without a good-bye. It may be called twice.
	Close()
}

// Event is what the stream tells at once.
type Event struct {
	// Revision is the token to resume from.
	Revision config.Token
	// Reset says to forget what is not in the event, Current that there is nothing
	// more to catch up with. A protocol may say the latter by an event of its own.
	Reset   bool
	Current bool
	Changes []Change
}

// Change is what is served of one config from then on.
type Change struct {
	Path    config.Path
	Version int64
	Format  string
	Digest  string
	Content []byte
	Deleted bool
}

// Reports is the data plane of what instances did with what they were sent.
type Reports interface {
	Report(ctx context.Context, all []center.InstanceReport) error
}

// Part is something that a protocol offers or lacks as a whole.
type Part string

// The parts. Each of the first ten is an interface that a Client implements;
// the others are abilities within one.
const (
	PartScopes    Part = "scopes"
	PartConfigs   Part = "configs"
	PartDrafts    Part = "drafts"
	PartReleases  Part = "releases"
	PartLaunches  Part = "launches"
	PartForesight Part = "foresight"
	PartInstances Part = "instances"
	PartReads     Part = "reads"
	PartWatches   Part = "watches"
	PartReports   Part = "reports"

	// PartConditions is Read.Have of a config, PartEnvConditions that of an env.
	PartConditions    Part = "conditional reads"
	PartEnvConditions Part = "conditional reads of envs"
	// PartFreshness is MinRevision and Strong of reads.
	PartFreshness Part = "freshness"
	// PartClaims is that a client that says too much of itself is refused.
	PartClaims Part = "limits of claims"
	// PartPresence is that a watch is open all the time, so that listings of
	// instances show it as connected.
	PartPresence Part = "presence"
	// PartWatchContent is Change.Content.
	PartWatchContent Part = "content in watches"
)

// interfaceKinds tells of each Part that is an interface whether a client has it.
var interfaceKinds = map[Part]func(Client) bool{
	PartScopes:    has[Scopes],
	PartConfigs:   has[Configs],
	PartDrafts:    has[Drafts],
	PartReleases:  has[Releases],
	PartLaunches:  has[Launches],
	PartForesight: has[Foresight],
	PartInstances: has[Instances],
	PartReads:     has[Reads],
	PartWatches:   has[Watches],
	PartReports:   has[Reports],
}

// abilityKinds are the parts that are within the part named.
var abilityKinds = map[Part]Part{
	PartConditions: PartReads, PartEnvConditions: PartReads, PartFreshness: PartReads, PartClaims: PartReads,
	PartPresence: PartWatches, PartWatchContent: PartWatches,
}

func has[I any](c Client) bool {
	_, ok := c.(I)
	return ok
}

// Caller is as whom, and as which instance, a client speaks.
type Caller struct {
	// Token is what it proves itself by; empty proves nothing.
	Token config.Secret
	// Instance is what it says of itself. Its Address is not sent.
	Instance config.Client
}
