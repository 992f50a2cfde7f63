package protocoltest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

// Reference is the adapter that speaks to the center itself, without a wire.
// Other protocols are compared with it, and are handed what it was told: a token
// of one protocol is good for every other.
func Reference() Protocol {
	return Protocol{
		Name:    "reference",
		Connect: func(_ testing.TB, n *Node, as Caller) Client { return newReference(n, as) },
		Native:  func(err *config.Error) (string, error) { return err.Kind.String(), err },
		Lacks:   map[Part]string{PartClaims: "protocols bound what they read; the center takes clients at their word"},
	}
}

// reference is a Client of every part.
type reference struct {
	node   *Node
	caller Caller
	closed chan struct{}
	once   sync.Once
}

func newReference(n *Node, as Caller) *reference {
	as.Instance.Address = "127.0.0.1"
	return &reference{node: n, caller: as, closed: make(chan struct{})}
}

// Close implements Client.
func (r *reference) Close() { r.once.Do(func() { close(r.closed) }) }

// as proves the caller, as a protocol does for every request.
func (r *reference) as(ctx context.Context) (context.Context, error) {
	ctx = auth.WithRequest(ctx, auth.Request{ID: "reference", Address: r.caller.Instance.Address})
	id, err := r.node.chain.Authenticate(ctx, auth.Credentials{Token: r.caller.Token, Address: r.caller.Instance.Address})
	return auth.WithIdentity(ctx, id), err
}

// ask calls a method of the center as the caller.
func ask[Q, A any](ctx context.Context, r *reference, method func(*center.Center, context.Context, Q) (A, error), q Q) (A, error) {
	ctx, err := r.as(ctx)
	if err != nil {
		var none A
		return none, err
	}
	answer, err := method(r.node.Center, ctx, q)
	return answer, concealed(err)
}

// concealed keeps the cause of a defect from the client.
func concealed(err error) error {
	if err == nil || config.KindOf(err) != config.Internal {
		return err
	}
	e := *config.AsError(err)
	e.Err = nil
	return &e
}

// ask2 is ask for a method that takes two.
func ask2[P, Q, A any](ctx context.Context, r *reference, method func(*center.Center, context.Context, P, Q) (A, error), p P, q Q) (A, error) {
	return ask(ctx, r, func(c *center.Center, ctx context.Context, _ struct{}) (A, error) { return method(c, ctx, p, q) }, struct{}{})
}

// do is ask for a method that has no answer.
func do(ctx context.Context, r *reference, method func(*center.Center, context.Context) error) error {
	_, err := ask(ctx, r, func(c *center.Center, ctx context.Context, _ struct{}) (struct{}, error) {
		return struct{}{}, method(c, ctx)
	}, struct{}{})
	return err
}

// CreateTenant implements Scopes.
func (r *reference) CreateTenant(ctx context.Context, t config.Tenant) (config.Tenant, error) {
	return ask(ctx, r, (*center.Center).CreateTenant, t)
}

// Tenant implements Scopes.
func (r *reference) Tenant(ctx context.Context, name string) (config.Tenant, error) {
	return ask(ctx, r, (*center.Center).Tenant, name)
}

// ListTenants implements Scopes.
func (r *reference) ListTenants(ctx context.Context, q center.PageRequest) (config.Page[config.Tenant], error) {
	return ask(ctx, r, (*center.Center).Tenants, q)
}

// CreateApp implements Scopes.
func (r *reference) CreateApp(ctx context.Context, a config.App) (config.App, error) {
	return ask(ctx, r, (*center.Center).CreateApp, a)
}

// ListApps implements Scopes.
func (r *reference) ListApps(ctx context.Context, tenant string, q center.PageRequest) (config.Page[config.App], error) {
	return ask2(ctx, r, (*center.Center).Apps, tenant, q)
}

// CreateEnv implements Scopes.
func (r *reference) CreateEnv(ctx context.Context, e config.Env) (config.Env, error) {
	return ask(ctx, r, (*center.Center).CreateEnv, e)
}

