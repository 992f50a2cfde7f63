package grpc

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"sort"
	"strings"
	"testing"

	rpc "google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/setpointhq/setpoint/api/setpointv1"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/protocoltest"
)

// client is a protocoltest.Client of every part, on code that protoc has made.
type client struct {
	conn     *rpc.ClientConn
	caller   protocoltest.Caller
	identity *setpointv1.ClientIdentity

	data      setpointv1.DataServiceClient
	scopes    setpointv1.ScopeServiceClient
	configs   setpointv1.ConfigServiceClient
	releases  setpointv1.ReleaseServiceClient
	launches  setpointv1.LaunchServiceClient
	insight   setpointv1.InsightServiceClient
	instances setpointv1.InstanceServiceClient
}

// dial connects to an address as somebody; an empty token sends no proof.
func dial(tb testing.TB, address string, secure *tls.Config, as protocoltest.Caller) *client {
	tb.Helper()
	said := as.Instance
	options := []rpc.DialOption{
		rpc.WithTransportCredentials(credentials.NewTLS(secure)),
		rpc.WithDefaultCallOptions(rpc.MaxCallRecvMsgSize(32 << 20)),
	}
	if !as.Token.Empty() {
		options = append(options, rpc.WithPerRPCCredentials(bearer(as.Token.Reveal())))
	}
	conn, err := rpc.NewClient("passthrough:///"+address, options...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	c := &client{
		conn: conn, caller: as, data: setpointv1.NewDataServiceClient(conn), scopes: setpointv1.NewScopeServiceClient(conn),
		configs: setpointv1.NewConfigServiceClient(conn), releases: setpointv1.NewReleaseServiceClient(conn),
		launches: setpointv1.NewLaunchServiceClient(conn), insight: setpointv1.NewInsightServiceClient(conn),
		instances: setpointv1.NewInstanceServiceClient(conn),
	}
	c.identity = &setpointv1.ClientIdentity{Id: said.ID, Labels: said.Labels, Slot: said.Slot}
	return c
}

// bearer is a token that goes with every call.
type bearer string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}
func (bearer) RequireTransportSecurity() bool { return true }

// claims says in metadata who the client is.
func (c *client) claims(ctx context.Context) context.Context {
	var labels []string
	for k, v := range c.identity.GetLabels() {
		labels = append(labels, k+"="+v)
	}
	return metadata.AppendToOutgoingContext(ctx, "setpoint-instance", c.identity.GetId(),
		"setpoint-labels", strings.Join(labels, ","), "setpoint-slot", c.identity.GetSlot())
}

// back makes of a status what the domain said.
func back(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	s := status.Convert(err)
	for _, d := range s.Details() {
		if detail, is := d.(*setpointv1.ErrorDetail); is {
			return errorOf(detail)
		}
	}
	// The library itself has refused it.
	kind := map[codes.Code]config.ErrorKind{
		codes.Canceled: config.Canceled, codes.DeadlineExceeded: config.Timeout,
		codes.ResourceExhausted: config.TooLarge, codes.Unavailable: config.Unavailable,
	}[s.Code()]
	return &config.Error{Kind: kind, Err: errors.New(s.Message())}
}

func errorOf(d *setpointv1.ErrorDetail) error {
	e := &config.Error{
		Op: d.GetOp(), Path: d.GetPath(), Current: d.GetCurrentVersion(), Err: errors.New(d.GetMessage()),
		Kind: config.ParseErrorKind(wordOf(d.GetKind().Descriptor(), d.GetKind().Number())),
	}
	for _, p := range d.GetProblems() {
		e.Problems = append(e.Problems, read[config.Problem](p))
	}
	return e
}

func (c *client) Close() { c.conn.Close() }

func (c *client) CreateTenant(ctx context.Context, t config.Tenant) (config.Tenant, error) {
	a, err := c.scopes.CreateTenant(ctx, &setpointv1.CreateTenantRequest{Name: t.Name, Description: t.Description})
	return read[config.Tenant](a.GetTenant()), back(err)
}

