package grpc

import (
	"context"
	"errors"
	"io"

	rpc "google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/setpointhq/setpoint/api/setpointv1"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/protocoltest"
)

type protoMessage = proto.Message

func optionsOf(o center.ReleaseOptions) *setpointv1.ReleaseOptions {
	m := &setpointv1.ReleaseOptions{BeginsAt: timeOf(o.BeginsAt), OnRunning: onRunningWords.of(o.OnRunning), OverrideFreeze: o.OverrideFreeze}
	if l := o.Launch; l != nil {
		m.Launch = &setpointv1.LaunchOptions{Strategy: strategyOf(&l.Strategy), Gate: gateOf(l.Gate), ExpiresAfter: spanOf(l.ExpiresAfter)}
	}
	return m
}

func refOf(r center.LaunchRef) *setpointv1.LaunchRef {
	return &setpointv1.LaunchRef{Tenant: r.Tenant, Id: r.ID, Path: r.Path.String()}
}

func actOf(a center.LaunchAct) *setpointv1.LaunchAct {
	return &setpointv1.LaunchAct{
		Launch: refOf(a.LaunchRef), Comment: a.Comment, ExpectedRevision: string(a.Expected), OverrideFreeze: a.OverrideFreeze,
	}
}

func (c *client) Publish(ctx context.Context, p center.Publish) (config.ChangeSet, error) {
	in := &setpointv1.PublishRequest{Tenant: p.Tenant, Comment: p.Comment, Options: optionsOf(p.ReleaseOptions)}
	for _, i := range p.Items {
		item := &setpointv1.PublishItem{
			Path: i.Path.String(), Format: i.Format, File: i.File, Description: i.Description, Labels: i.Labels,
			ExpectedVersion: i.ExpectedVersion, SkipUnchanged: i.SkipUnchanged, Source: &setpointv1.PublishItem_Content{Content: i.Content},
		}
		if i.FromDraft {
			item.Source = &setpointv1.PublishItem_Draft{Draft: &setpointv1.DraftSource{Revision: string(i.DraftRevision)}}
		}
		in.Items = append(in.Items, item)
	}
	a, err := c.releases.Publish(ctx, in)
	return read[config.ChangeSet](a.GetChangeSet()), back(err)
}

func (c *client) Rollback(ctx context.Context, r center.Rollback) (config.ChangeSet, error) {
	a, err := c.releases.Rollback(ctx, &setpointv1.RollbackRequest{
		Path: r.Path.String(), Version: r.Version, Comment: r.Comment, ExpectedVersion: r.ExpectedVersion,
	})
	return read[config.ChangeSet](a.GetChangeSet()), back(err)
}

func (c *client) Promote(ctx context.Context, p center.Promote) (config.ChangeSet, error) {
	a, err := c.releases.Promote(ctx, &setpointv1.PromoteRequest{
		FromEnv: p.From.String(), ToEnv: p.To.String(), Names: p.Names, Comment: p.Comment, Backward: p.Backward, DryRun: p.DryRun,
		Options: optionsOf(p.ReleaseOptions),
	})
	return read[config.ChangeSet](a.GetChangeSet()), back(err)
}

func (c *client) Release(ctx context.Context, path config.Path, version int64) (config.Release, []byte, error) {
	a, err := c.releases.GetRelease(ctx, &setpointv1.GetReleaseRequest{Path: path.String(), Version: version})
	return read[config.Release](a.GetRelease()), a.GetContent(), back(err)
}

func (c *client) ListReleases(ctx context.Context, path config.Path, r center.PageRequest) (config.Page[config.Release], error) {
	a, err := c.releases.ListReleases(ctx, &setpointv1.ListReleasesRequest{Path: path.String(), PageSize: int32(r.Limit), PageToken: r.After})
	return config.Page[config.Release]{Items: all(a.GetReleases(), readOf[*setpointv1.Release, config.Release]), Next: a.GetNextPageToken()}, back(err)
}

func (c *client) ListChangeSets(ctx context.Context, tenant string, r center.PageRequest) (config.Page[config.ChangeSet], error) {
	a, err := c.releases.ListChangeSets(ctx, &setpointv1.ListChangeSetsRequest{Tenant: tenant, PageSize: int32(r.Limit), PageToken: r.After})
	return config.Page[config.ChangeSet]{Items: all(a.GetChangeSets(), readOf[*setpointv1.ChangeSet, config.ChangeSet]), Next: a.GetNextPageToken()}, back(err)
}

func (c *client) Launch(ctx context.Context, r center.LaunchRef) (config.Launch, error) {
	a, err := c.launches.GetLaunch(ctx, &setpointv1.GetLaunchRequest{Launch: refOf(r)})
	return read[config.Launch](a.GetLaunch()), back(err)
}