// ListEnvs implements Scopes.
func (r *reference) ListEnvs(ctx context.Context, app config.Path) ([]config.Env, error) {
	return ask(ctx, r, (*center.Center).Envs, app)
}

// UpdateEnv implements Scopes.
func (r *reference) UpdateEnv(ctx context.Context, p center.EnvPatch) (config.Env, error) {
	return ask(ctx, r, (*center.Center).UpdateEnv, p)
}

// DeleteScope implements Scopes.
func (r *reference) DeleteScope(ctx context.Context, path config.Path, expected config.Token) error {
	return do(ctx, r, func(c *center.Center, ctx context.Context) error {
		switch path.Level() {
		case config.LevelTenant:
			return c.DeleteTenant(ctx, path.Tenant, expected)
		case config.LevelApp:
			return c.DeleteApp(ctx, path, expected)
		default:
			return c.DeleteEnv(ctx, path, expected)
		}
	})
}

// CreateConfig implements Configs.
func (r *reference) CreateConfig(ctx context.Context, c config.Config) (config.State, error) {
	return ask(ctx, r, (*center.Center).CreateConfig, c)
}

// Config implements Configs.
func (r *reference) Config(ctx context.Context, path config.Path) (config.State, error) {
	return ask(ctx, r, (*center.Center).Config, path)
}

// ListConfigs implements Configs.
func (r *reference) ListConfigs(ctx context.Context, q center.ConfigsRequest) (config.Page[config.State], error) {
	return ask(ctx, r, (*center.Center).Configs, q)
}

// UpdateConfig implements Configs.
func (r *reference) UpdateConfig(ctx context.Context, p center.ConfigPatch) (config.State, error) {
	return ask(ctx, r, (*center.Center).UpdateConfig, p)
}

// DeleteConfig implements Configs.
func (r *reference) DeleteConfig(ctx context.Context, d center.DeleteConfig) error {
	return do(ctx, r, func(c *center.Center, ctx context.Context) error { return c.DeleteConfig(ctx, d) })
}

// UndeleteConfig implements Configs.
func (r *reference) UndeleteConfig(ctx context.Context, path config.Path, comment string) (config.State, error) {
	return ask2(ctx, r, (*center.Center).UndeleteConfig, path, comment)
}

// SaveDraft implements Drafts.
func (r *reference) SaveDraft(ctx context.Context, d center.SaveDraft) (draft config.Draft, problems []config.Problem, err error) {
	err = do(ctx, r, func(c *center.Center, ctx context.Context) (err error) {
		draft, problems, err = c.SaveDraft(ctx, d)
		return err
	})
	return draft, problems, err
}

// Draft implements Drafts.
func (r *reference) Draft(ctx context.Context, path config.Path) (config.Draft, error) {
	return ask(ctx, r, (*center.Center).Draft, path)
}

// DeleteDraft implements Drafts.
func (r *reference) DeleteDraft(ctx context.Context, path config.Path, expected config.Token) error {
	return do(ctx, r, func(c *center.Center, ctx context.Context) error { return c.DeleteDraft(ctx, path, expected) })
}

// Publish implements Releases.
func (r *reference) Publish(ctx context.Context, p center.Publish) (config.ChangeSet, error) {
	return ask(ctx, r, (*center.Center).Publish, p)
}

// Rollback implements Releases.
func (r *reference) Rollback(ctx context.Context, q center.Rollback) (config.ChangeSet, error) {
	return ask(ctx, r, (*center.Center).Rollback, q)
}

// Promote implements Releases.
func (r *reference) Promote(ctx context.Context, p center.Promote) (config.ChangeSet, error) {
	return ask(ctx, r, (*center.Center).Promote, p)
}

