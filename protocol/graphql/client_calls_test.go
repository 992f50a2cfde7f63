package graphql

import (
	"cmp"
	"context"
	"encoding/base64"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/protocoltest"
)

// questioner is an asker that knows how the suite's questions are asked.
type questioner struct {
	*asker
	tb testing.TB
}

// saidIf leaves out what says nothing.
func saidIf[T comparable](v T) any {
	var zero T
	if v == zero {
		return nil
	}
	return v
}

// the returns what is there.
func the[T any](v *T) any {
	if v == nil {
		return nil
	}
	return *v
}

// pathIf leaves out a path that says nothing.
func pathIf(p config.Path) any { return saidIf(p.String()) }

// moment leaves out a time that says nothing.
func moment(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t
}

func paged(r center.PageRequest, args arguments) arguments {
	args["limit"], args["after"] = saidIf(r.Limit), saidIf(r.After)
	return args
}

func (s *questioner) CreateTenant(ctx context.Context, t config.Tenant) (config.Tenant, error) {
	return ask[config.Tenant](ctx, s.asker, "createTenant", arguments{"input": s.input(s.tb, "CreateTenantInput", t)})
}

func (s *questioner) Tenant(ctx context.Context, name string) (config.Tenant, error) {
	return ask[config.Tenant](ctx, s.asker, "tenant", arguments{"name": name})
}

func (s *questioner) ListTenants(ctx context.Context, r center.PageRequest) (config.Page[config.Tenant], error) {
	return ask[config.Page[config.Tenant]](ctx, s.asker, "tenants", paged(r, arguments{}))
}

func (s *questioner) CreateApp(ctx context.Context, a config.App) (config.App, error) {
	return ask[config.App](ctx, s.asker, "createApp", arguments{"input": s.input(s.tb, "CreateAppInput", a)})
}

func (s *questioner) ListApps(ctx context.Context, tenant string, r center.PageRequest) (config.Page[config.App], error) {
	return ask[config.Page[config.App]](ctx, s.asker, "apps", paged(r, arguments{"tenant": tenant}))
}

func (s *questioner) CreateEnv(ctx context.Context, e config.Env) (config.Env, error) {
	in := s.input(s.tb, "CreateEnvInput", e)
	in["app"] = config.Path{Tenant: e.Tenant, App: e.App}.String()
	return ask[config.Env](ctx, s.asker, "createEnv", arguments{"input": in})
}

func (s *questioner) ListEnvs(ctx context.Context, app config.Path) ([]config.Env, error) {
	return ask[[]config.Env](ctx, s.asker, "envs", arguments{"app": app.String()})
}

func (s *questioner) UpdateEnv(ctx context.Context, p center.EnvPatch) (config.Env, error) {
	in := arguments{
		"path": p.Path.String(), "kind": the(p.Kind), "description": the(p.Description), "protected": the(p.Protected),
		"order": the(p.Order), "expectedRevision": saidIf(p.Expected),
	}
	if p.Freezes != nil {
		all := []any{}
		for _, f := range *p.Freezes {
			all = append(all, s.input(s.tb, "FreezeInput", f))
		}
		in["freezes"] = all
	}
	return ask[config.Env](ctx, s.asker, "updateEnv", arguments{"input": in.known()})
}

func (s *questioner) DeleteScope(ctx context.Context, path config.Path, expected config.Token) error {
	args := arguments{"path": path.String(), "expectedRevision": saidIf(expected)}
	field := map[config.Level]string{config.LevelApp: "deleteApp", config.LevelEnv: "deleteEnv"}[path.Level()]
	if field == "" {
		field = "deleteTenant"
		args["name"], args["path"] = path.Tenant, nil
	}
	_, err := ask[bool](ctx, s.asker, field, args)
	return err
}

func (s *questioner) CreateConfig(ctx context.Context, n config.Config) (config.State, error) {
	return ask[config.State](ctx, s.asker, "createConfig", arguments{"input": s.input(s.tb, "CreateConfigInput", n)})
}

func (s *questioner) Config(ctx context.Context, path config.Path) (config.State, error) {
	return ask[config.State](ctx, s.asker, "config", arguments{"path": path.String()})
}

func (s *questioner) ListConfigs(ctx context.Context, r center.ConfigsRequest) (config.Page[config.State], error) {
	return ask[config.Page[config.State]](ctx, s.asker, "configs", paged(r.PageRequest, arguments{
		"env": r.Env.String(), "prefix": saidIf(r.Prefix), "deleted": saidIf(r.Deleted),
	}))
}

