package server_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/freeport"
	"github.com/setpointhq/setpoint/server"
	"github.com/setpointhq/setpoint/standard"
	"github.com/setpointhq/setpoint/store"
	"github.com/setpointhq/setpoint/store/memory"
	"github.com/setpointhq/setpoint/test/harness"
)

var app = config.Path{Tenant: "acme", App: "shop", Env: "dev", Name: "app.yaml"}

// furnish makes the env that tests publish to.
func furnish(t *testing.T, c *client.Client) {
	t.Helper()
	ctx := t.Context()
	if _, err := c.CreateTenant(ctx, config.Tenant{Name: app.Tenant}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateApp(ctx, config.App{Tenant: app.Tenant, Name: app.App}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateEnv(ctx, config.Env{Tenant: app.Tenant, App: app.App, Name: app.Env}); err != nil {
		t.Fatal(err)
	}
}

func publish(t *testing.T, c *client.Client, content string) {
	t.Helper()
	_, err := c.Publish(t.Context(), client.Publish{Items: []client.PublishItem{{Path: app, Content: []byte(content)}}})
	if err != nil {
		t.Fatal(err)
	}
}

// get asks a URL and returns status and body.
func get(t *testing.T, c *http.Client, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestNodeKeepsWhatWasPublishedOverARestart(t *testing.T) {
	dir := t.TempDir()
	first := harness.Start(t, harness.Options{DataDir: dir})
	c := first.Client(t)
	furnish(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var seen []string
	for event, err := range c.Watch(ctx, client.WatchRequest{Patterns: []string{"acme/shop/dev"}}) {
		if err != nil {
			t.Fatal(err)
		}
		for _, change := range event.Changes {
			seen = append(seen, string(change.Content))
		}
		if len(seen) == 0 && event.Current {
			publish(t, c, "a: 1\n")
		}
		if len(seen) > 0 {
			break
		}
	}
	if diff := cmp.Diff([]string{"a: 1\n"}, seen); diff != "" {
		t.Errorf("watched (-want +got):\n%s", diff)
	}
	if err := first.Stop(); err != nil {
		t.Fatalf("stop: %v", err)
	}

	second := harness.Start(t, harness.Options{DataDir: dir, AdminPassword: first.AdminPassword})
	if second.Fingerprint != first.Fingerprint {
		t.Error("want the same certificate after a restart")
	}
	if second.AdminPassword != first.AdminPassword {
		t.Error("want no new password after a restart")
	}
	served, err := second.Client(t).Get(t.Context(), app, client.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := string(served.Content); got != "a: 1\n" || served.Version != 1 {
		t.Errorf("want version 1 with the content published, got version %d with %q", served.Version, got)
	}
}

func TestNodeIsReadyOnBothPortsWhileItServes(t *testing.T) {
	n := harness.Start(t, harness.Options{Store: "memory"})
	for _, base := range []string{n.URL, n.Admin} {
		for path, want := range map[string]string{"/livez": "ok\n", "/readyz": "ready\n", "/readyz?verbose": "ok state\nok store\nok view\nok quorum\nready\n"} {
			if status, body := get(t, n.HTTP(t), base+path); status != http.StatusOK || body != want {
				t.Errorf("%s: want 200 %q, got %d %q", base+path, want, status, body)
			}
		}
	}
	if status, _ := get(t, n.HTTP(t), n.URL+"/metrics"); status != http.StatusNotFound {
		t.Errorf("want no metrics on the HTTP port, got %d", status)
	}
	if status, _ := get(t, n.HTTP(t), n.URL+"/debug/pprof/"); status != http.StatusNotFound {
		t.Errorf("want no profiles on the HTTP port, got %d", status)
	}
	if status, _ := get(t, n.HTTP(t), n.Admin+"/debug/pprof/"); status != http.StatusOK {
		t.Errorf("want profiles on the admin port, got %d", status)
	}
	_, text := get(t, n.HTTP(t), n.Admin+"/metrics")
	for _, want := range []string{"setpoint_ready 1\n", "setpoint_view_lag_revisions ", "setpoint_view_revision "} {
		if !strings.Contains(text, want) {
			t.Errorf("want the metrics to hold %q", want)
		}
	}
}

// gatedStore lets a test hold up the view's first load, and kill the engine.
type gatedStore struct {
	store.Store
	gate chan struct{} // reads wait until it is closed
	done chan struct{} // closed when the engine has died
}

func (s *gatedStore) Range(ctx context.Context, q store.Query) (store.Page, error) {
	if q.Prefix { // what the view loads
		select {
		case <-s.gate:
		case <-ctx.Done():
			return store.Page{}, ctx.Err()
		}
	}
	return s.Store.Range(ctx, q)
}

func (s *gatedStore) Done() <-chan struct{} { return s.done }
func (s *gatedStore) Err() error            { return errors.New("the disk is gone") }

type gatedDriver struct{ s *gatedStore }

func (gatedDriver) Defaults()       {}
func (gatedDriver) Validate() error { return nil }

func (d gatedDriver) Open(context.Context, store.Env) (store.Store, error) { return d.s, nil }

func gated() (*gatedStore, harness.Options) {
	s := &gatedStore{Store: memory.New(), gate: make(chan struct{}), done: make(chan struct{})}
	d := standard.Drivers()
	d.Stores.Add("gated", func() store.Driver { return &gatedDriver{s} })
	return s, harness.Options{Drivers: d, Store: "other", Durable: true, Settings: map[string]string{"store": "gated"}}
}

func TestNodeIsNotReadyBeforeTheViewHasCaughtUp(t *testing.T) {
	s, o := gated()
	o.Settings["admin.addr"], o.Settings["http.addr"], o.Settings["tls.enabled"] = freeport.For(t), freeport.For(t), "false"
	started := make(chan *harness.Server)
	go func() {
		n, err := harness.Run(o)
		if err != nil {
			t.Error(err)
		}
		started <- n
	}()
	plain := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var body string
	eventually(t, func() bool { // the ports open at some time
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+o.Settings["http.addr"]+"/readyz?verbose", http.NoBody)
		if err != nil {
			return false
		}
		resp, err := plain.Do(req)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		body = string(b)
		return err == nil && resp.StatusCode == http.StatusServiceUnavailable
	})
	want := "not ok state: the node is starting\nok store\nnot ok view: it is being loaded\nok quorum\nnot ready: the node is starting\n"
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if status, body := get(t, plain, "http://"+o.Settings["http.addr"]+"/v1/tenants"); status != http.StatusServiceUnavailable || !strings.Contains(body, `"code":"unavailable"`) {
		t.Errorf("want the API to say that it is not there yet, got %d %q", status, body)
	}
	close(s.gate)
	n := <-started
	if status, body := get(t, plain, n.Admin+"/readyz"); status != http.StatusOK {
		t.Errorf("want it to be ready, got %d %q", status, body)
	}
	if err := n.Stop(); err != nil {
		t.Error(err)
	}
}

func TestNodeEndsWithAnErrorWhenItsStoreDies(t *testing.T) {
	s, o := gated()
	close(s.gate)
	n, err := harness.Run(o)
	if err != nil {
		t.Fatal(err)
	}
	close(s.done)
	<-n.Done()
	if err := n.Stop(); err == nil || !strings.Contains(err.Error(), "the disk is gone") {
		t.Errorf("want the cause, got %v", err)
	}
}

func TestNodeCanBeStoppedWhileItStarts(t *testing.T) {
	_, o := gated()
	settings, err := server.LoadSettings(o.Drivers, server.Sources{Flags: []server.Flag{
		{Key: "store", Value: "gated"}, {Key: "data_dir", Value: t.TempDir()},
		{Key: "http.addr", Value: "127.0.0.1:0"}, {Key: "admin.addr", Value: ""},
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = server.Run(ctx, settings, server.Options{
		Log:           server.NewLog(io.Discard, settings.Log),
		AdminPassword: func(config.Secret) error { cancel(); return nil },
		Ready:         func(server.Started) { t.Error("want it never to be ready") },
	})
	if err != nil {
		t.Errorf("want an orderly end, got %v", err)
	}
}

func TestTakenAddressIsToldWithItsKey(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, key := range []string{"http.addr", "admin.addr"} {
		_, err := harness.Run(harness.Options{Store: "memory", Settings: map[string]string{key: l.Addr().String()}})
		if config.KindOf(err) != config.Unavailable || !strings.Contains(err.Error(), key) || !strings.Contains(err.Error(), "in use") {
			t.Errorf("%s: want an error that names the key, got %v", key, err)
		}
	}
}

func TestDataDirectoryHasOneProcessOnly(t *testing.T) {
	first := harness.Start(t, harness.Options{Store: "memory"})
	_, err := harness.Run(harness.Options{Store: "memory", DataDir: first.DataDir})
	if config.KindOf(err) != config.Unavailable || !strings.Contains(err.Error(), "data_dir") {
		t.Errorf("want an error that names data_dir, got %v", err)
	}
}

func TestSlowHeadersAreCutOff(t *testing.T) {
	n := harness.Start(t, harness.Options{Store: "memory", Settings: map[string]string{"http.header_timeout": "100ms", "tls.enabled": "false"}})
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(n.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: "); err != nil {
		t.Fatal(err)
	}
	// Only the server can end this read.
	if _, err := io.ReadAll(conn); err != nil && !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "reset") {
		t.Error(err)
	}
}

func TestOversizedHeadersAreRefused(t *testing.T) {
	n := harness.Start(t, harness.Options{Store: "memory"})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.URL+"/livez", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Large", strings.Repeat("x", 64<<10))
	c := n.HTTP(t)
	resp, err := c.Do(req)
	if err == nil {
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("want 431, got %d", resp.StatusCode)
		}
	}
}

func TestShutdownSaysGoodByeToWatchers(t *testing.T) {
	n := harness.Start(t, harness.Options{Store: "memory"})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.URL+"/v1/watch?path=acme/*/*", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("admin", n.AdminPassword.Reveal())
	req.Header.Set("Accept", "text/event-stream")
	resp, err := n.HTTP(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var events []string
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if event, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			events = append(events, event)
			if event == "current" {
				n.BeginStop()
			}
		}
	}
	if diff := cmp.Diff([]string{"changes", "current", "bye"}, events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if err := n.Stop(); err != nil {
		t.Errorf("want an orderly end, got %v", err)
	}
}

func TestShutdownCutsOffWhatOutlivesTheGrace(t *testing.T) {
	n, err := harness.Run(harness.Options{Store: "memory", Settings: map[string]string{"shutdown.grace": "200ms", "tls.enabled": "false"}})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(n.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// A body that never ends keeps its request under way.
	_, err = io.WriteString(conn, "POST /v1/tenants HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic "+
		base64.StdEncoding.EncodeToString([]byte("admin:"+n.AdminPassword.Reveal()))+
		"\r\nContent-Type: application/json\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	// The server asks for the body: the handler is under way.
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "100") {
		t.Fatalf("want it to go on, got %q, %v", line, err)
	}
	n.BeginStop()
	if err := n.Stop(); err == nil || !strings.Contains(err.Error(), "grace") {
		t.Errorf("want the end to say that the grace was over, got %v", err)
	}
}

// eventually waits for a condition that nothing else tells of.
func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("it never came to be")
		}
	}
}