func (c *client) Tenant(ctx context.Context, name string) (config.Tenant, error) {
	a, err := c.scopes.GetTenant(ctx, &setpointv1.GetTenantRequest{Tenant: name})
	return read[config.Tenant](a.GetTenant()), back(err)
}

func (c *client) ListTenants(ctx context.Context, r center.PageRequest) (config.Page[config.Tenant], error) {
	a, err := c.scopes.ListTenants(ctx, &setpointv1.ListTenantsRequest{PageSize: int32(r.Limit), PageToken: r.After})
	return config.Page[config.Tenant]{Items: all(a.GetTenants(), readOf[*setpointv1.Tenant, config.Tenant]), Next: a.GetNextPageToken()}, back(err)
}

func (c *client) CreateApp(ctx context.Context, n config.App) (config.App, error) {
	a, err := c.scopes.CreateApp(ctx, &setpointv1.CreateAppRequest{Tenant: n.Tenant, Name: n.Name, Description: n.Description})
	return read[config.App](a.GetApp()), back(err)
}

func (c *client) ListApps(ctx context.Context, tenant string, r center.PageRequest) (config.Page[config.App], error) {
	a, err := c.scopes.ListApps(ctx, &setpointv1.ListAppsRequest{Tenant: tenant, PageSize: int32(r.Limit), PageToken: r.After})
	return config.Page[config.App]{Items: all(a.GetApps(), readOf[*setpointv1.App, config.App]), Next: a.GetNextPageToken()}, back(err)
}

func (c *client) CreateEnv(ctx context.Context, e config.Env) (config.Env, error) {
	a, err := c.scopes.CreateEnv(ctx, &setpointv1.CreateEnvRequest{
		App: e.Tenant + "/" + e.App, Name: e.Name, Kind: string(e.Kind), Description: e.Description, Protected: e.Protected,
		Order: int32(e.Order), Freezes: all(e.Freezes, freezeOf),
	})
	return read[config.Env](a.GetEnv()), back(err)
}

func (c *client) ListEnvs(ctx context.Context, app config.Path) ([]config.Env, error) {
	a, err := c.scopes.ListEnvs(ctx, &setpointv1.ListEnvsRequest{App: app.String()})
	return all(a.GetEnvs(), readOf[*setpointv1.Env, config.Env]), back(err)
}

func (c *client) UpdateEnv(ctx context.Context, p center.EnvPatch) (config.Env, error) {
	in := &setpointv1.UpdateEnvRequest{
		Path: p.Path.String(), Kind: (*string)(p.Kind), Description: p.Description, Protected: p.Protected, ExpectedRevision: string(p.Expected),
	}
	if p.Order != nil {
		order := int32(*p.Order)
		in.Order = &order
	}
	if p.Freezes != nil {
		in.Freezes = &setpointv1.Freezes{Items: all(*p.Freezes, freezeOf)}
	}
	a, err := c.scopes.UpdateEnv(ctx, in)
	return read[config.Env](a.GetEnv()), back(err)
}

func (c *client) DeleteScope(ctx context.Context, path config.Path, expected config.Token) error {
	var err error
	switch path.Level() {
	case config.LevelTenant:
		_, err = c.scopes.DeleteTenant(ctx, &setpointv1.DeleteTenantRequest{Tenant: path.Tenant, ExpectedRevision: string(expected)})
	case config.LevelApp:
		_, err = c.scopes.DeleteApp(ctx, &setpointv1.DeleteAppRequest{Path: path.String(), ExpectedRevision: string(expected)})
	default:
		_, err = c.scopes.DeleteEnv(ctx, &setpointv1.DeleteEnvRequest{Path: path.String(), ExpectedRevision: string(expected)})
	}
	return back(err)
}