func (s *questioner) UpdateConfig(ctx context.Context, p center.ConfigPatch) (config.State, error) {
	return ask[config.State](ctx, s.asker, "updateConfig", arguments{"input": arguments{
		"path": p.Path.String(), "format": the(p.Format), "file": the(p.File), "description": the(p.Description),
		"labels": the(p.Labels), "expectedRevision": saidIf(p.Expected),
	}.known()})
}

func (s *questioner) DeleteConfig(ctx context.Context, d center.DeleteConfig) error {
	_, err := ask[bool](ctx, s.asker, "deleteConfig", arguments{"input": arguments{
		"path": d.Path.String(), "comment": saidIf(d.Comment), "expectedVersion": the(d.ExpectedVersion),
		"purge": saidIf(d.Purge), "overrideFreeze": saidIf(d.OverrideFreeze),
	}.known()})
	return err
}

func (s *questioner) UndeleteConfig(ctx context.Context, path config.Path, comment string) (config.State, error) {
	return ask[config.State](ctx, s.asker, "undeleteConfig", arguments{"path": path.String(), "comment": saidIf(comment)})
}

// bytesOf is content as answers have it.
type bytesOf struct {
	Content *string `json:"content"`
	Base64  []byte  `json:"content_base64"`
}

// bytes returns the content, after comparing what is told of it twice.
func (b bytesOf) bytes(tb testing.TB) []byte {
	tb.Helper()
	if b.Content != nil && *b.Content != string(b.Base64) {
		tb.Errorf("the content is %q as text and %q as bytes", *b.Content, b.Base64)
	}
	return b.Base64
}

func (s *questioner) SaveDraft(ctx context.Context, d center.SaveDraft) (config.Draft, []config.Problem, error) {
	saved, err := ask[struct {
		Draft    config.Draft     `json:"draft"`
		Problems []config.Problem `json:"problems"`
	}](ctx, s.asker, "saveDraft", arguments{"input": arguments{
		"path": d.Path.String(), "contentBase64": base64.StdEncoding.EncodeToString(d.Content), "format": saidIf(d.Format),
		"expectedRevision": the(d.Expected),
	}.known()})
	return saved.Draft, saved.Problems, err
}

func (s *questioner) Draft(ctx context.Context, path config.Path) (config.Draft, error) {
	d, err := ask[struct {
		config.Draft
		bytesOf
	}](ctx, s.asker, "draft", arguments{"path": path.String()})
	d.Draft.Content = d.bytes(s.tb)
	return d.Draft, err
}

func (s *questioner) DeleteDraft(ctx context.Context, path config.Path, expected config.Token) error {
	_, err := ask[bool](ctx, s.asker, "deleteDraft", arguments{"path": path.String(), "expectedRevision": saidIf(expected)})
	return err
}

// options are how releases get to their clients.
func (s *questioner) options(o center.ReleaseOptions) any {
	in := arguments{"beginsAt": moment(o.BeginsAt), "overrideFreeze": saidIf(o.OverrideFreeze)}
	if o.OnRunning != "" {
		in["onRunning"] = map[center.OnRunning]string{
			center.SupersedeRunning: "SUPERSEDE", center.BeforeRunning: "BEFORE", center.AfterRunning: "AFTER",
		}[o.OnRunning]
	}
	if l := o.Launch; l != nil {
		in["launch"] = arguments{
			"strategy": s.strategy(&l.Strategy), "gate": s.gate(l.Gate), "expiresAfter": saidIf(l.ExpiresAfter),
		}.known()
	}
	return in.known()
}

func (s *questioner) strategy(of *config.Strategy) any {
	if of == nil {
		return nil
	}
	return s.input(s.tb, "StrategyInput", of)
}

func (s *questioner) gate(of *config.Gate) any {
	if of == nil {
		return nil
	}
	return s.input(s.tb, "GateInput", of)
}

func (s *questioner) Publish(ctx context.Context, p center.Publish) (config.ChangeSet, error) {
	items := []any{}
	for i, item := range p.Items {
		in := arguments{
			"path": item.Path.String(), "fromDraft": saidIf(item.FromDraft), "draftRevision": saidIf(item.DraftRevision), "format": saidIf(item.Format),
			"file": saidIf(item.File), "description": saidIf(item.Description), "expectedVersion": the(item.ExpectedVersion),
			"skipUnchanged": saidIf(item.SkipUnchanged),
		}
		if item.Labels != nil {
			in["labels"] = item.Labels
		}
		switch { // both ways to say it
		case item.FromDraft:
		case i%2 == 0:
			in["contentBase64"] = base64.StdEncoding.EncodeToString(item.Content)
		default:
			in["content"] = string(item.Content)
		}
		items = append(items, in.known())
	}
	return ask[config.ChangeSet](ctx, s.asker, "publish", arguments{"input": arguments{
		"tenant": p.Tenant, "items": items, "comment": saidIf(p.Comment), "options": s.options(p.ReleaseOptions),
	}.known()})
}

