package client_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/client/clienttest"
	"github.com/setpointhq/setpoint/config"
)

const (
	env   = "acme/shop/prod"
	pathA = env + "/a.json"
	pathB = env + "/b.json"
	pathC = env + "/c.yaml"
)

// record is a log that tests may read while it is written.
type record struct {
	mu   sync.Mutex
	b    bytes.Buffer
	more chan struct{} // closed by the next line, if somebody waits for it
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.more != nil {
		close(r.more)
		r.more = nil
	}
	return r.b.Write(p)
}

// wait waits until a text is in the log.
func (r *record) wait(t *testing.T, text string) {
	t.Helper()
	for {
		r.mu.Lock()
		if strings.Contains(r.b.String(), text) {
			r.mu.Unlock()
			return
		}
		if r.more == nil {
			r.more = make(chan struct{})
		}
		more := r.more
		r.mu.Unlock()
		select {
		case <-more:
		case <-t.Context().Done():
			t.Fatalf("want %q in the log, got %s", text, r.String())
		}
	}
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.String()
}

func (r *record) logger() *slog.Logger { return slog.New(slog.NewTextHandler(r, nil)) }

// open opens a set that is closed with the test.
func open(t *testing.T, c *client.Client, o client.SetOptions) *client.Set {
	t.Helper()
	if o.Patterns == nil {
		o.Patterns = []string{env}
	}
	set, err := c.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(set.Close)
	return set
}

// wait waits for a state.
func wait(t *testing.T, set *client.Set, ok func(*client.State) bool) *client.State {
	t.Helper()
	state, err := set.Wait(t.Context(), ok)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// serves is a state in which a path has a content, "" for none.
func serves(t *testing.T, path, content string) func(*client.State) bool {
	p := mustPath(t, path)
	return func(s *client.State) bool {
		c, ok := s.Get(p)
		return ok == (content != "") && string(c.Content) == content
	}
}

// show renders a state as "name=version:content".
func show(s *client.State) (all []string) {
	for c := range s.All() {
		all = append(all, fmt.Sprintf("%s=%d:%s", c.Path.Name, c.Version, c.Content))
	}
	return all
}

func wantState(t *testing.T, s *client.State, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, show(s)); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
}

func TestSetFollowsItsPatterns(t *testing.T) {
	srv := clienttest.NewServer(t)
	srv.PutAll(map[string]string{pathA: "1", pathB: "1", "acme/shop/test/a.json": "other"})
	changes := make(chan string, 10)
	set := open(t, srv.Client(t, client.Options{}), client.SetOptions{OnChange: func(old, now *client.State) {
		changes <- fmt.Sprint(show(old), show(now))
	}})
	first := set.State()
	wantState(t, first, "a.json=1:1", "b.json=1:1")
	if first.FromCache() || first.Revision() == "" || first.Len() != 2 {
		t.Errorf("want a server's state with a revision, got %+v", first)
	}
	feed := set.Changes()
	if got := <-feed; got != first {
		t.Error("want the channel to begin with the state in force")
	}
	srv.PutAll(map[string]string{pathA: "2", pathC: "x: 1"})
	wantState(t, wait(t, set, serves(t, pathA, "2")), "a.json=2:2", "b.json=1:1", "c.yaml=1:x: 1")
	if want, got := "[a.json=1:1 b.json=1:1] [a.json=2:2 b.json=1:1 c.yaml=1:x: 1]", <-changes; want != got {
		t.Errorf("change: want %s, got %s", want, got)
	}
	srv.Delete(pathB)
	srv.Put(pathA, "3")
	last := wait(t, set, serves(t, pathA, "3"))
	wantState(t, last, "a.json=3:3", "c.yaml=1:x: 1")
	if got := <-feed; got != last {
		t.Errorf("want the newest state in the channel, got %v", show(got))
	}
	wantState(t, first, "a.json=1:1", "b.json=1:1") // which never changes
	set.Close()
	set.Close()
	if _, ok := <-feed; ok {
		t.Error("want the channel closed")
	}
	if _, ok := <-set.Changes(); ok {
		t.Error("want a channel of a closed set closed")
	}
	if _, err := set.Wait(t.Context(), func(*client.State) bool { return false }); config.KindOf(err) != config.Canceled {
		t.Errorf("want canceled, got %v", err)
	}
	wantState(t, set.State(), "a.json=3:3", "c.yaml=1:x: 1")
}

