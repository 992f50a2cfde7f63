package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/cmd/setpoint/backups"
	"github.com/setpointhq/setpoint/cmd/setpoint/cli"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/backup"
	"github.com/setpointhq/setpoint/standard"
	"github.com/setpointhq/setpoint/test/harness"
)

// offline runs a command that needs no server and returns what it prints, and
// its exit code.
func offline(t testing.TB, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	env := cli.Env{Args: args, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Version: "1.2.3"}
	root := cli.Root(env)
	backups.AddTo(root, "", backups.Env{Drivers: standard.Drivers(), Program: "setpoint", Version: env.Version})
	code = cli.Run(t.Context(), root)
	return out.String(), errs.String(), code
}

// restore makes a data directory of a backup.
func restore(t testing.TB, file string, flags ...string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "data")
	out, errs, code := offline(t, append([]string{"restore", file, "--data-dir", dir}, flags...)...)
	if code != 0 || !strings.Contains(out, "setpoint serve --data-dir "+dir) {
		t.Fatalf("restore: exit code %d, %s%s", code, out, errs)
	}
	return dir
}

// take writes a backup to a file.
func take(t testing.TB, c *client.Client) (string, client.BackupInfo) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "some.backup")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := c.Backup(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	return name, info
}

// position is the revision in a token, which only tests may look at.
func position(t testing.TB, token config.Token) int64 {
	t.Helper()
	digits, _, _ := strings.Cut(string(token), ".")
	n, err := strconv.ParseInt(digits, 36, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// told is everything that a client can be told of an env, but revisions, which
// stay with what was changed and so need no comparing across servers.
type told struct {
	Served   map[string]string // content by path
	States   []config.State
	Releases map[string][]config.Release
	Audit    []client.AuditRecord
	Users    []string
}

func tell(t testing.TB, c *client.Client, env string) told {
	t.Helper()
	d := told{Served: map[string]string{}, Releases: map[string][]config.Release{}}
	d.States = collect(t, c.Configs(t.Context(), path(t, env), client.ConfigFilter{Deleted: true}))
	for _, state := range d.States {
		d.Releases[state.Path.String()] = collect(t, c.Releases(t.Context(), state.Path))
		if served, err := c.Get(t.Context(), state.Path, client.ReadOptions{}); err == nil {
			d.Served[state.Path.String()] = string(served.Content)
		}
	}
	d.Audit = collect(t, c.Audit(t.Context(), path(t, env).Tenant, client.AuditFilter{Path: path(t, env)}))
	for _, u := range collect(t, c.Users(t.Context())) {
		d.Users = append(d.Users, u.Name)
	}
	return d
}

// writers publish until stop is called, each to a config of its own.
func writers(t testing.TB, c *client.Client, env string, n int) (acks *atomic.Int64, stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	acks = new(atomic.Int64)
	var all sync.WaitGroup
	for w := range n {
		at := path(t, fmt.Sprintf("%s/writer-%d.yaml", env, w))
		all.Go(func() {
			for i := 1; ctx.Err() == nil; i++ {
				content := fmt.Appendf(nil, "number: %d\npad: %s\n", i, strings.Repeat("x", 100*(i%200)))
				if _, err := c.Publish(ctx, client.Publish{Items: []client.PublishItem{{Path: at, Content: content}}, Comment: strconv.Itoa(i)}); err == nil {
					acks.Add(1)
				} else if ctx.Err() == nil {
					t.Errorf("a writer was refused: %v", err)
					return
				}
			}
		})
	}
	return acks, func() { cancel(); all.Wait() }
}

// furnished is a node with a house that is finished, and one being worked in.
func furnished(t testing.TB) (*harness.Server, *client.Client) {
	t.Helper()
	s := harness.Start(t, harness.Options{DataDir: t.TempDir()})
	c := s.Client(t)
	build(t, c, "acme/shop/prod", "acme/busy/prod")
	for i := range 5 {
		publish(t, c, "acme/shop/prod/app.yaml", fmt.Sprintf("version: %d # %s\r\n\ttab\n", i, "häß")[:20]+"\n")
		publish(t, c, "acme/shop/prod/large.json", `{"n": `+strconv.Itoa(i)+`, "pad": "`+strings.Repeat("é", 60_000)+`"}`)
	}
	publish(t, c, "acme/shop/prod/gone.toml", "a = 1\n")
	must(t, c.DeleteConfig(t.Context(), client.DeleteConfig{Path: path(t, "acme/shop/prod/gone.toml")}))
	_, _, err := c.SaveDraft(t.Context(), client.SaveDraft{Path: path(t, "acme/shop/prod/app.yaml"), Content: []byte("draft: true\n")})
	must(t, err)
	_, err = c.CreateUser(t.Context(), client.NewUser{Name: "vera", Password: config.NewSecret("correct horse battery")})
	must(t, err)
	return s, c
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestBackupTotalLossRestore backs an installation up while it is worked in,
// throws it away, restores it, and wants everything back.
func TestBackupTotalLossRestore(t *testing.T) {
	s, c := furnished(t)
	want := tell(t, c, "acme/shop/prod")
	acks, stop := writers(t, c, "acme/busy/prod", 4)
	await := func(n int64) {
		for at := range c.Watch(t.Context(), client.WatchRequest{Patterns: []string{"acme/busy/prod"}}) {
			if _ = at; acks.Load() >= n {
				return
			}
		}
	}
	await(40)
	before := acks.Load()
	file, info := take(t, c)
	await(acks.Load() + 40)
	stop()
	seen := lastToken(t, c, "acme/busy/prod") // of what the backup does not have
	if position(t, seen) <= info.Revision {
		t.Fatalf("nothing was written after the backup: %d, %d", position(t, seen), info.Revision)
	}
	checkVerified(t, file, info)
	must(t, s.Stop())
	must(t, os.RemoveAll(s.DataDir))

	back := harness.Start(t, harness.Options{DataDir: restore(t, file), AdminPassword: s.AdminPassword})
	c = back.Client(t)
	got := tell(t, c, "acme/shop/prod")
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("what is told of the env that was at rest (-before +after):\n%s", diff)
	}
	checkBusy(t, c, before)
	created := collect(t, c.Audit(t.Context(), "", client.AuditFilter{Action: "backup.create"}))
	if len(created) != 1 || created[0].Actor.Subject != "admin" {
		t.Errorf("want the backup itself recorded in it, got %+v", created)
	}
	checkTokens(t, c, seen)

	// Another one in a row, of the same file; then one of what was restored.
	publish(t, c, "acme/shop/prod/app.yaml", "after: the first\n")
	seen = lastToken(t, c, "acme/shop/prod")
	later, _ := take(t, c)
	must(t, back.Stop())
	again := harness.Start(t, harness.Options{DataDir: restore(t, file), AdminPassword: s.AdminPassword})
	checkTokens(t, again.Client(t), seen)
	if diff := cmp.Diff(want, tell(t, again.Client(t), "acme/shop/prod"), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the same file, restored again (-before +after):\n%s", diff)
	}
	must(t, again.Stop())
	last := harness.Start(t, harness.Options{DataDir: restore(t, later), AdminPassword: s.AdminPassword})
	checkTokens(t, last.Client(t), seen)
	served, err := last.Client(t).Get(t.Context(), path(t, "acme/shop/prod/app.yaml"), client.ReadOptions{Strong: true})
	if err != nil || string(served.Content) != "after: the first\n" {
		t.Errorf("want what was published after the first restore, got %q, %v", served.Content, err)
	}
}

// lastToken is the position that a watcher of the env has come to.
func lastToken(t testing.TB, c *client.Client, env string) config.Token {
	t.Helper()
	for event, err := range c.Watch(t.Context(), client.WatchRequest{Patterns: []string{env}}) {
		must(t, err)
		if event.Current {
			return event.Revision
		}
	}
	t.Fatal("the watch ended")
	return ""
}

// checkVerified wants the backup's inventory to be what the server would say.
func checkVerified(t testing.TB, file string, info client.BackupInfo) {
	t.Helper()
	out, errs, code := offline(t, "backup", "verify", file, "-o", "json")
	var verified struct {
		backup.Info
		Inventory backup.Inventory `json:"inventory"`
	}
	if err := json.Unmarshal([]byte(out), &verified); err != nil || code != 0 {
		t.Fatalf("verify: exit code %d, %v, %s%s", code, err, out, errs)
	}
	v := verified.Inventory
	if verified.Revision != info.Revision || verified.Size != info.Size || v.Tenants != 1 || v.Apps != 2 || v.Envs != 2 ||
		v.Drafts != 1 || v.Users != 2 || v.Unreadable != 0 || v.Releases < 11+40 || v.AuditRecords < v.Releases || v.Newest.IsZero() {
		t.Errorf("verify tells %s", out)
	}
	if out, errs, code := offline(t, "backup", "verify", file); code != 0 || !strings.Contains(out, "AUDIT RECORDS") {
		t.Errorf("verify: exit code %d, %s%s", code, out, errs)
	}
}

// checkBusy wants what writers wrote to be a beginning of what they wrote, whole:
// at least what was acknowledged before, each with content and audit record.
func checkBusy(t testing.TB, c *client.Client, acknowledged int64) {
	t.Helper()
	recorded := map[string]bool{}
	for _, r := range collect(t, c.Audit(t.Context(), "acme", client.AuditFilter{Action: "config.publish"})) {
		recorded[r.ID] = true
	}
	var releases int64
	for _, state := range collect(t, c.Configs(t.Context(), path(t, "acme/busy/prod"), client.ConfigFilter{})) {
		all := collect(t, c.Releases(t.Context(), state.Path))
		releases += state.Rollout.Latest
		for i, r := range all {
			full, err := c.Release(t.Context(), state.Path, r.Version)
			sum := sha256.Sum256(full.Content)
			if err != nil || r.Version != state.Rollout.Latest-int64(i) || hex.EncodeToString(sum[:]) != r.Digest || !recorded[r.ChangeSet] ||
				!bytes.HasPrefix(full.Content, []byte("number: "+r.Comment+"\n")) {
				t.Errorf("%s version %d is not whole: %v", state.Path, r.Version, err)
			}
		}
	}
	if releases < acknowledged {
		t.Errorf("want the %d releases that were acknowledged before the backup, got %d", acknowledged, releases)
	}
}

// checkTokens wants a token of before the restore to be good after it, and what
// it leads to to be what is served now.
func checkTokens(t testing.TB, c *client.Client, seen config.Token) {
	t.Helper()
	at := path(t, "acme/shop/prod/app.yaml")
	served, err := c.Get(t.Context(), at, client.ReadOptions{MinRevision: seen})
	must(t, err)
	if position(t, served.Revision) <= position(t, seen) {
		t.Errorf("revisions went back from %d to %d", position(t, seen), position(t, served.Revision))
	}
	state := map[string]string{"acme/shop/prod/never.yaml": "what was lost"}
	for event, err := range c.Watch(t.Context(), client.WatchRequest{Patterns: []string{"acme/shop/prod"}, After: seen}) {
		must(t, err)
		if event.Reset {
			clear(state)
		}
		for _, change := range event.Changes {
			state[change.Path.String()] = string(change.Content)
		}
		if event.Current {
			break
		}
	}
	if diff := cmp.Diff(tell(t, c, "acme/shop/prod").Served, state); diff != "" {
		t.Errorf("what a watcher knows that resumed (-served +known):\n%s", diff)
	}
	set := publish(t, c, "acme/busy/prod/after.yaml", "at: "+string(served.Revision)+"\n")
	if position(t, set.Revision) <= position(t, seen) {
		t.Errorf("a publish got revision %d, and %d was seen before", position(t, set.Revision), position(t, seen))
	}
}

// TestRestoreRefusesWhole tries what must not be restored, and wants nothing to
// have been written.
func TestRestoreRefusesWhole(t *testing.T) {
	s, c := furnished(t)
	file, info := take(t, c)
	must(t, s.Stop())
	whole, err := os.ReadFile(file)
	must(t, err)
	damaged := bytes.Clone(whole)
	damaged[len(damaged)*2/3] ^= 1
	put := func(content []byte) string {
		name := filepath.Join(t.TempDir(), "bad.backup")
		must(t, os.WriteFile(name, content, 0o600))
		return name
	}
	const several = "n1=h1:7403,n2=h2:7403,n3=h3:7403"
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"damaged":      {[]string{put(damaged)}, "damaged"},
		"cut off":      {[]string{put(whole[:len(whole)-1])}, "cut off"},
		"foreign":      {[]string{put([]byte("something else altogether, of some length"))}, "no backup"},
		"missing":      {[]string{filepath.Join(t.TempDir(), "none")}, "no such file"},
		"newer":        {[]string{put(remade(t, whole, func(h *backup.Header) { h.Version = "1.3.0" }))}, "1.3.0"},
		"other engine": {[]string{put(remade(t, whole, func(h *backup.Header) { h.Engine = "oracle" }))}, "oracle"},
		"mislabelled":  {[]string{put(remade(t, whole, func(h *backup.Header) { h.Installation = "zzzzzzzz" }))}, info.Installation},
		"other prefix": {[]string{put(remade(t, whole, func(h *backup.Header) { h.Prefix = "/else/" }))}, "prefix"},
		"no member":    {[]string{file, "--name", "n4", "--cluster", several}, "n4"},
		"no bump":      {[]string{file, "--name", "n1", "--cluster", several}, "--bump 10"},
		"backwards":    {[]string{file, "--bump", "-1"}, "backwards"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			_, errs, code := offline(t, append([]string{"restore", "--data-dir", dir}, tc.args...)...)
			if code == 0 || !strings.Contains(errs, tc.want) {
				t.Errorf("want it refused with a word of %q, got %d, %s", tc.want, code, errs)
			}
			if _, err := os.Stat(dir); !os.IsNotExist(err) {
				t.Errorf("want nothing written, got %v", err)
			}
		})
	}
	t.Run("data there", func(t *testing.T) {
		before := readTree(t, s.DataDir)
		_, errs, code := offline(t, "restore", file, "--data-dir", s.DataDir)
		if code == 0 || !strings.Contains(errs, "holds data already") {
			t.Errorf("want it refused, got %d, %s", code, errs)
		}
		wantEqual(t, before, readTree(t, s.DataDir))
	})
	t.Run("members", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "data")
		out, errs, code := offline(t, "restore", file, "--data-dir", dir, "--name", "n2", "--cluster", several, "--bump", "5000000000")
		if code != 0 || strings.Count(out, "--bump 5000000000") != 2 || !strings.Contains(out, "--name n3 --cluster "+several) {
			t.Errorf("want the lines for the two others, got %d, %s%s", code, out, errs)
		}
	})
}

// remade is a backup with another header, whole in itself.
func remade(t testing.TB, file []byte, change func(*backup.Header)) []byte {
	t.Helper()
	h, r, err := backup.Open(bytes.NewReader(file))
	must(t, err)
	var content bytes.Buffer
	_, err = content.ReadFrom(r)
	must(t, err)
	change(&h)
	var out bytes.Buffer
	_, err = backup.Write(t.Context(), &out, h, func(_ context.Context, w io.Writer) (int64, error) {
		_, err := content.WriteTo(w)
		return r.Info().Revision, err
	})
	must(t, err)
	return out.Bytes()
}