func (c *client) ListLaunches(ctx context.Context, r center.LaunchesRequest) (config.Page[config.Launch], error) {
	a, err := c.launches.ListLaunches(ctx, &setpointv1.ListLaunchesRequest{
		Tenant: r.Tenant, PageSize: int32(r.Limit), PageToken: r.After, Path: r.Path.String(), All: r.All,
	})
	return config.Page[config.Launch]{Items: all(a.GetLaunches(), readOf[*setpointv1.Launch, config.Launch]), Next: a.GetNextPageToken()}, back(err)
}

func (c *client) AdvanceLaunch(ctx context.Context, act center.LaunchAct) (config.Launch, error) {
	a, err := c.launches.AdvanceLaunch(ctx, &setpointv1.AdvanceLaunchRequest{Act: actOf(act)})
	return read[config.Launch](a.GetLaunch()), back(err)
}

func (c *client) PauseLaunch(ctx context.Context, act center.LaunchAct) (config.Launch, error) {
	a, err := c.launches.PauseLaunch(ctx, &setpointv1.PauseLaunchRequest{Act: actOf(act)})
	return read[config.Launch](a.GetLaunch()), back(err)
}

func (c *client) ResumeLaunch(ctx context.Context, act center.LaunchAct) (config.Launch, error) {
	a, err := c.launches.ResumeLaunch(ctx, &setpointv1.ResumeLaunchRequest{Act: actOf(act)})
	return read[config.Launch](a.GetLaunch()), back(err)
}

func (c *client) SwitchLaunch(ctx context.Context, s center.SwitchLaunch) (config.Launch, error) {
	a, err := c.launches.SwitchLaunch(ctx, &setpointv1.SwitchLaunchRequest{Act: actOf(s.LaunchAct), To: s.To})
	return read[config.Launch](a.GetLaunch()), back(err)
}

func (c *client) AbortLaunch(ctx context.Context, act center.LaunchAct) (config.Launch, error) {
	a, err := c.launches.AbortLaunch(ctx, &setpointv1.AbortLaunchRequest{Act: actOf(act)})
	return read[config.Launch](a.GetLaunch()), back(err)
}

func (c *client) PromoteLaunch(ctx context.Context, act center.LaunchAct) (config.Launch, error) {
	a, err := c.launches.PromoteLaunch(ctx, &setpointv1.PromoteLaunchRequest{Act: actOf(act)})
	return read[config.Launch](a.GetLaunch()), back(err)
}

func (c *client) Preview(ctx context.Context, r center.PreviewRequest) (config.Preview, error) {
	in := &setpointv1.PreviewRequest{PageSize: int32(r.Limit), PageToken: r.After}
	if ch := r.Change; ch != nil {
		change := &setpointv1.PreviewChange{Launch: refOf(ch.LaunchRef), Share: (*int32)(ch.Share), Change: launchChangeWords.of(ch.Change)}
		if ch.Strategy != nil {
			change.Strategy = strategyOf(ch.Strategy)
		}
		in.About = &setpointv1.PreviewRequest_Change{Change: change}
	} else {
		start := &setpointv1.PreviewStart{Options: optionsOf(r.ReleaseOptions)}
		for _, p := range r.Paths {
			start.Paths = append(start.Paths, p.String())
		}
		in.About = &setpointv1.PreviewRequest_Start{Start: start}
	}
	a, err := c.insight.Preview(ctx, in)
	return read[config.Preview](a), back(err)
}

func (c *client) Explain(ctx context.Context, r center.ExplainRequest) (config.Explained, error) {
	in := &setpointv1.ExplainRequest{Path: r.Path.String(), Instance: r.Client.ID, Slot: r.Client.Slot, Address: r.Client.Address}
	if r.Client.Labels != nil {
		in.Labels = &setpointv1.Labels{Entries: r.Client.Labels}
	}
	if r.At != "" {
		in.When = &setpointv1.ExplainRequest_At{At: string(r.At)}
	}
	if !r.Time.IsZero() {
		in.When = &setpointv1.ExplainRequest_Time{Time: timeOf(r.Time)}
	}
	a, err := c.insight.Explain(ctx, in)
	return read[config.Explained](a), back(err)
}

func (c *client) ListInstances(ctx context.Context, r center.InstanceRequest) (center.InstanceList, error) {
	in := &setpointv1.ListInstancesRequest{
		Path: r.Path.String(), PageSize: int32(r.Limit), PageToken: r.After, Version: r.Version, State: instanceStateWords.of(r.State),
	}
	if r.State != "" && in.State == 0 {
		in.State = 99 // as odd as the word
	}
	a, err := c.instances.ListInstances(ctx, in)
	return read[center.InstanceList](a), back(err)
}

func freshnessOf(f center.Freshness) *setpointv1.Freshness {
	m := &setpointv1.Freshness{MinRevision: string(f.MinRevision)}
	if f.Strong {
		m.Consistency = setpointv1.Consistency_CONSISTENCY_STRONG
	}
	return m
}

