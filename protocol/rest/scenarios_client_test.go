package rest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/protocoltest"
)

// caller is a protocoltest.Client of every part.
type caller struct {
	sdk    *client.Client
	raw    *http.Client
	url    string
	header http.Header
}

// answer is a response that was read whole.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do sends a request as it is, once. target is below /v1, in parts that are
// escaped here.
func (c *caller) do(ctx context.Context, method string, target []string, query url.Values, in any) (answer, error) {
	var body io.Reader = http.NoBody
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return answer{}, err
		}
		body = bytes.NewReader(b)
	}
	at := c.url + "/v1"
	for _, part := range target {
		at += "/" + url.PathEscape(part)
	}
	r, err := http.NewRequestWithContext(ctx, method, at+"?"+query.Encode(), body)
	if err != nil {
		return answer{}, err
	}
	r.Header = c.header.Clone()
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if have := query.Get("have"); have != "" { // no parameter of the protocol
		r.Header.Set("If-None-Match", have)
		query.Del("have")
		r.URL.RawQuery = query.Encode()
	}
	resp, err := c.raw.Do(r)
	if err != nil {
		return answer{}, config.AsError(err)
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header}
	if a.body, err = io.ReadAll(resp.Body); err != nil {
		return a, config.AsError(err)
	}
	if a.status >= http.StatusBadRequest {
		return a, refusal(a.body)
	}
	return a, nil
}

// refusal reads a problem.
func refusal(body []byte) error {
	var p struct {
		Code           string           `json:"code"`
		Detail         string           `json:"detail"`
		Path           string           `json:"path"`
		CurrentVersion int64            `json:"current_version"`
		Problems       []config.Problem `json:"problems"`
	}
	if err := json.Unmarshal(body, &p); err != nil {
		return err
	}
	return &config.Error{
		Kind: config.ParseErrorKind(p.Code), Path: p.Path, Current: p.CurrentVersion, Problems: p.Problems, Err: errors.New(p.Detail),
	}
}

// ask sends a request and decodes its answer.
func ask[T any](ctx context.Context, c *caller, method string, target []string, query url.Values, in any) (T, error) {
	var out T
	a, err := c.do(ctx, method, target, query, in)
	if err != nil {
		return out, err
	}
	return out, json.Unmarshal(a.body, &out)
}

func tenantAt(tenant string, more ...string) []string {
	return append([]string{"tenants", tenant}, more...)
}

func envAt(p config.Path, more ...string) []string {
	return tenantAt(p.Tenant, append([]string{"apps", p.App, "envs", p.Env}, more...)...)
}

func configAt(p config.Path, more ...string) []string {
	return envAt(p, append([]string{"configs", p.Name}, more...)...)
}

// page asks for a page.
func page(r center.PageRequest, pairs ...string) url.Values {
	q := url.Values{}
	if r.Limit != 0 {
		q.Set("limit", strconv.Itoa(r.Limit))
	}
	pairs = append(pairs, "after", r.After)
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	return q
}

func (c *caller) CreateTenant(ctx context.Context, t config.Tenant) (config.Tenant, error) {
	return c.sdk.CreateTenant(ctx, t)
}

func (c *caller) Tenant(ctx context.Context, name string) (config.Tenant, error) {
	return c.sdk.Tenant(ctx, name)
}

func (c *caller) ListTenants(ctx context.Context, r center.PageRequest) (config.Page[config.Tenant], error) {
	return ask[config.Page[config.Tenant]](ctx, c, http.MethodGet, []string{"tenants"}, page(r), nil)
}

func (c *caller) CreateApp(ctx context.Context, a config.App) (config.App, error) {
	return c.sdk.CreateApp(ctx, a)
}

func (c *caller) ListApps(ctx context.Context, tenant string, r center.PageRequest) (config.Page[config.App], error) {
	return ask[config.Page[config.App]](ctx, c, http.MethodGet, tenantAt(tenant, "apps"), page(r), nil)
}

