package clienttest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/client/clienttest"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/test/harness"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const env = "acme/shop/prod"

// target is a server, the one for tests or a real one.
type target struct {
	options client.Options
	put     func(contents map[string]string)
	remove  func(path string)
}

// TestIsLikeARealServer has the same done to the server for tests and to a real
// one, and compares all that a client sees of it.
func TestIsLikeARealServer(t *testing.T) {
	want, got := scenario(t, actual(t)), scenario(t, pretended(t))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what a client sees (-real +clienttest):\n%s", diff)
	}
	if len(want) < 30 {
		t.Errorf("only %d lines were compared", len(want))
	}
}

func pretended(t *testing.T) target {
	srv := clienttest.NewServer(t)
	return target{
		options: srv.Options(),
		put:     func(contents map[string]string) { srv.PutAll(contents) },
		remove:  srv.Delete,
	}
}

func actual(t *testing.T) target {
	srv := harness.Start(t, harness.Options{Store: "memory"})
	c := srv.Client(t)
	ctx := t.Context()
	must(t, drop(c.CreateTenant(ctx, config.Tenant{Name: "acme"})))
	must(t, drop(c.CreateApp(ctx, config.App{Tenant: "acme", Name: "shop"})))
	must(t, drop(c.CreateEnv(ctx, config.Env{Tenant: "acme", App: "shop", Name: "prod"})))
	secret, err := c.CreateToken(ctx, client.NewToken{})
	must(t, err)
	o := srv.Options()
	o.Username, o.Password, o.Token = "", config.Secret{}, secret.Secret
	return target{
		options: o,
		put: func(contents map[string]string) {
			p := client.Publish{}
			for path, content := range contents {
				p.Items = append(p.Items, client.PublishItem{Path: parse(t, path), Content: []byte(content)})
			}
			must(t, drop(c.Publish(ctx, p)))
		},
		remove: func(path string) { must(t, c.DeleteConfig(ctx, client.DeleteConfig{Path: parse(t, path)})) },
	}
}

func drop[T any](_ T, err error) error { return err }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func parse(t *testing.T, text string) config.Path {
	t.Helper()
	p, err := config.ParsePath(text)
	must(t, err)
	return p
}

// scenario returns what a client sees, line by line.
func scenario(t *testing.T, on target) (seen []string) {
	o := on.options
	o.Instance.ID = "i1"
	c, err := client.New(o)
	must(t, err)
	defer c.Close()
	see := func(format string, args ...any) { seen = append(seen, fmt.Sprintf(format, args...)) }
	ctx := t.Context()
	a, b := parse(t, env+"/a.json"), parse(t, env+"/b.yaml")

	_, err = c.Get(ctx, a, client.ReadOptions{})
	see("before: %s", config.KindOf(err))
	on.put(map[string]string{a.String(): `{"n":1}`, b.String(): "n: 1\n", env + "/c.toml": "n = 1\n", env + "/d.txt": "é"})
	for _, name := range []string{"a.json", "b.yaml", "c.toml", "d.txt"} {
		s, err := c.Get(ctx, parse(t, env+"/"+name), client.ReadOptions{})
		must(t, err)
		see("get %s: %d %s %s %s %q", s.Path, s.Version, s.Format, s.MediaType, s.ETag, s.Content)
		again, err := c.Get(ctx, s.Path, client.ReadOptions{ETag: s.ETag, MinRevision: s.Revision})
		must(t, err)
		see("again: not modified %v, version %d, %q", again.NotModified, again.Version, again.Content)
	}
	seeSnapshot(t, c, see)
	after := seeWatch(t, c, on, see)
	on.put(map[string]string{a.String(): `{"n":4}`})
	on.remove(b.String())
	seeSnapshot(t, c, see)
	for e, err := range c.Watch(ctx, client.WatchRequest{Patterns: []string{env}, After: after, NoContent: true}) {
		must(t, err)
		seeEvent(see, "resumed", e)
		if e.Current {
			break
		}
	}
	seeRefusals(t, c, see)
	seeReports(t, on, see)
	return seen
}