func (c *client) Get(ctx context.Context, r protocoltest.Read) (protocoltest.Served, error) {
	a, err := c.data.ReadConfig(ctx, &setpointv1.ReadConfigRequest{
		Path: r.Path.String(), Client: c.identity, Freshness: freshnessOf(r.Freshness), HeldDigest: r.Have,
	})
	if err != nil {
		return protocoltest.Served{}, back(err)
	}
	s := a.GetConfig()
	return protocoltest.Served{
		Version: s.GetVersion(), Format: s.GetFormat(), Content: s.GetContent(), Revision: config.Token(a.GetRevision()),
		Tag: s.GetDigest(), NotModified: a.GetUnchanged(),
	}, nil
}

func (c *client) Snapshot(ctx context.Context, r protocoltest.Read) (protocoltest.Snapshot, error) {
	var s protocoltest.Snapshot
	in, err := c.data.ReadEnv(c.claims(ctx), &setpointv1.ReadEnvRequest{
		Env: r.Path.String(), Freshness: freshnessOf(r.Freshness), HeldDigest: r.Have,
	})
	for first := true; err == nil; first = false {
		var m *setpointv1.ReadEnvResponse
		if m, err = in.Recv(); err != nil {
			break
		}
		if first {
			s.Revision, s.Tag, s.NotModified = config.Token(m.GetRevision()), m.GetDigest(), m.GetUnchanged()
		}
		for _, served := range m.GetConfigs() {
			s.Configs = append(s.Configs, servedConfig(served))
		}
	}
	if errors.Is(err, io.EOF) {
		return s, nil
	}
	return protocoltest.Snapshot{}, back(err)
}

func servedConfig(m *setpointv1.ServedConfig) protocoltest.ServedConfig {
	return protocoltest.ServedConfig{
		Path: mustPath(m.GetPath()), Version: m.GetVersion(), Format: m.GetFormat(), Digest: m.GetDigest(), Content: m.GetContent(),
	}
}

func mustPath(text string) config.Path {
	p, err := config.ParsePath(text)
	if err != nil {
		panic(err)
	}
	return p
}

func (c *client) Report(ctx context.Context, reports []center.InstanceReport) error {
	in := &setpointv1.ReportRequest{Client: c.identity}
	for _, r := range reports {
		in.Reports = append(in.Reports, &setpointv1.InstanceReport{
			Path: r.Path.String(), Version: r.Version, State: ackStateWords.of(r.State), Why: r.Why,
		})
	}
	_, err := c.data.Report(ctx, in)
	return back(err)
}

// watch is a protocoltest.Stream.
type watch struct {
	rpc.BidiStreamingClient[setpointv1.WatchRequest, setpointv1.WatchResponse]
	cancel context.CancelFunc
	events chan event // of the one that is read ahead
}

type event struct {
	protocoltest.Event
	err error
}

func (c *client) Watch(_ context.Context, r protocoltest.WatchRequest) (protocoltest.Stream, error) {
	ctx, cancel := context.WithCancel(context.Background())
	open, err := c.data.Watch(ctx)
	if err != nil {
		cancel()
		return nil, back(err)
	}
	for _, m := range []*setpointv1.WatchRequest{
		{Act: &setpointv1.WatchRequest_Hello{Hello: &setpointv1.WatchHello{Client: c.identity}}},
		{Act: &setpointv1.WatchRequest_Subscribe{Subscribe: &setpointv1.WatchSubscribe{Patterns: r.Patterns, After: string(r.After)}}},
	} {
		// What is wrong is what Recv returns.
		_ = open.Send(m)
	}
	w := &watch{BidiStreamingClient: open, cancel: cancel, events: make(chan event)}
	go func() {
		defer cancel()
		for {
			e, err := w.event()
			select {
			case w.events <- event{e, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return w, nil
}

func (w *watch) Close() { w.cancel() }

func (w *watch) Next(ctx context.Context) (protocoltest.Event, error) {
	select {
	case e := <-w.events:
		return e.Event, e.err
	case <-ctx.Done():
		return protocoltest.Event{}, ctx.Err()
	}
}

// event waits for changes, whole.
func (w *watch) event() (protocoltest.Event, error) {
	var e protocoltest.Event
	for {
		m, err := w.Recv()
		if err != nil {
			return e, back(err)
		}
		switch is := m.GetEvent().(type) {
		case *setpointv1.WatchResponse_GoingAway:
			return e, config.Errorf(config.Unavailable, "", "", "going away")
		case *setpointv1.WatchResponse_SubscriptionEnded:
			return e, errorOf(is.SubscriptionEnded.GetError())
		case *setpointv1.WatchResponse_Changes:
			c := is.Changes
			e.Revision, e.Reset, e.Current = config.Token(c.GetRevision()), e.Reset || c.GetReset_(), c.GetCurrent()
			for _, s := range c.GetServed() {
				n := servedConfig(s)
				e.Changes = append(e.Changes, protocoltest.Change{Path: n.Path, Version: n.Version, Format: n.Format, Digest: n.Digest, Content: n.Content})
			}
			for _, path := range c.GetRemoved() {
				e.Changes = append(e.Changes, protocoltest.Change{Path: mustPath(path), Deleted: true})
			}
			if !c.GetPartial() {
				sorted(e.Changes)
				return e, nil
			}
		}
	}
}