func (c *client) CreateConfig(ctx context.Context, n config.Config) (config.State, error) {
	a, err := c.configs.CreateConfig(ctx, &setpointv1.CreateConfigRequest{
		Path: n.Path.String(), Kind: configKindWords.of(n.Kind), Format: n.Format, File: n.File, Description: n.Description, Labels: n.Labels,
	})
	return read[config.State](a.GetConfig()), back(err)
}

func (c *client) Config(ctx context.Context, path config.Path) (config.State, error) {
	a, err := c.configs.GetConfig(ctx, &setpointv1.GetConfigRequest{Path: path.String()})
	return read[config.State](a.GetConfig()), back(err)
}

func (c *client) ListConfigs(ctx context.Context, r center.ConfigsRequest) (config.Page[config.State], error) {
	a, err := c.configs.ListConfigs(ctx, &setpointv1.ListConfigsRequest{
		Env: r.Env.String(), PageSize: int32(r.Limit), PageToken: r.After, Prefix: r.Prefix, Deleted: r.Deleted,
	})
	return config.Page[config.State]{Items: all(a.GetConfigs(), readOf[*setpointv1.ConfigState, config.State]), Next: a.GetNextPageToken()}, back(err)
}

func (c *client) UpdateConfig(ctx context.Context, p center.ConfigPatch) (config.State, error) {
	in := &setpointv1.UpdateConfigRequest{
		Path: p.Path.String(), Format: p.Format, File: p.File, Description: p.Description, ExpectedRevision: string(p.Expected),
	}
	if p.Labels != nil {
		in.Labels = &setpointv1.Labels{Entries: *p.Labels}
	}
	a, err := c.configs.UpdateConfig(ctx, in)
	return read[config.State](a.GetConfig()), back(err)
}

func (c *client) DeleteConfig(ctx context.Context, d center.DeleteConfig) error {
	_, err := c.configs.DeleteConfig(ctx, &setpointv1.DeleteConfigRequest{
		Path: d.Path.String(), Comment: d.Comment, ExpectedVersion: d.ExpectedVersion, Purge: d.Purge, OverrideFreeze: d.OverrideFreeze,
	})
	return back(err)
}

func (c *client) UndeleteConfig(ctx context.Context, path config.Path, comment string) (config.State, error) {
	a, err := c.configs.UndeleteConfig(ctx, &setpointv1.UndeleteConfigRequest{Path: path.String(), Comment: comment})
	return read[config.State](a.GetConfig()), back(err)
}

func (c *client) SaveDraft(ctx context.Context, d center.SaveDraft) (config.Draft, []config.Problem, error) {
	a, err := c.configs.SaveDraft(ctx, &setpointv1.SaveDraftRequest{
		Path: d.Path.String(), Content: d.Content, Format: d.Format, ExpectedRevision: (*string)(d.Expected),
	})
	draft := read[config.Draft](a.GetDraft())
	if err == nil {
		draft.Content = d.Content // which is not sent back
	}
	return draft, all(a.GetProblems(), readOf[*setpointv1.Problem, config.Problem]), back(err)
}

func (c *client) Draft(ctx context.Context, path config.Path) (config.Draft, error) {
	a, err := c.configs.GetDraft(ctx, &setpointv1.GetDraftRequest{Path: path.String()})
	return read[config.Draft](a.GetDraft()), back(err)
}

func (c *client) DeleteDraft(ctx context.Context, path config.Path, expected config.Token) error {
	_, err := c.configs.DeleteDraft(ctx, &setpointv1.DeleteDraftRequest{Path: path.String(), ExpectedRevision: string(expected)})
	return back(err)
}

// readOf is read for lists.
func readOf[M interface {
	comparable
	protoMessage
}, T any](m M) T {
	return read[T](m)
}

// sorted brings what is served and what is gone into the order of paths.
func sorted(changes []protocoltest.Change) []protocoltest.Change {
	sort.Slice(changes, func(i, j int) bool { return changes[i].Path.String() < changes[j].Path.String() })
	return changes
}