func seeSnapshot(t *testing.T, c *client.Client, see func(string, ...any)) {
	snap, err := c.Snapshot(t.Context(), parse(t, env), client.ReadOptions{})
	must(t, err)
	see("snapshot of %s, with a revision %v", snap.Env, snap.Revision != "")
	for _, r := range snap.Configs {
		see("  %s: %d %s %s %d %q", r.Path, r.Version, r.Format, r.Digest, r.Size, r.Content)
	}
}

// seeWatch watches while things change, and returns where it has come to.
func seeWatch(t *testing.T, c *client.Client, on target, see func(string, ...any)) (last config.Token) {
	steps := []func(){
		func() { on.put(map[string]string{env + "/a.json": `{"n":2}`, env + "/b.yaml": "n: 2\n"}) },
		func() { on.remove(env + "/c.toml") },
		func() { on.put(map[string]string{env + "/a.json": `{"n":3}`}) },
	}
	for e, err := range c.Watch(t.Context(), client.WatchRequest{Patterns: []string{env + "/*", env}}) {
		must(t, err)
		seeEvent(see, "watch", e)
		last = e.Revision
		if e.Reset {
			continue // the marker that it is current comes behind
		}
		if len(steps) == 0 {
			break
		}
		steps[0]()
		steps = steps[1:]
	}
	return last
}

func seeEvent(see func(string, ...any), what string, e client.Event) {
	see("%s: reset %v, current %v, partial %v, with a revision %v", what, e.Reset, e.Current, e.Partial, e.Revision != "")
	for _, ch := range e.Changes {
		see("  %s: %d %s %s %d, deleted %v, dated %v, %q", ch.Path, ch.Version, ch.Format, ch.Digest, ch.Size, ch.Deleted, !ch.Time.IsZero(), ch.Content)
	}
}

func seeRefusals(t *testing.T, c *client.Client, see func(string, ...any)) {
	for _, r := range []client.WatchRequest{
		{}, {Patterns: []string{"ACME"}}, {Patterns: []string{env}, After: "?"},
	} {
		for _, err := range c.Watch(t.Context(), r) {
			see("watch %q after %q: %s", r.Patterns, r.After, config.KindOf(err))
			if err == nil {
				break
			}
		}
	}
}

// seeReports says what became of reports, right and wrong ones.
func seeReports(t *testing.T, on target, see func(string, ...any)) {
	conf, err := on.options.TLS.Config()
	must(t, err)
	plain := &http.Client{Transport: &http.Transport{TLSClientConfig: conf}}
	defer plain.CloseIdleConnections()
	item := func(path string, version int64, state string) string {
		return fmt.Sprintf(`{"path":%q,"version":%d,"state":%q,"why":"so"}`, path, version, state)
	}
	good := item(env+"/a.json", 4, "refused")
	for _, tt := range []struct{ name, instance, token, body string }{
		{"good", "i1", on.options.Token.Reveal(), good},
		{"nobody's", "", on.options.Token.Reveal(), good},
		{"of a stranger", "i1", "sp_wrong", good},
		{"none", "i1", on.options.Token.Reveal(), ""},
		{"too many", "i1", on.options.Token.Reveal(), strings.Repeat(good+",", 256) + good},
		{"of no such config", "i1", on.options.Token.Reveal(), item(env+"/none", 1, "applied")},
		{"of no such version", "i1", on.options.Token.Reveal(), item(env+"/a.json", 9, "applied")},
		{"of no version", "i1", on.options.Token.Reveal(), item(env+"/a.json", 0, "applied")},
		{"of no such state", "i1", on.options.Token.Reveal(), item(env+"/a.json", 4, "eaten")},
	} {
		see("report %s: %s", tt.name, post(t, plain, on.options.Endpoints[0], tt.instance, tt.token, `{"reports":[`+tt.body+`]}`))
	}
}

