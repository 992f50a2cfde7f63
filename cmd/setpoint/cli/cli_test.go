package cli

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// result is what a command did.
type result struct {
	code           int
	stdout, stderr string
}

// run executes a command line in a home of its own, against a server that
// answers with a handler.
func run(t *testing.T, h http.Handler, args ...string) result {
	t.Helper()
	srv := httptest.NewTLSServer(h)
	defer srv.Close()
	return runIn(t, []string{
		"XDG_CONFIG_HOME=" + t.TempDir(), "SETPOINT_ENDPOINT=" + srv.URL,
		"SETPOINT_FINGERPRINT=" + client.Fingerprint(srv.Certificate()), "SETPOINT_TOKEN=sp_test",
	}, args...)
}

func runIn(t *testing.T, environ []string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := Run(t.Context(), Root(Env{
		Args: args, Environ: environ, Version: "test", Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr,
	}))
	return result{code, stdout.String(), stderr.String()}
}

func answer(body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(body)) })
}

func TestEveryKindOfErrorHasAnExitCode(t *testing.T) {
	want := map[config.ErrorKind]int{
		config.Internal: 1, config.Invalid: 2, config.Unauthenticated: 4, config.Denied: 4, config.NotFound: 3,
		config.Exists: 5, config.Conflict: 5, config.TooLarge: 6, config.Exhausted: 1, config.Throttled: 7,
		config.Unsupported: 1, config.Compacted: 1, config.Unavailable: 7, config.Timeout: 7, config.Canceled: 1,
	}
	for _, kind := range config.ErrorKinds() {
		code, ok := want[kind]
		if got := exitCode(config.Errorf(kind, "", "", "x")); !ok || code != got {
			t.Errorf("%s: want %d, got %d", kind, code, got)
		}
	}
}

func TestOutputFormats(t *testing.T) {
	tenants := answer(`{"items":[{"name":"acme","description":"on\u001b[31m","created_at":"2026-01-02T03:04:05Z","created_by":"1.0"}]}`)
	tests := []struct{ name, format, want string }{
		{"json", "json", `[
  {
    "name": "acme",
    "description": "on\u001b[31m",
    "created_at": "2026-01-02T03:04:05Z",
    "created_by": "1.0"
  }
]
`},
		{"yaml", "yaml", `- name: acme
  description: "on\u001b[31m"
  created_at: "2026-01-02T03:04:05Z"
  created_by: "1.0"
`},
		{"table", "table", "TENANT  CREATED              BY   DESCRIPTION\n" +
			"acme    " + when(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)) + "  1.0  on\uFFFD[31m\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := run(t, tenants, "tenant", "ls", "-o", tt.format)
			if diff := cmp.Diff(tt.want, got.stdout); diff != "" || got.code != 0 {
				t.Errorf("code %d, stderr %s, output (-want +got):\n%s", got.code, got.stderr, diff)
			}
		})
	}
}

func TestErrorsDoNotDriveTheTerminal(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnprocessableEntity)
		w.Write([]byte(`{"code":"invalid","path":"a\u001b[2J","detail":"d","problems":[{"line":1,"column":2,"severity":"error","message":"m\u001b]0;x\u0007","excerpt":"1 | a\n  | ^","hint":"h"}]}`))
	})
	got := run(t, h, "tenant", "create", "acme")
	want := result{exitInvalid, "", "setpoint: a\uFFFD[2J: invalid: 1 problem\nerror: 1:2: m\uFFFD]0;x\uFFFD\n  1 | a\n    | ^\n  hint: h\n"}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(result{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTokensStayWithTheirServer(t *testing.T) {
	home := t.TempDir()
	a := &app{env: Env{Environ: []string{"XDG_CONFIG_HOME=" + home}}}
	saved := contexts{Current: "one", Contexts: map[string]savedContext{
		"one": {Endpoint: "https://one:7400", Token: "sp_one", Fingerprint: "f1"},
		"two": {Endpoint: "https://two:7400", Token: "sp_two"},
	}}
	if err := a.saveContexts(saved); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		flags   globals
		environ []string
		want    savedContext
	}{
		{"current", globals{}, nil, saved.Contexts["one"]},
		{"by name", globals{context: "two"}, nil, saved.Contexts["two"]},
		{"by variable", globals{}, []string{"SETPOINT_CONTEXT=two"}, saved.Contexts["two"]},
		{"by endpoint", globals{endpoint: "two:7400"}, nil, saved.Contexts["two"]},
		{"another endpoint", globals{endpoint: "https://three"}, nil, savedContext{Endpoint: "https://three"}},
		{"another endpoint by variable", globals{}, []string{"SETPOINT_ENDPOINT=https://three"}, savedContext{Endpoint: "https://three"}},
		{"another token", globals{}, []string{"SETPOINT_TOKEN=sp_x"}, savedContext{Endpoint: "https://one:7400", Token: "sp_x", Fingerprint: "f1"}},
		{"another trust", globals{}, []string{"SETPOINT_CA_FILE=ca"}, savedContext{Endpoint: "https://one:7400", Token: "sp_one", CAFile: "ca"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := &app{env: Env{Environ: append(tt.environ, "XDG_CONFIG_HOME="+home)}, flags: tt.flags}
			got, err := a.target()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("target (-want +got):\n%s", diff)
			}
		})
	}
}