// Release implements Releases.
func (r *reference) Release(ctx context.Context, path config.Path, version int64) (release config.Release, content []byte, err error) {
	err = do(ctx, r, func(c *center.Center, ctx context.Context) (err error) {
		release, content, err = c.Release(ctx, path, version)
		return err
	})
	return release, content, err
}

// ListReleases implements Releases.
func (r *reference) ListReleases(ctx context.Context, path config.Path, q center.PageRequest) (config.Page[config.Release], error) {
	return ask2(ctx, r, (*center.Center).Releases, path, q)
}

// ListChangeSets implements Releases.
func (r *reference) ListChangeSets(ctx context.Context, tenant string, q center.PageRequest) (config.Page[config.ChangeSet], error) {
	return ask2(ctx, r, (*center.Center).ChangeSets, tenant, q)
}

// Launch implements Launches.
func (r *reference) Launch(ctx context.Context, q center.LaunchRef) (config.Launch, error) {
	return ask(ctx, r, (*center.Center).Launch, q)
}

// ListLaunches implements Launches.
func (r *reference) ListLaunches(ctx context.Context, q center.LaunchesRequest) (config.Page[config.Launch], error) {
	return ask(ctx, r, (*center.Center).Launches, q)
}

// AdvanceLaunch implements Launches.
func (r *reference) AdvanceLaunch(ctx context.Context, a center.LaunchAct) (config.Launch, error) {
	return ask(ctx, r, (*center.Center).AdvanceLaunch, a)
}

// PauseLaunch implements Launches.
func (r *reference) PauseLaunch(ctx context.Context, a center.LaunchAct) (config.Launch, error) {
	return ask(ctx, r, (*center.Center).PauseLaunch, a)
}

// ResumeLaunch implements Launches.
func (r *reference) ResumeLaunch(ctx context.Context, a center.LaunchAct) (config.Launch, error) {
	return ask(ctx, r, (*center.Center).ResumeLaunch, a)
}

// SwitchLaunch implements Launches.
func (r *reference) SwitchLaunch(ctx context.Context, a center.SwitchLaunch) (config.Launch, error) {
	return ask(ctx, r, (*center.Center).SwitchLaunch, a)
}

// AbortLaunch implements Launches.
func (r *reference) AbortLaunch(ctx context.Context, a center.LaunchAct) (config.Launch, error) {
	return ask(ctx, r, (*center.Center).AbortLaunch, a)
}

// PromoteLaunch implements Launches.
func (r *reference) PromoteLaunch(ctx context.Context, a center.LaunchAct) (config.Launch, error) {
	return ask(ctx, r, (*center.Center).PromoteLaunch, a)
}

// Preview implements Foresight.
func (r *reference) Preview(ctx context.Context, q center.PreviewRequest) (config.Preview, error) {
	return ask(ctx, r, (*center.Center).Preview, q)
}

// Explain implements Foresight.
func (r *reference) Explain(ctx context.Context, q center.ExplainRequest) (config.Explained, error) {
	return ask(ctx, r, (*center.Center).Explain, q)
}

// ListInstances implements Instances.
func (r *reference) ListInstances(ctx context.Context, q center.InstanceRequest) (center.InstanceList, error) {
	return ask(ctx, r, (*center.Center).Instances, q)
}

// Get implements Reads.
func (r *reference) Get(ctx context.Context, q Read) (Served, error) {
	return ask(ctx, r, func(c *center.Center, ctx context.Context, q Read) (Served, error) {
		got, err := c.Get(ctx, center.Read{Path: q.Path, Client: r.caller.Instance, Protocol: "reference", Freshness: q.Freshness})
		if err != nil {
			return Served{}, err
		}
		s := Served{Version: got.Release.Version, Format: got.Release.Format, Revision: got.Revision, Tag: got.Release.Digest}
		if s.NotModified = q.Have == s.Tag; !s.NotModified {
			s.Content, err = c.Content(ctx, got.Release)
		}
		return s, err
	}, q)
}