func TestSetServesAnInstanceItsOwn(t *testing.T) {
	srv := clienttest.NewServer(t)
	srv.Put(pathA, "all")
	one := open(t, srv.Client(t, client.Options{Instance: config.Client{ID: "one"}}), client.SetOptions{})
	two := open(t, srv.Client(t, client.Options{Instance: config.Client{ID: "two"}}), client.SetOptions{})
	srv.For(pathA, "own", "two")
	wantState(t, wait(t, two, serves(t, pathA, "own")), "a.json=2:own")
	wantState(t, one.State(), "a.json=1:all")
	srv.Put(pathA, "new")
	wait(t, one, serves(t, pathA, "new"))
	wait(t, two, serves(t, pathA, "new"))
}

func TestSetOptionsRefused(t *testing.T) {
	srv := clienttest.NewServer(t)
	c := srv.Client(t, client.Options{})
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		o    client.SetOptions
		want string
	}{
		{"no pattern", client.SetOptions{}, "no pattern"},
		{"bad pattern", client.SetOptions{Patterns: []string{"ACME"}}, "ACME"},
		{"short key", client.SetOptions{Patterns: []string{env}, CacheDir: t.TempDir(), CacheKey: config.NewSecret("secret")}, "32 random bytes"},
		{"key without a dir", client.SetOptions{Patterns: []string{env}, CacheKey: config.NewSecret(strings.Repeat("00", 32))}, "without a cache dir"},
		{"dir is a file", client.SetOptions{Patterns: []string{env}, CacheDir: file}, "cache dir"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := c.Open(t.Context(), tt.o)
			if config.KindOf(err) != config.Invalid || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("want invalid with %q, got %v", tt.want, err)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error shows the key: %v", err)
			}
		})
	}
}

// short is how long tests wait for a server that is down.
const short = 50 * time.Millisecond

func TestSetStartsFromItsCacheAndCatchesUp(t *testing.T) {
	for name, key := range map[string]config.Secret{"plain": {}, "sealed": config.NewSecret(strings.Repeat("a5", 32))} {
		t.Run(name, func(t *testing.T) {
			srv := clienttest.NewServer(t)
			dir := filepath.Join(t.TempDir(), "cache")
			o := client.SetOptions{CacheDir: dir, CacheKey: key, StartWithin: short}
			srv.Put(pathA, "hidden treasure")
			before := open(t, srv.Client(t, client.Options{}), client.SetOptions{CacheDir: dir, CacheKey: key})
			report, err := srv.WaitReport(t.Context(), func(clienttest.Report) bool { return true })
			if err != nil {
				t.Fatal(err)
			}
			before.Close()

			srv.Stop()
			var log record
			set := open(t, srv.Client(t, client.Options{Log: log.logger()}), o)
			if s, st := set.State(), set.Status(); !s.FromCache() || !st.FromCache || st.Connected || st.Stale == 0 {
				t.Errorf("want a state of the cache, told to be old, got %+v", st)
			}
			wantState(t, set.State(), "a.json=1:hidden treasure")
			if !set.State().Time().Equal(before.State().Time()) {
				t.Errorf("want the time %v of the state that was kept, got %v", before.State().Time(), set.State().Time())
			}
			for _, want := range []string{"level=WARN", "started from the local cache", "age=", srv.Options().Endpoints[0]} {
				if !strings.Contains(log.String(), want) {
					t.Errorf("want %q in the log, got %s", want, log.String())
				}
			}

			srv.Start()
			now := wait(t, set, func(s *client.State) bool { return !s.FromCache() })
			wantState(t, now, "a.json=1:hidden treasure")
			srv.Put(pathA, "2")
			wait(t, set, serves(t, pathA, "2"))
			if st := set.Status(); !st.Connected || st.FromCache || st.Err != nil || st.Stale != 0 {
				t.Errorf("want a set that is current, got %+v", st)
			}
			// The same instance as before: rollouts must not take it for another.
			if _, err := srv.WaitReport(t.Context(), func(r clienttest.Report) bool {
				return r.Version == 2 && r.Instance == report.Instance
			}); err != nil {
				t.Error(err)
			}
			checkFiles(t, dir, !key.Empty())
		})
	}
}