func post(t *testing.T, plain *http.Client, endpoint, instance, token, body string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, endpoint+"/v1/instances/report", strings.NewReader(body))
	must(t, err)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+token)
	if instance != "" {
		r.Header.Set("Setpoint-Instance", instance)
	}
	resp, err := plain.Do(r)
	must(t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	must(t, err)
	var p struct {
		Code string `json:"code"`
	}
	if len(bytes.TrimSpace(answer)) > 0 {
		must(t, json.Unmarshal(answer, &p))
	}
	return fmt.Sprintf("%d %s", resp.StatusCode, p.Code)
}

func TestProgram(t *testing.T) { testProgram(t) }

func TestStopAndStart(t *testing.T) {
	srv := clienttest.NewServer(t)
	srv.Put(env+"/a.json", "1")
	c := srv.Client(t, client.Options{})
	retries := 0
	request := client.WatchRequest{Patterns: []string{env}, OnRetry: func(err error, _ time.Duration) {
		if retries++; config.KindOf(err) != config.Unavailable {
			t.Errorf("want unavailable, got %v", err)
		}
		srv.Start()
	}}
	var got []string
	for e, err := range c.Watch(t.Context(), request) {
		must(t, err)
		for _, ch := range e.Changes {
			got = append(got, string(ch.Content))
		}
		if e.Current && retries == 0 {
			srv.Stop()
			srv.Put(env+"/a.json", "2")
		}
		if len(got) == 2 {
			break
		}
	}
	if diff := cmp.Diff([]string{"1", "2"}, got); diff != "" || retries == 0 {
		t.Errorf("contents, with %d disconnects (-want +got):\n%s", retries, diff)
	}
}

func TestRefuseAndAccept(t *testing.T) {
	srv := clienttest.NewServer(t)
	srv.Put(env+"/a.json", "1")
	for _, kind := range config.ErrorKinds() {
		srv.Refuse(kind)
		c := srv.Client(t, client.Options{}) // the connections of another are broken
		if _, err := c.Login(t.Context(), "al", config.Secret{}, 0); config.KindOf(err) != kind {
			t.Errorf("want %s, got %v", kind, err)
		}
	}
	srv.Accept()
	c := srv.Client(t, client.Options{})
	if _, err := c.Get(t.Context(), parse(t, env+"/a.json"), client.ReadOptions{}); err != nil {
		t.Errorf("want it served again, got %v", err)
	}
	if _, err := c.WhoAmI(t.Context()); config.KindOf(err) != config.Unsupported {
		t.Errorf("want unsupported, got %v", err)
	}
}

func TestForServesSomeTheirOwn(t *testing.T) {
	srv := clienttest.NewServer(t)
	path := env + "/a.json"
	srv.Put(path, "all")
	get := func(instance string) string {
		s, err := srv.Client(t, client.Options{Instance: config.Client{ID: instance}}).Get(t.Context(), parse(t, path), client.ReadOptions{})
		must(t, err)
		return fmt.Sprintf("%d %s", s.Version, s.Content)
	}
	for _, step := range []struct {
		name string
		act  func() int64
		want map[string]string
	}{
		{"some", func() int64 { return srv.For(path, "own", "one", "two") }, map[string]string{"one": "2 own", "two": "2 own", "three": "1 all"}},
		{"another beside", func() int64 { return srv.For(path, "new", "two") }, map[string]string{"one": "2 own", "two": "3 new", "three": "1 all"}},
		{"everybody", func() int64 { return srv.Put(path, "end") }, map[string]string{"one": "4 end", "two": "4 end", "three": "4 end"}},
	} {
		version := step.act()
		got := map[string]string{}
		for instance := range step.want {
			got[instance] = get(instance)
		}
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("%s, version %d (-want +got):\n%s", step.name, version, diff)
		}
	}
}

func TestWaitReportGivesUpWithItsContext(t *testing.T) {
	srv := clienttest.NewServer(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := srv.WaitReport(ctx, func(clienttest.Report) bool { return true }); !errors.Is(err, context.Canceled) {
		t.Errorf("want canceled, got %v", err)
	}
}
