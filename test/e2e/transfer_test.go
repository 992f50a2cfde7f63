package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

// TestRealConfigurationComesBackByteForByte takes whole sets of configuration in
// and out, through the SDK in both archive formats and through the command line.
func TestRealConfigurationComesBackByteForByte(t *testing.T) {
	s := start(t)
	root := s.root()
	for _, set := range []string{"spring", "prometheus", "rust-python"} {
		dir := filepath.Join("..", "testdata", set)
		want := readTree(t, dir)
		for _, f := range []client.ArchiveFormat{client.Zip, client.TarGz} {
			t.Run(set+"/"+string(f), func(t *testing.T) {
				env := map[client.ArchiveFormat]string{client.Zip: "zip", client.TarGz: "tar"}[f]
				build(t, root, "real/"+set+"/"+env)
				at := path(t, "real/"+set+"/"+env)
				wantTally(t, client.ImportResult{Created: len(want)}, importTree(t, root, at, f, want, want.names()))
				wantEqual(t, want, exportTree(t, root, at, f))
				wantTally(t, client.ImportResult{Unchanged: len(want)}, importTree(t, root, at, f, want, want.names()))
			})
		}
		t.Run(set+"/command line", func(t *testing.T) {
			build(t, root, "real/"+set+"/typed")
			at := "real/" + set + "/typed"
			out := filepath.Join(t.TempDir(), "out")
			s.typed(t, "import", at, dir)
			s.typed(t, "export", at, out)
			wantEqual(t, want, readTree(t, out))
		})
	}
}

// typed runs a client command as a person does who is logged in.
func (s *server) typed(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(),
		"SETPOINT_ENDPOINT=" + s.url(""), "SETPOINT_FINGERPRINT=" + s.fingerprint, "SETPOINT_TOKEN=" + s.token.Reveal(),
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("setpoint %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func importTree(t testing.TB, c *client.Client, env config.Path, f client.ArchiveFormat, files tree, names []string) client.ImportResult {
	t.Helper()
	got, err := c.Import(t.Context(), client.Import{Env: env, Archive: files.pack(t, f, names), Format: f})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func exportTree(t testing.TB, c *client.Client, env config.Path, f client.ArchiveFormat) tree {
	t.Helper()
	var b bytes.Buffer
	if err := c.Export(t.Context(), client.Export{Env: env, Format: f}, &b); err != nil {
		t.Fatal(err)
	}
	return unpack(t, f, b.Bytes())
}

// wantTally compares what an import did; its change set is not looked at.
func wantTally(t testing.TB, want, got client.ImportResult) {
	t.Helper()
	got.ChangeSet = config.ChangeSet{}
	if want.Created != got.Created || want.Changed != got.Changed || want.Unchanged != got.Unchanged || want.Pruned != got.Pruned {
		t.Errorf("want %+v, got %+v", want, got)
	}
}

// TestTenThousandConfigs imports 10,000 generated configs, gets them back, and
// wants a server that comes up again with them to be honest about when it is
// ready.
func TestTenThousandConfigs(t *testing.T) {
	const count, batch = 10_000, 500
	s := start(t)
	root := s.root()
	build(t, root, "bulk/all/prod")
	env := path(t, "bulk/all/prod")
	want := generate(1, count)
	for names := range slices.Chunk(want.names(), batch) {
		wantTally(t, client.ImportResult{Created: batch}, importTree(t, root, env, client.Zip, want, names))
	}
	wantEqual(t, want, exportTree(t, root, env, client.Zip))
	for names := range slices.Chunk(want.names(), batch) {
		wantTally(t, client.ImportResult{Unchanged: batch}, importTree(t, root, env, client.TarGz, want, names))
	}
	for _, state := range collect(t, root.Configs(t.Context(), env, client.ConfigFilter{}))[count-1:] {
		if state.Rollout.Latest != 1 {
			t.Errorf("want no release made of what is unchanged, got version %d", state.Rollout.Latest)
		}
	}
	snapshot := func() client.Snapshot {
		t.Helper()
		snap, err := root.Snapshot(t.Context(), env, client.ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return snap
	}
	before := snapshot()
	s.kill9()
	s.launch()
	s.watchReadiness(before.Configs[count/2])
	after := snapshot()
	if len(before.Configs) != count || len(after.Configs) != count {
		t.Fatalf("want %d configs before and after, got %d and %d", count, len(before.Configs), len(after.Configs))
	}
	for i := range before.Configs {
		if b, a := before.Configs[i], after.Configs[i]; b.Release != a.Release || !bytes.Equal(b.Content, a.Content) {
			t.Fatalf("want %+v after the restart, got %+v", b.Release, a.Release)
		}
	}
}