func (s *questioner) Rollback(ctx context.Context, r center.Rollback) (config.ChangeSet, error) {
	return ask[config.ChangeSet](ctx, s.asker, "rollback", arguments{"input": arguments{
		"path": r.Path.String(), "version": saidIf(r.Version), "comment": saidIf(r.Comment), "expectedVersion": the(r.ExpectedVersion),
	}.known()})
}

func (s *questioner) Promote(ctx context.Context, p center.Promote) (config.ChangeSet, error) {
	in := arguments{
		"from": p.From.String(), "to": p.To.String(), "comment": saidIf(p.Comment), "backward": saidIf(p.Backward),
		"dryRun": saidIf(p.DryRun), "options": s.options(p.ReleaseOptions),
	}
	if p.Names != nil {
		in["names"] = p.Names
	}
	return ask[config.ChangeSet](ctx, s.asker, "promote", arguments{"input": in.known()})
}

func (s *questioner) Release(ctx context.Context, path config.Path, version int64) (config.Release, []byte, error) {
	r, err := ask[struct {
		Release config.Release `json:"release"`
		bytesOf
	}](ctx, s.asker, "release", arguments{"path": path.String(), "version": version})
	return r.Release, r.bytes(s.tb), err
}

func (s *questioner) ListReleases(ctx context.Context, path config.Path, r center.PageRequest) (config.Page[config.Release], error) {
	return ask[config.Page[config.Release]](ctx, s.asker, "releases", paged(r, arguments{"path": path.String()}))
}

func (s *questioner) ListChangeSets(ctx context.Context, tenant string, r center.PageRequest) (config.Page[config.ChangeSet], error) {
	return ask[config.Page[config.ChangeSet]](ctx, s.asker, "changeSets", paged(r, arguments{"tenant": tenant}))
}

func launchRef(r center.LaunchRef) arguments {
	return arguments{"tenant": saidIf(r.Tenant), "id": saidIf(r.ID), "path": pathIf(r.Path)}
}

func (s *questioner) Launch(ctx context.Context, r center.LaunchRef) (config.Launch, error) {
	return ask[config.Launch](ctx, s.asker, "launch", arguments{"launch": launchRef(r).known()})
}

func (s *questioner) ListLaunches(ctx context.Context, r center.LaunchesRequest) (config.Page[config.Launch], error) {
	return ask[config.Page[config.Launch]](ctx, s.asker, "launches", paged(r.PageRequest, arguments{
		"tenant": r.Tenant, "path": pathIf(r.Path), "all": saidIf(r.All),
	}))
}

func (s *questioner) act(ctx context.Context, field string, a center.LaunchAct, more arguments) (config.Launch, error) {
	in := launchRef(a.LaunchRef)
	in["comment"], in["expectedRevision"], in["overrideFreeze"] = saidIf(a.Comment), saidIf(a.Expected), saidIf(a.OverrideFreeze)
	args := arguments{"input": in.known()}
	for name, value := range more {
		args[name] = value
	}
	return ask[config.Launch](ctx, s.asker, field, args)
}

func (s *questioner) AdvanceLaunch(ctx context.Context, a center.LaunchAct) (config.Launch, error) {
	return s.act(ctx, "advanceLaunch", a, nil)
}

func (s *questioner) PauseLaunch(ctx context.Context, a center.LaunchAct) (config.Launch, error) {
	return s.act(ctx, "pauseLaunch", a, nil)
}

func (s *questioner) ResumeLaunch(ctx context.Context, a center.LaunchAct) (config.Launch, error) {
	return s.act(ctx, "resumeLaunch", a, nil)
}

func (s *questioner) SwitchLaunch(ctx context.Context, a center.SwitchLaunch) (config.Launch, error) {
	return s.act(ctx, "switchLaunch", a.LaunchAct, arguments{"to": saidIf(a.To)})
}