// Snapshot implements Reads.
func (r *reference) Snapshot(ctx context.Context, q Read) (Snapshot, error) {
	return ask(ctx, r, func(c *center.Center, ctx context.Context, q Read) (Snapshot, error) {
		got, err := c.Snapshot(ctx, center.ReadEnv{Env: q.Path, Client: r.caller.Instance, Protocol: "reference", Freshness: q.Freshness})
		if err != nil {
			return Snapshot{}, err
		}
		s := Snapshot{Revision: got.Revision, Tag: "-"}
		for _, release := range got.Releases {
			content, err := c.Content(ctx, release)
			if err != nil {
				return s, err
			}
			s.Tag += release.Digest
			s.Configs = append(s.Configs, ServedConfig{
				Path: release.Path, Version: release.Version, Format: release.Format, Digest: release.Digest, Content: content,
			})
		}
		if s.NotModified = q.Have == s.Tag; s.NotModified {
			s.Configs = nil
		}
		return s, nil
	}, q)
}

// Report implements Reports.
func (r *reference) Report(ctx context.Context, all []center.InstanceReport) error {
	return do(ctx, r, func(c *center.Center, ctx context.Context) error {
		return c.Report(ctx, center.ReportRequest{Client: r.caller.Instance, Protocol: "reference", Reports: all})
	})
}

// Watch implements Watches.
func (r *reference) Watch(ctx context.Context, q WatchRequest) (Stream, error) {
	select {
	case <-r.node.draining:
		return nil, config.Errorf(config.Unavailable, "config.watch", "", "this node is shutting down")
	default:
	}
	s := &referenceStream{reference: r, wake: make(chan struct{}, 1)}
	watch, err := ask(ctx, r, func(c *center.Center, ctx context.Context, q WatchRequest) (*center.Watch, error) {
		return c.Watch(ctx, center.WatchRequest{
			Patterns: q.Patterns, Client: r.caller.Instance, After: q.After, Protocol: "reference",
		}, s.notify)
	}, q)
	if err != nil {
		return nil, err
	}
	s.watch = watch
	return s, nil
}

// referenceStream is a subscription of the center.
type referenceStream struct {
	*reference
	watch *center.Watch
	wake  chan struct{} // room for one: to be woken twice is to be woken
}

func (s *referenceStream) notify() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// proofPeriod is how often a stream looks whether its token is still good.
const proofPeriod = 20 * time.Millisecond

// Next implements Stream.
func (s *referenceStream) Next(ctx context.Context) (Event, error) {
	prove := time.NewTicker(proofPeriod)
	defer prove.Stop()
	for {
		ctx, err := s.as(ctx)
		if err != nil {
			return Event{}, err
		}
		d, more, err := s.watch.Next()
		if err != nil {
			return Event{}, err
		}
		if more {
			return s.event(ctx, d)
		}
		select {
		case <-s.wake:
		case <-prove.C:
		case <-s.closed:
			return Event{}, config.Errorf(config.Canceled, "config.watch", "", "the client was closed")
		case <-s.node.draining:
			return Event{}, config.Errorf(config.Unavailable, "config.watch", "", "this node is shutting down")
		case <-ctx.Done():
			return Event{}, config.AsError(ctx.Err())
		}
	}
}

func (s *referenceStream) event(ctx context.Context, d center.Delivery) (Event, error) {
	e := Event{Revision: d.Revision, Reset: d.Reset, Current: d.Current}
	for _, c := range d.Changes {
		if c.Release == nil {
			e.Changes = append(e.Changes, Change{Path: c.Path, Deleted: true})
			continue
		}
		content, err := s.watch.Content(ctx, c.Release)
		if err != nil {
			return e, err
		}
		e.Changes = append(e.Changes, Change{
			Path: c.Path, Version: c.Release.Version, Format: c.Release.Format, Digest: c.Release.Digest, Content: content,
		})
	}
	return e, nil
}

// Close implements Stream.
func (s *referenceStream) Close() { s.watch.Close() }