func (c *caller) CreateEnv(ctx context.Context, e config.Env) (config.Env, error) {
	return c.sdk.CreateEnv(ctx, e)
}

func (c *caller) ListEnvs(ctx context.Context, app config.Path) (all []config.Env, err error) {
	for e, err := range c.sdk.Envs(ctx, app) {
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}

func (c *caller) UpdateEnv(ctx context.Context, p center.EnvPatch) (config.Env, error) {
	return c.sdk.UpdateEnv(ctx, p.Path, client.ScopePatch{
		Description: p.Description, Kind: p.Kind, Protected: p.Protected, Order: p.Order, Freezes: p.Freezes, Expected: p.Expected,
	})
}

func (c *caller) DeleteScope(ctx context.Context, path config.Path, expected config.Token) error {
	return c.sdk.DeleteScope(ctx, path, expected)
}

func (c *caller) CreateConfig(ctx context.Context, n config.Config) (config.State, error) {
	return ask[config.State](ctx, c, http.MethodPost, envAt(n.Path, "configs"), nil, struct {
		Name        string            `json:"name"`
		Kind        config.Kind       `json:"kind,omitempty"`
		Format      string            `json:"format,omitempty"`
		File        string            `json:"file,omitempty"`
		Description string            `json:"description,omitempty"`
		Labels      map[string]string `json:"labels,omitempty"`
	}{n.Path.Name, n.Kind, n.Format, n.File, n.Description, n.Labels})
}

func (c *caller) Config(ctx context.Context, path config.Path) (config.State, error) {
	return ask[config.State](ctx, c, http.MethodGet, configAt(path), nil, nil)
}

func (c *caller) ListConfigs(ctx context.Context, r center.ConfigsRequest) (config.Page[config.State], error) {
	deleted := ""
	if r.Deleted {
		deleted = "true"
	}
	return ask[config.Page[config.State]](ctx, c, http.MethodGet, envAt(r.Env, "configs"), page(r.PageRequest, "prefix", r.Prefix, "deleted", deleted), nil)
}

func (c *caller) UpdateConfig(ctx context.Context, p center.ConfigPatch) (config.State, error) {
	return c.sdk.UpdateConfig(ctx, p.Path, client.ConfigPatch{
		Format: p.Format, File: p.File, Description: p.Description, Labels: p.Labels, Expected: p.Expected,
	})
}

func (c *caller) DeleteConfig(ctx context.Context, d center.DeleteConfig) error {
	return c.sdk.DeleteConfig(ctx, client.DeleteConfig(d))
}

func (c *caller) UndeleteConfig(ctx context.Context, path config.Path, comment string) (config.State, error) {
	return c.sdk.UndeleteConfig(ctx, path, comment)
}

func (c *caller) SaveDraft(ctx context.Context, d center.SaveDraft) (config.Draft, []config.Problem, error) {
	draft, problems, err := c.sdk.SaveDraft(ctx, client.SaveDraft(d))
	return draft.Draft, problems, err
}

func (c *caller) Draft(ctx context.Context, path config.Path) (config.Draft, error) {
	d, err := c.sdk.Draft(ctx, path)
	return d.Draft, err
}

func (c *caller) DeleteDraft(ctx context.Context, path config.Path, expected config.Token) error {
	return c.sdk.DeleteDraft(ctx, path, expected)
}

func (c *caller) Publish(ctx context.Context, p center.Publish) (config.ChangeSet, error) {
	q := client.Publish{Comment: p.Comment, ReleaseOptions: options(p.ReleaseOptions)}
	for _, i := range p.Items {
		q.Items = append(q.Items, client.PublishItem{
			Path: i.Path, Content: i.Content, FromDraft: i.FromDraft, DraftRevision: i.DraftRevision, Format: i.Format, File: i.File,
			ExpectedVersion: i.ExpectedVersion, SkipUnchanged: i.SkipUnchanged,
		})
	}
	return c.sdk.Publish(ctx, q)
}

func options(o center.ReleaseOptions) client.ReleaseOptions {
	q := client.ReleaseOptions{BeginsAt: o.BeginsAt, OnRunning: client.OnRunning(o.OnRunning), OverrideFreeze: o.OverrideFreeze}
	if l := o.Launch; l != nil {
		q.Rollout = &client.NewRollout{Strategy: l.Strategy, Gate: l.Gate, ExpiresAfter: l.ExpiresAfter}
	}
	return q
}

func (c *caller) Rollback(ctx context.Context, r center.Rollback) (config.ChangeSet, error) {
	return c.sdk.Rollback(ctx, client.Rollback(r))
}

func (c *caller) Promote(ctx context.Context, p center.Promote) (config.ChangeSet, error) {
	return c.sdk.Promote(ctx, client.Promote{
		App: p.From.Parent(), From: p.From.Env, To: p.To.Env, Names: p.Names, Comment: p.Comment, Backward: p.Backward, DryRun: p.DryRun,
		ReleaseOptions: options(p.ReleaseOptions),
	})
}

func (c *caller) Release(ctx context.Context, path config.Path, version int64) (config.Release, []byte, error) {
	r, err := c.sdk.Release(ctx, path, version)
	return r.Release, r.Content, err
}

func (c *caller) ListReleases(ctx context.Context, path config.Path, r center.PageRequest) (config.Page[config.Release], error) {
	return ask[config.Page[config.Release]](ctx, c, http.MethodGet, configAt(path, "releases"), page(r), nil)
}

func (c *caller) ListChangeSets(ctx context.Context, tenant string, r center.PageRequest) (config.Page[config.ChangeSet], error) {
	return ask[config.Page[config.ChangeSet]](ctx, c, http.MethodGet, tenantAt(tenant, "changesets"), page(r), nil)
}

func (c *caller) Launch(ctx context.Context, r center.LaunchRef) (config.Launch, error) {
	return c.sdk.Launch(ctx, r.Tenant, r.ID)
}

func (c *caller) ListLaunches(ctx context.Context, r center.LaunchesRequest) (config.Page[config.Launch], error) {
	all := ""
	if r.All {
		all = "true"
	}
	return ask[config.Page[config.Launch]](ctx, c, http.MethodGet, tenantAt(r.Tenant, "launches"), page(r.PageRequest, "path", r.Path.String(), "all", all), nil)
}

func act(a center.LaunchAct) client.LaunchAct {
	return client.LaunchAct{LaunchRef: client.LaunchRef(a.LaunchRef), Comment: a.Comment, OverrideFreeze: a.OverrideFreeze, Expected: a.Expected}
}

func (c *caller) AdvanceLaunch(ctx context.Context, a center.LaunchAct) (config.Launch, error) {
	return c.sdk.AdvanceLaunch(ctx, act(a))
}

func (c *caller) PauseLaunch(ctx context.Context, a center.LaunchAct) (config.Launch, error) {
	return c.sdk.PauseLaunch(ctx, act(a))
}

func (c *caller) ResumeLaunch(ctx context.Context, a center.LaunchAct) (config.Launch, error) {
	return c.sdk.ResumeLaunch(ctx, act(a))
}

func (c *caller) SwitchLaunch(ctx context.Context, a center.SwitchLaunch) (config.Launch, error) {
	return c.sdk.SwitchLaunch(ctx, client.SwitchLaunch{LaunchAct: act(a.LaunchAct), To: a.To})
}

func (c *caller) AbortLaunch(ctx context.Context, a center.LaunchAct) (config.Launch, error) {
	return c.sdk.AbortLaunch(ctx, act(a))
}

func (c *caller) PromoteLaunch(ctx context.Context, a center.LaunchAct) (config.Launch, error) {
	return c.sdk.PromoteLaunch(ctx, act(a))
}

func (c *caller) Preview(ctx context.Context, r center.PreviewRequest) (config.Preview, error) {
	p := client.PreviewLaunch{Items: r.Paths, BeginsAt: r.BeginsAt, OnRunning: string(r.OnRunning), Most: r.Limit}
	if l := r.Launch; l != nil {
		p.Strategy, p.Gate, p.ExpiresAfter = &l.Strategy, l.Gate, l.ExpiresAfter
	}
	if ch := r.Change; ch != nil {
		p.Tenant, p.Launch, p.Strategy, p.Share, p.Change = ch.Tenant, ch.ID, ch.Strategy, ch.Share, ch.Change
		if ch.Path != (config.Path{}) {
			p.Items = []config.Path{ch.Path}
		}
	}
	return c.sdk.Preview(ctx, p)
}

func (c *caller) Explain(ctx context.Context, r center.ExplainRequest) (config.Explained, error) {
	return c.sdk.Explain(ctx, client.Explain(r))
}

func (c *caller) ListInstances(ctx context.Context, r center.InstanceRequest) (center.InstanceList, error) {
	at := configAt(r.Path, "instances")
	if r.Path.Level() == config.LevelEnv {
		at = envAt(r.Path, "instances")
	}
	version := ""
	if r.Version != 0 {
		version = strconv.FormatInt(r.Version, 10)
	}
	return ask[center.InstanceList](ctx, c, http.MethodGet, at, page(r.PageRequest, "state", r.State, "version", version), nil)
}

func (c *caller) Report(ctx context.Context, all []center.InstanceReport) error {
	type report struct {
		Path    config.Path     `json:"path"`
		Version int64           `json:"version"`
		State   config.AckState `json:"state"`
		Why     string          `json:"why,omitempty"`
	}
	in := struct {
		Reports []report `json:"reports"`
	}{Reports: []report{}}
	for _, r := range all {
		in.Reports = append(in.Reports, report(r))
	}
	_, err := c.do(ctx, http.MethodPost, []string{"instances", "report"}, nil, in)
	return err
}

// reading is the query of a read.
func reading(q protocoltest.Read) url.Values {
	consistency := ""
	if q.Strong {
		consistency = "strong"
	}
	return page(center.PageRequest{}, "min_revision", string(q.MinRevision), "consistency", consistency, "have", q.Have)
}

func (c *caller) Get(ctx context.Context, q protocoltest.Read) (protocoltest.Served, error) {
	a, err := c.do(ctx, http.MethodGet, []string{"configs", q.Path.Tenant, q.Path.App, q.Path.Env, q.Path.Name}, reading(q), nil)
	if err != nil {
		return protocoltest.Served{}, err
	}
	version, err := strconv.ParseInt(a.header.Get("Setpoint-Version"), 10, 64)
	return protocoltest.Served{
		Version: version, Format: a.header.Get("Setpoint-Format"), Content: a.body, Tag: a.header.Get("ETag"),
		Revision: config.Token(a.header.Get("Setpoint-Revision")), NotModified: a.status == http.StatusNotModified,
	}, err
}

// content is content inside JSON.
type content struct {
	Text   *string `json:"content"`
	Base64 []byte  `json:"content_base64"`
}

func (c content) bytes() []byte {
	if c.Text != nil {
		return []byte(*c.Text)
	}
	return c.Base64
}

func (c *caller) Snapshot(ctx context.Context, q protocoltest.Read) (protocoltest.Snapshot, error) {
	a, err := c.do(ctx, http.MethodGet, []string{"configs", q.Path.Tenant, q.Path.App, q.Path.Env}, reading(q), nil)
	if err != nil {
		return protocoltest.Snapshot{}, err
	}
	s := protocoltest.Snapshot{
		Revision: config.Token(a.header.Get("Setpoint-Revision")), Tag: a.header.Get("ETag"), NotModified: a.status == http.StatusNotModified,
	}
	if s.NotModified {
		return s, nil
	}
	var body struct {
		Configs []struct {
			config.Release
			content
		} `json:"configs"`
	}
	err = json.Unmarshal(a.body, &body)
	for _, r := range body.Configs {
		s.Configs = append(s.Configs, protocoltest.ServedConfig{
			Path: r.Path, Version: r.Version, Format: r.Format, Digest: r.Digest, Content: r.bytes(),
		})
	}
	return s, err
}