func (s *questioner) AbortLaunch(ctx context.Context, a center.LaunchAct) (config.Launch, error) {
	return s.act(ctx, "abortLaunch", a, nil)
}

func (s *questioner) PromoteLaunch(ctx context.Context, a center.LaunchAct) (config.Launch, error) {
	return s.act(ctx, "promoteLaunch", a, nil)
}

func (s *questioner) Preview(ctx context.Context, r center.PreviewRequest) (config.Preview, error) {
	args := paged(r.PageRequest, arguments{})
	if c := r.Change; c != nil {
		in := launchRef(c.LaunchRef)
		in["strategy"], in["share"] = s.strategy(c.Strategy), the(c.Share)
		if c.Change != "" {
			in["change"] = s.argument(s.schema.Types["PreviewChange"].Fields.ForName("change").Type, string(c.Change))
		}
		args["change"] = in.known()
	} else {
		paths := []string{}
		for _, p := range r.Paths {
			paths = append(paths, p.String())
		}
		args["start"] = arguments{"paths": paths, "options": s.options(r.ReleaseOptions)}
	}
	return ask[config.Preview](ctx, s.asker, "preview", args)
}

func (s *questioner) Explain(ctx context.Context, r center.ExplainRequest) (config.Explained, error) {
	in := arguments{
		"path": r.Path.String(), "instance": saidIf(r.Client.ID), "slot": saidIf(r.Client.Slot), "address": saidIf(r.Client.Address),
		"at": saidIf(r.At), "time": moment(r.Time),
	}
	if r.Client.Labels != nil {
		in["labels"] = r.Client.Labels
	}
	return ask[config.Explained](ctx, s.asker, "explain", arguments{"input": in.known()})
}

func (s *questioner) ListInstances(ctx context.Context, r center.InstanceRequest) (center.InstanceList, error) {
	args := paged(r.PageRequest, arguments{"path": r.Path.String(), "version": saidIf(r.Version)})
	if r.State != "" {
		args["state"] = s.argument(s.schema.Query.Fields.ForName("instances").Arguments.ForName("state").Type, r.State)
	}
	return ask[center.InstanceList](ctx, s.asker, "instances", args)
}

func (s *questioner) Report(ctx context.Context, all []center.InstanceReport) error {
	reports := []any{}
	for _, r := range all {
		reports = append(reports, arguments{
			"path": r.Path.String(), "version": r.Version, "why": saidIf(r.Why),
			"state": map[config.AckState]string{config.AckApplied: "APPLIED", config.AckRefused: "REFUSED"}[r.State],
		}.known())
	}
	_, err := ask[bool](ctx, s.asker, "report", arguments{"reports": reports})
	return err
}

// servedRelease is a release as the data plane tells of it.
type servedRelease struct {
	config.Release
	bytesOf
}

func freshness(q protocoltest.Read) any {
	return arguments{"minRevision": saidIf(q.MinRevision), "strong": saidIf(q.Strong)}.known()
}

func (s *questioner) Get(ctx context.Context, q protocoltest.Read) (protocoltest.Served, error) {
	r, err := ask[struct {
		Release   servedRelease `json:"release"`
		Revision  config.Token  `json:"revision"`
		Unchanged bool          `json:"unchanged"`
	}](ctx, s.asker, "read", arguments{"path": q.Path.String(), "freshness": freshness(q), "heldDigest": saidIf(q.Have)})
	return protocoltest.Served{
		Version: r.Release.Version, Format: r.Release.Format, Content: r.Release.bytes(s.tb), Revision: r.Revision,
		Tag: r.Release.Digest, NotModified: r.Unchanged,
	}, err
}

func (s *questioner) Snapshot(ctx context.Context, q protocoltest.Read) (protocoltest.Snapshot, error) {
	r, err := ask[struct {
		Releases  []servedRelease `json:"releases"`
		Revision  config.Token    `json:"revision"`
		Digest    string          `json:"digest"`
		Unchanged bool            `json:"unchanged"`
	}](ctx, s.asker, "readEnv", arguments{"env": q.Path.String(), "freshness": freshness(q), "heldDigest": saidIf(q.Have)})
	all := protocoltest.Snapshot{Revision: r.Revision, Tag: cmp.Or(r.Digest, q.Have), NotModified: r.Unchanged}
	for _, c := range r.Releases {
		all.Configs = append(all.Configs, protocoltest.ServedConfig{
			Path: c.Path, Version: c.Version, Format: c.Format, Digest: c.Digest, Content: c.bytes(s.tb),
		})
	}
	return all, err
}
