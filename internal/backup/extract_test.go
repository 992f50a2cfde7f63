package backup

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/config"
)

// put writes a file into a new directory, where nothing else is.
func put(t testing.TB, content []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "some.backup")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// names lists a directory.
func names(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := []string{}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func TestExtractWritesTheSnapshotAlone(t *testing.T) {
	content := random(2*chunkSize + 5)
	file, want := made(t, content, 42)
	dir := t.TempDir()
	name, info, err := Extract(t.Context(), put(t, file), dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, info); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	got, err := os.ReadFile(name)
	if err != nil || !bytes.Equal(content, got) {
		t.Errorf("want the content back, got %d bytes, %v", len(got), err)
	}
	if mode, err := os.Stat(name); err != nil || mode.Mode().Perm() != 0o600 {
		t.Errorf("want it for its owner alone, got %v %v", mode.Mode(), err)
	}
	if info, err := Verify(t.Context(), put(t, file)); err != nil || cmp.Diff(want, info) != "" {
		t.Errorf("want it verified, got %+v %v", info, err)
	}
}

func TestExtractLeavesNothingOfABadBackup(t *testing.T) {
	file, _ := made(t, random(2*chunkSize+5), 42)
	flipped := bytes.Clone(file)
	flipped[len(flipped)/2] ^= 1
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, tc := range map[string]struct {
		ctx  context.Context
		file string
		room int64
		want config.ErrorKind
	}{
		"cut off":   {t.Context(), put(t, file[:len(file)-1]), maxSnapshot, config.Invalid},
		"flipped":   {t.Context(), put(t, flipped), maxSnapshot, config.Invalid},
		"foreign":   {t.Context(), put(t, []byte("something else")), maxSnapshot, config.Invalid},
		"directory": {t.Context(), t.TempDir(), maxSnapshot, config.Internal},
		"missing":   {t.Context(), filepath.Join(t.TempDir(), "none"), maxSnapshot, config.NotFound},
		"no room":   {t.Context(), put(t, file), 2 * chunkSize, config.Exhausted},
		"canceled":  {canceled, put(t, file), maxSnapshot, config.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			snapshot, _, err := extract(tc.ctx, tc.file, dir, tc.room)
			if err == nil || config.KindOf(err) != tc.want || snapshot != "" {
				t.Errorf("want an error of kind %s, got %q, %v", tc.want, snapshot, err)
			}
			if e := config.AsError(err); e.Path != tc.file {
				t.Errorf("want it to name %s, got %v", tc.file, err)
			}
			if got := names(t, dir); len(got) > 0 {
				t.Errorf("want nothing left, got %q", got)
			}
		})
	}
}

func TestAFileIsThereOnceItIsWhole(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "b.backup")
	begin := func(content string) *File {
		f, err := Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
		return f
	}
	f := begin("discarded")
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if got := names(t, dir); len(got) > 0 {
		t.Errorf("want nothing left, got %q", got)
	}
	for _, content := range []string{"first", "second"} {
		f := begin(content)
		if err := f.Commit(); err != nil {
			t.Error(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if got, err := os.ReadFile(name); err != nil || string(got) != content {
			t.Errorf("want %q, got %q, %v", content, got, err)
		}
	}
	if diff := cmp.Diff([]string{"b.backup"}, names(t, dir)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := Create(filepath.Join(dir, "none", "b.backup")); err == nil {
		t.Error("want a directory that is not there to be an error")
	}
}