// checkFiles sees that nobody else may read what is kept.
func checkFiles(t *testing.T, dir string, sealed bool) {
	t.Helper()
	caches := 0
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if got := info.Mode().Perm() & 0o077; got != 0 {
			t.Errorf("%s: others have the rights %o", path, got)
		}
		if filepath.Ext(path) != ".cache" {
			return nil
		}
		caches++
		content, err := os.ReadFile(path)
		if shown := bytes.Contains(content, []byte("treasure")); shown == sealed {
			t.Errorf("%s: want content in the clear %v, got %v", path, !sealed, shown)
		}
		return err
	})
	if err != nil || caches != 1 {
		t.Errorf("want one cache, got %d, %v", caches, err)
	}
}

func TestSetSaysWhyItCannotStart(t *testing.T) {
	srv := clienttest.NewServer(t)
	srv.Put(pathA, "1")
	key, other := config.NewSecret(strings.Repeat("01", 32)), config.NewSecret(strings.Repeat("02", 32))
	kept, sealed, damaged := t.TempDir(), t.TempDir(), t.TempDir()
	for dir, key := range map[string]config.Secret{kept: {}, sealed: key, damaged: {}} {
		set := open(t, srv.Client(t, client.Options{}), client.SetOptions{CacheDir: dir, CacheKey: key})
		set.Close()
	}
	files, err := filepath.Glob(filepath.Join(damaged, "*.cache"))
	if err != nil || len(files) != 1 {
		t.Fatalf("want a cache, got %v, %v", files, err)
	}
	if err := os.WriteFile(files[0], []byte("what is this?"), 0o600); err != nil {
		t.Fatal(err)
	}
	srv.Stop()
	tests := []struct {
		name string
		o    client.SetOptions
		want string
	}{
		{"no cache dir", client.SetOptions{}, "there is no local cache"},
		{"nothing kept", client.SetOptions{CacheDir: t.TempDir()}, "nothing was kept there yet"},
		{"other patterns", client.SetOptions{CacheDir: kept, Patterns: []string{pathA}}, "nothing was kept there yet"},
		{"damaged", client.SetOptions{CacheDir: damaged}, "no cache of a set"},
		{"wrong key", client.SetOptions{CacheDir: sealed, CacheKey: other}, "another key"},
		{"no key", client.SetOptions{CacheDir: sealed}, "give the cache key"},
		{"key for plain text", client.SetOptions{CacheDir: kept, CacheKey: key}, "not sealed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.o.StartWithin = short; tt.o.Patterns == nil {
				tt.o.Patterns = []string{env}
			}
			_, err := srv.Client(t, client.Options{}).Open(t.Context(), tt.o)
			if config.KindOf(err) != config.Unavailable || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), srv.Options().Endpoints[0]) {
				t.Errorf("want unavailable with %q and the endpoint, got %v", tt.want, err)
			}
		})
	}
}

func TestSetDoesNotStartFromItsCacheWhenItIsRefused(t *testing.T) {
	srv := clienttest.NewServer(t)
	srv.Put(pathA, "1")
	dir := t.TempDir()
	set := open(t, srv.Client(t, client.Options{}), client.SetOptions{CacheDir: dir})
	set.Close()
	for _, kind := range []config.ErrorKind{config.Denied, config.Unauthenticated, config.Invalid} {
		srv.Refuse(kind)
		o := client.SetOptions{Patterns: []string{env}, CacheDir: dir, StartWithin: time.Hour}
		if _, err := srv.Client(t, client.Options{}).Open(t.Context(), o); config.KindOf(err) != kind {
			t.Errorf("want %s at once, got %v", kind, err)
		}
	}
}

