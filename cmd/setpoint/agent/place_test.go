package agent

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// write makes a file with a mode.
func write(t testing.TB, name, text string, mode fs.FileMode) {
	t.Helper()
	if err := errors.Join(os.WriteFile(name, []byte(text), mode), os.Chmod(name, mode)); err != nil {
		t.Fatal(err)
	}
}

// look describes a folder: each name with mode and content.
func look(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		text := info.Mode().String()
		if info.Mode().IsRegular() {
			content, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			text += " " + string(content)
		}
		at, err := filepath.Rel(dir, name)
		out[at] = text
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// to is a rendering for a place.
func to(place, content string) *rendering {
	return &rendering{target: &target{File: File{To: place, Mode: 0o600}, uid: -1, gid: -1}, content: []byte(content)}
}

func gone(place string) *rendering {
	r := to(place, "")
	r.absent = true
	return r
}

func TestSwap(t *testing.T) {
	dir, h := t.TempDir(), newHome(t)
	write(t, filepath.Join(dir, "a"), "old a", 0o644)
	write(t, filepath.Join(dir, "b"), "old b", 0o604)
	before := look(t, dir)
	renderings := []*rendering{to(filepath.Join(dir, "a"), "new a"), gone(filepath.Join(dir, "b")), to(filepath.Join(dir, "c"), "new c")}
	after := map[string]string{"a": "-rw------- new a", "c": "-rw------- new c"}

	begin := func() *swap {
		t.Helper()
		s, err := stage(renderings)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := begin()
	s.discard()
	if diff := cmp.Diff(before, look(t, dir)); diff != "" {
		t.Errorf("staged and given up (-want +got):\n%s", diff)
	}
	s = begin()
	if err := errors.Join(s.take(h.begin), s.undo(), h.end()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, look(t, dir)); diff != "" {
		t.Errorf("taken and undone (-want +got):\n%s", diff)
	}
	s = begin()
	if err := errors.Join(s.take(h.begin), h.end()); err != nil {
		t.Fatal(err)
	}
	s.discard()
	if diff := cmp.Diff(after, look(t, dir)); diff != "" {
		t.Errorf("taken (-want +got):\n%s", diff)
	}
}

var errCrash = errors.New("crash")

// An agent may be killed at any place between the first write and the last.
func TestCrash(t *testing.T) {
	for _, c := range []struct {
		name   string
		crash  func(s *swap, h *home) error // what it did until then
		undone bool
	}{
		{"staged", func(*swap, *home) error { return nil }, false},
		{"kept what was there", func(s *swap, _ *home) error {
			return s.take(func(*swap) error { return errCrash })
		}, false},
		{"journal written", func(s *swap, h *home) error {
			return s.take(func(s *swap) error { return errors.Join(h.begin(s), errCrash) })
		}, true},
		{"one of two taken", func(s *swap, h *home) error {
			s.Steps[1].fresh += "-gone"
			return s.take(h.begin)
		}, true},
		{"taken", func(s *swap, h *home) error { return s.take(h.begin) }, true},
		{"undone in part", func(s *swap, h *home) error {
			return errors.Join(s.take(h.begin), os.Rename(s.Steps[0].Old, s.Steps[0].Place))
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, h := t.TempDir(), newHome(t)
			a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
			write(t, a, "old a", 0o644)
			before := look(t, dir)
			s, err := stage([]*rendering{to(a, "new a"), to(b, "new b")})
			if err != nil {
				t.Fatal(err)
			}
			_ = c.crash(s, h)

			places, err := h.recover()
			if err != nil {
				t.Fatal(err)
			}
			want := []string(nil)
			if c.undone {
				want = []string{a, b}
			}
			if diff := cmp.Diff(want, places); diff != "" {
				t.Errorf("places (-want +got):\n%s", diff)
			}
			sweep(a)
			sweep(b)
			if c.name == "one of two taken" {
				discardFile(strings.TrimSuffix(s.Steps[1].fresh, "-gone"))
			}
			if diff := cmp.Diff(before, look(t, dir)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if again, err := h.recover(); again != nil || err != nil {
				t.Errorf("want nothing left to recover, got %v, %v", again, err)
			}
		})
	}
}

// A program that reads the file at any time finds it there, and whole.
func TestNobodySeesHalfAFile(t *testing.T) {
	dir, h := t.TempDir(), newHome(t)
	place := filepath.Join(dir, "file")
	contents := []string{strings.Repeat("a", 1<<16), strings.Repeat("b", 1<<16)}
	write(t, place, contents[0], 0o600)
	ctx, stop := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for reads := 0; ctx.Err() == nil || reads == 0; reads++ {
				got, err := os.ReadFile(place)
				if err != nil || string(got) != contents[0] && string(got) != contents[1] {
					t.Errorf("a reader found %d bytes and %v", len(got), err)
					return
				}
			}
		})
	}
	for i := range 40 {
		s, err := stage([]*rendering{to(place, contents[(i+1)%2])})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.take(h.begin); err != nil {
			t.Fatal(err)
		}
		if i%4 == 3 {
			err = s.undo()
		} else {
			s.discard()
		}
		if err := errors.Join(err, h.end()); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	readers.Wait()
}

func TestKeptByCopy(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	write(t, from, "text", 0o604)
	if err := copyFile(from, to); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"from": "-rw----r-- text", "to": "-rw----r-- text"}, look(t, dir)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPlaces(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"), "text", 0o600)
	for _, err := range []error{
		os.Mkdir(filepath.Join(dir, "folder"), 0o700),
		os.Symlink("file", filepath.Join(dir, "link")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	mode := to(filepath.Join(dir, "file"), "text")
	mode.Mode = 0o644
	for _, c := range []struct {
		name string
		r    *rendering
		want bool
		err  string
	}{
		{name: "as it should be", r: to(filepath.Join(dir, "file"), "text"), want: true},
		{name: "other text", r: to(filepath.Join(dir, "file"), "next")},
		{name: "other mode", r: mode},
		{name: "missing", r: to(filepath.Join(dir, "none"), "text")},
		{name: "to be removed", r: gone(filepath.Join(dir, "file"))},
		{name: "removed", r: gone(filepath.Join(dir, "none")), want: true},
		{name: "removed with its folder", r: gone(filepath.Join(dir, "file", "none")), want: true},
		{name: "a folder", r: to(filepath.Join(dir, "folder"), ""), err: "is there and no plain file"},
		{name: "a link", r: to(filepath.Join(dir, "link"), "text"), err: "is a symbolic link: name the file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.r.inPlace()
			if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("want %t and an error with %q, got %t and %v", c.want, c.err, got, err)
			}
		})
	}
}

func TestFolders(t *testing.T) {
	dir := t.TempDir()
	r := to(filepath.Join(dir, "x", "y", "file"), "text")
	if _, err := stage([]*rendering{r}); err == nil || !strings.Contains(err.Error(), "there is no folder") {
		t.Errorf("want that there is no folder, got %v", err)
	}
	r.CreateDirs = true
	s, err := stage([]*rendering{r})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.take(newHome(t).begin); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"x": "drwxr-x---", "x/y": "drwxr-x---", "x/y/file": "-rw------- text"}
	if diff := cmp.Diff(want, look(t, dir)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// A file in the way, and of two files the second cannot be: neither is left.
	write(t, filepath.Join(dir, "way"), "", 0o600)
	in := to(filepath.Join(dir, "way", "file"), "text")
	in.CreateDirs = true
	if _, err := stage([]*rendering{to(filepath.Join(dir, "other"), "text"), in}); err == nil {
		t.Error("want an error for a file in the way")
	}
	want["way"] = "-rw------- "
	if diff := cmp.Diff(want, look(t, dir)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		r := to(filepath.Join(t.TempDir(), "file"), "text")
		r.uid = 0
		if _, err := stage([]*rendering{r}); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("want that it is not permitted, got %v", err)
		}
		return
	}
	dir := t.TempDir()
	r := to(filepath.Join(dir, "x", "file"), "text")
	r.uid, r.gid, r.CreateDirs, r.Mode = 12345, 54321, true, 0o640
	s, err := stage([]*rendering{r})
	if err == nil {
		err = s.take(newHome(t).begin)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"x", "x/file"} {
		info, err := os.Lstat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if uid, gid := owned(info); uid != 12345 || gid != 54321 {
			t.Errorf("%s: want 12345:54321, got %d:%d", name, uid, gid)
		}
	}
	if same, err := r.inPlace(); !same || err != nil {
		t.Errorf("want it in place, got %t, %v", same, err)
	}
	r.gid = 1
	if same, err := r.inPlace(); same || err != nil {
		t.Errorf("want another owner to be a difference, got %t, %v", same, err)
	}
}

func newHome(t testing.TB) *home {
	t.Helper()
	h, err := openHome(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

func TestTwoAgents(t *testing.T) {
	h := newHome(t)
	if _, err := openHome(h.dir); err == nil || !strings.Contains(err.Error(), "another agent runs with this state directory") {
		t.Errorf("want that another agent runs, got %v", err)
	}
	h.Close()
	again, err := openHome(h.dir)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
	info, err := os.Stat(h.dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("want a directory of mode 0700, got %v, %v", info.Mode(), err)
	}
}

func FuzzJournal(f *testing.F) {
	f.Add(`{"steps":[{"place":"/a/b","old":"/a/.b.setpoint-old"},{"place":"/c"}]}`)
	f.Add(`{"steps":[{"place":"/etc/passwd","old":"/tmp/evil"}]}`)
	f.Add(`{"steps":[null]}`)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := readJournal([]byte(text))
		if err != nil {
			return
		}
		for _, st := range s.Steps {
			if st.Old != "" && filepath.Dir(st.Old) != filepath.Dir(st.Place) {
				t.Errorf("%q is believed to be the old file of %q", st.Old, st.Place)
			}
		}
	})
}