func TestContextsAreForTheirOwnerOnly(t *testing.T) {
	home := t.TempDir()
	var stderr bytes.Buffer
	a := &app{env: Env{Environ: []string{"XDG_CONFIG_HOME=" + home}, Stderr: &stderr}}
	if err := a.saveContexts(contexts{Contexts: map[string]savedContext{"x": {Endpoint: "https://x", Token: "sp_x"}}}); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(home, "setpoint", "contexts.yaml")
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("mode: want 0600, got %o", got)
	}
	if err := os.Chmod(name, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := a.loadContexts(); err != nil || !strings.Contains(stderr.String(), "can be read by others") {
		t.Errorf("want a warning, got %q, %v", stderr.String(), err)
	}
	if err := os.WriteFile(name, []byte("current: x\nunknown: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := a.loadContexts(); config.KindOf(err) != config.Invalid {
		t.Errorf("unknown key: want invalid, got %v", err)
	}
}

func TestFollower(t *testing.T) {
	x, y := config.Path{Tenant: "t", App: "a", Env: "e", Name: "x"}, config.Path{Tenant: "t", App: "a", Env: "e", Name: "y"}
	put := func(p config.Path, v int64) client.Change { return client.Change{Path: p, Version: v} }
	gone := func(p config.Path) client.Change { return client.Change{Path: p, Deleted: true} }
	steps := []struct {
		name  string
		event client.Event
		want  []client.Change
	}{
		{"snapshot", client.Event{Reset: true, Changes: []client.Change{put(x, 1), put(y, 1)}}, []client.Change{put(x, 1), put(y, 1)}},
		{"current", client.Event{Current: true}, nil},
		{"repeated", client.Event{Changes: []client.Change{put(x, 1)}}, nil},
		{"new", client.Event{Changes: []client.Change{put(x, 2)}}, []client.Change{put(x, 2)}},
		{"a resync without y", client.Event{Reset: true, Changes: []client.Change{put(x, 2)}}, nil},
		{"is over", client.Event{Current: true}, []client.Change{gone(y)}},
		{"deleted", client.Event{Changes: []client.Change{gone(x)}}, []client.Change{gone(x)}},
		{"deleted again", client.Event{Changes: []client.Change{gone(x)}}, nil},
	}
	f := &follower{versions: map[config.Path]int64{}}
	for _, s := range steps {
		if diff := cmp.Diff(s.want, f.news(s.event)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", s.name, diff)
		}
	}
}

func TestLifetimeAndPointInTime(t *testing.T) {
	for text, want := range map[string]time.Duration{"": 0, "720h": 720 * time.Hour, "30d": 720 * time.Hour, "1.5d": 36 * time.Hour} {
		if got, err := lifetime(text); err != nil || want != got {
			t.Errorf("lifetime(%q): want %v, got %v, %v", text, want, got, err)
		}
	}
	for _, text := range []string{"x", "-1h", "0", "d"} {
		if got, err := lifetime(text); err == nil {
			t.Errorf("lifetime(%q): want an error, got %v", text, got)
		}
	}
	want := time.Date(2026, 1, 31, 10, 0, 0, 0, time.UTC)
	if got, err := pointInTime("2026-01-31T10:00:00Z"); err != nil || !want.Equal(got) {
		t.Errorf("want %v, got %v, %v", want, got, err)
	}
	if _, err := pointInTime("tomorrow"); err == nil {
		t.Error("tomorrow: want an error")
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 1 << 20: "1.0 MiB", 1 << 50: "1024.0 TiB"} {
		if got := size(n); want != got {
			t.Errorf("size(%d): want %s, got %s", n, want, got)
		}
	}
}

func TestColored(t *testing.T) {
	in := "--- a\n+++ b\n@@ -1 +1 @@\n x\n-y\n+z"
	want := "\x1b[1m--- a\x1b[0m\n\x1b[1m+++ b\x1b[0m\n\x1b[36m@@ -1 +1 @@\x1b[0m\n x\n\x1b[31m-y\x1b[0m\n\x1b[32m+z\x1b[0m"
	if diff := cmp.Diff(want, colored(in)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestProgressIsDrawnAndTakenAway(t *testing.T) {
	var b bytes.Buffer
	p := &progress{w: &b, noun: "files", total: 4, on: true}
	p.add(2)
	p.clear()
	p.add(1) // after the end nothing is drawn
	want := "\r[" + strings.Repeat("#", 15) + strings.Repeat(".", 15) + "] 2/4 files\r\x1b[K"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// zipOf packs names with a content that tells them apart.
func zipOf(t *testing.T, names ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range names {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte("content of " + name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestExportStaysInItsDirectory(t *testing.T) {
	for _, name := range []string{"../evil", "/evil", "a/../../evil", `..\evil`, "a//b", "C:evil", "ok/../../evil"} {
		t.Run(name, func(t *testing.T) {
			outer := t.TempDir()
			got := run(t, answer(string(zipOf(t, "fine.yaml", name))), "export", "a/b/c", filepath.Join(outer, "dir"))
			if got.code != exitUsage {
				t.Errorf("want exit code %d, got %d: %s", exitUsage, got.code, got.stderr)
			}
			var found []string
			err := filepath.WalkDir(outer, func(p string, d os.DirEntry, err error) error {
				if !d.IsDir() {
					found = append(found, p)
				}
				return err
			})
			if err != nil || len(found) > 0 {
				t.Errorf("want nothing written, got %v, %v", found, err)
			}
		})
	}
}

func TestArchivesWithTooLargeFilesAreRefused(t *testing.T) {
	name := filepath.Join(t.TempDir(), "bomb.zip")
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.Create("a.yaml")
	if err != nil {
		t.Fatal(err)
	}
	f.Write(make([]byte, maxFile+1))
	w.Close()
	if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	got := run(t, answer(`{}`), "import", "a/b/c", name)
	if got.code != exitInvalid || !strings.Contains(got.stderr, "too large") {
		t.Errorf("want too large, got %d: %s", got.code, got.stderr)
	}
}

func FuzzArchive(f *testing.F) {
	var tgz bytes.Buffer
	gz := gzip.NewWriter(&tgz)
	w := tar.NewWriter(gz)
	_ = w.WriteHeader(&tar.Header{Name: "./a/b.yaml", Size: 2, Mode: 0o600})
	_, _ = w.Write([]byte("a\n"))
	_ = w.WriteHeader(&tar.Header{Name: "link", Linkname: "/etc/passwd", Typeflag: tar.TypeSymlink})
	_ = w.Close()
	_ = gz.Close()
	f.Add(tgz.Bytes(), true)
	f.Add([]byte("PK\x05\x06"+strings.Repeat("\x00", 18)), false)
	f.Fuzz(func(t *testing.T, data []byte, tarred bool) {
		name := filepath.Join(t.TempDir(), "x.zip")
		if tarred {
			name = filepath.Join(filepath.Dir(name), "x.tgz")
		}
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		n := 0
		for entry, err := range (source{name: name}).files() {
			if n++; err != nil || n > 100 {
				break
			}
			if content, err := entry.read(); err == nil && len(content) > maxFile {
				t.Errorf("%d bytes, want at most %d", len(content), maxFile)
			}
		}
	})
}

func FuzzContexts(f *testing.F) {
	f.Add([]byte("current: a\ncontexts:\n  a:\n    endpoint: https://x\n    token: sp_x\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		home := t.TempDir()
		a := &app{env: Env{Environ: []string{"XDG_CONFIG_HOME=" + home}, Stderr: &bytes.Buffer{}}}
		name, err := a.contextsFile()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, _ = a.target()
	})
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	cancel(why)
	release := make(chan struct{})
	defer close(release)
	_, err := await(ctx, func() (string, error) { <-release; return "", nil })
	if !errors.Is(err, why) {
		t.Errorf("want %v, got %v", why, err)
	}
}