func TestSetOutlivesItsRights(t *testing.T) {
	srv := clienttest.NewServer(t)
	srv.Put(pathA, "1")
	var log record
	set := open(t, srv.Client(t, client.Options{Log: log.logger()}), client.SetOptions{})
	srv.Refuse(config.Denied)
	log.wait(t, "refuse to serve")
	wantState(t, set.State(), "a.json=1:1")
	if st := set.Status(); st.Connected || st.Stale == 0 || config.KindOf(st.Err) != config.Denied {
		t.Errorf("want a set that says it may be old, got %+v", st)
	}
}

func TestSetStartsWithItsContext(t *testing.T) {
	srv := clienttest.NewServer(t)
	srv.Stop()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o := client.SetOptions{Patterns: []string{env}, StartWithin: time.Hour}
	if _, err := srv.Client(t, client.Options{}).Open(ctx, o); config.KindOf(err) != config.Canceled {
		t.Errorf("want canceled, got %v", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), short)
	defer cancel()
	if _, err := srv.Client(t, client.Options{}).Open(ctx, o); config.KindOf(err) != config.Unavailable {
		t.Errorf("want unavailable, got %v", err)
	}
	// Once it has started, its context is of no concern.
	srv.Start()
	srv.Put(pathA, "1")
	ctx, cancel = context.WithCancel(t.Context())
	set, err := srv.Client(t, client.Options{}).Open(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	cancel()
	srv.Put(pathA, "2")
	wait(t, set, serves(t, pathA, "2"))
}

func TestSetLeavesADeadServerForTheNext(t *testing.T) {
	one, two := clienttest.NewServer(t), clienttest.NewServer(t)
	one.Put(pathA, "one")
	two.Put(pathA, "two")
	o := both(one, two)
	o.Instance.ID = "i"
	set := open(t, one.Client(t, o), client.SetOptions{})
	wantState(t, set.State(), "a.json=1:one")
	one.Stop()
	wait(t, set, serves(t, pathA, "two"))
	// The other node knows nothing of what the first was told.
	if _, err := two.WaitReport(t.Context(), func(r clienttest.Report) bool {
		return r.Instance == "i" && r.Version == 1 && r.State == config.AckApplied
	}); err != nil {
		t.Error(err)
	}
	two.Stop()
	one.Start()
	wait(t, set, serves(t, pathA, "one"))
}

// both reaches two servers as one would two nodes of a cluster.
func both(one, two *clienttest.Server) client.Options {
	o := one.Options()
	o.Endpoints = append(o.Endpoints, two.Options().Endpoints...)
	two.Admit(o.Token)
	return o
}

func TestSetLeavesAServerThatDoesNotServe(t *testing.T) {
	unheard, err := net.Listen("tcp", "127.0.0.1:0") // the kernel takes connections, nobody answers
	if err != nil {
		t.Fatal(err)
	}
	defer unheard.Close()
	mute := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	mute.EnableHTTP2 = true
	mute.StartTLS()
	defer mute.Close()
	stale := httptest.NewTLSServer(&script{parts: []string{"event: error\ndata: {\"code\":\"unavailable\",\"detail\":\"too stale\"}\n\n"}})
	defer stale.Close()
	for name, endpoint := range map[string]string{
		"before TLS": "https://" + unheard.Addr().String(), "before the answer": mute.URL, "in the answer": stale.URL,
	} {
		t.Run(name, func(t *testing.T) {
			srv := clienttest.NewServer(t)
			srv.Put(pathA, "1")
			o := srv.Options()
			o.Endpoints = append([]string{endpoint}, o.Endpoints...)
			o.Timeout = 100 * time.Millisecond
			set := open(t, srv.Client(t, o), client.SetOptions{StartWithin: time.Hour})
			wantState(t, set.State(), "a.json=1:1")
		})
	}
}
