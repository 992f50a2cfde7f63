package file_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/audit/audittest"
	"github.com/setpointhq/setpoint/audit/file"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/plugin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is a folder of its own with a sink that goes by a clock of its own.
type fixture struct {
	folder string
	now    time.Time
	sink   audit.Sink
}

func open(t *testing.T, change func(*file.Settings)) *fixture {
	t.Helper()
	f := &fixture{folder: filepath.Join(t.TempDir(), "logs"), now: time.Date(2026, 11, 24, 1, 2, 3, 0, time.UTC)}
	f.sink = f.open(t, change)
	return f
}

func (f *fixture) open(t *testing.T, change func(*file.Settings)) audit.Sink {
	t.Helper()
	var s file.Settings
	s.Defaults()
	s.Path = f.path("audit.jsonl")
	if change != nil {
		change(&s)
	}
	sink, err := s.Open(t.Context(), audit.Env{Now: func() time.Time { return f.now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sink.Close() })
	return sink
}

func (f *fixture) path(name string) string { return filepath.Join(f.folder, name) }

func (f *fixture) write(t *testing.T, from, count int) {
	t.Helper()
	if err := f.sink.Write(t.Context(), audittest.Records(from, count)); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) names(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(f.folder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// ids reads the records of the files, in the order given.
func (f *fixture) ids(t *testing.T, names ...string) []string {
	t.Helper()
	var ids []string
	for _, name := range names {
		for _, r := range read(t, f.path(name)) {
			ids = append(ids, strings.TrimLeft(r.ID, "0"))
		}
	}
	return ids
}

func read(t *testing.T, name string) []audit.Record {
	t.Helper()
	raw, err := os.ReadFile(name)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	var from io.Reader = bytes.NewReader(raw)
	if strings.HasSuffix(name, ".gz") {
		if from, err = gzip.NewReader(from); err != nil {
			t.Fatal(err)
		}
	}
	var records []audit.Record
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		records = append(records, audittest.Decode(t, lines.Bytes()))
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return records
}

func TestConformance(t *testing.T) {
	audittest.Sink(t, func(t *testing.T) audittest.Peer {
		f := open(t, nil)
		name := f.path("audit.jsonl")
		return audittest.Peer{
			Sink:    f.sink,
			Arrived: func(t *testing.T, _ int) []audit.Record { return slices.Concat(read(t, name+".kept"), read(t, name)) },
			Reopen:  func(t *testing.T) audit.Sink { return f.open(t, nil) },
			// Somebody moves the file away and puts a folder in its place.
			Break: func(t *testing.T) {
				if err := os.Rename(name, name+".kept"); err != nil {
					t.Fatal(err)
				}
				if err := os.Mkdir(name, 0o700); err != nil {
					t.Fatal(err)
				}
			},
			Mend: func(t *testing.T) {
				if err := os.Remove(name); err != nil {
					t.Fatal(err)
				}
			},
		}
	})
}

func TestTheFileIsTheOwnersOnly(t *testing.T) {
	f := open(t, nil)
	f.write(t, 1, 1)
	for name, want := range map[string]os.FileMode{".": os.ModeDir | 0o700, "audit.jsonl": 0o600} {
		info, err := os.Stat(f.path(name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode(); want != got {
			t.Errorf("%s: want %v, got %v", name, want, got)
		}
	}
}

func TestTheFileIsInTheDataDirectoryByDefault(t *testing.T) {
	var s file.Settings
	s.Defaults()
	folder := t.TempDir()
	sink, err := s.Open(t.Context(), audit.Env{DataDir: folder})
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	if err := sink.Write(t.Context(), audittest.Records(1, 2)); err != nil {
		t.Fatal(err)
	}
	if want, got := 2, len(read(t, filepath.Join(folder, "audit.jsonl"))); want != got {
		t.Errorf("want %d records, got %d", want, got)
	}
}

func TestRotationBySize(t *testing.T) {
	f := open(t, func(s *file.Settings) { s.MaxSize, s.Keep = 4*plugin.KiB, 2 })
	for i := range 6 {
		f.now = f.now.Add(time.Second)
		f.write(t, 1+5*i, 5) // about 2.3 KiB each
	}
	want := []string{"audit-20261124T010208.000000000Z.jsonl.gz", "audit-20261124T010209.000000000Z.jsonl.gz", "audit.jsonl"}
	if diff := cmp.Diff(want, f.names(t)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff(strings.Fields("16 17 18 19 20 21 22 23 24 25 26 27 28 29 30"), f.ids(t, want...)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestRotationByAge(t *testing.T) {
	f := open(t, func(s *file.Settings) { s.MaxAge, s.Compress = time.Hour, false })
	f.write(t, 1, 1) // of 01:02:03
	f.now = f.now.Add(time.Hour - 1)
	f.write(t, 2, 1)
	f.sink = f.open(t, func(s *file.Settings) { s.MaxAge, s.Compress = time.Hour, false }) // the age outlives the process
	f.now = f.now.Add(time.Microsecond + 1)                                                // the first record is a microsecond later
	f.write(t, 3, 1)
	want := []string{"audit-20261124T020203.000001000Z.jsonl", "audit.jsonl"}
	if diff := cmp.Diff(want, f.names(t)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for name, want := range map[string][]string{want[0]: {"1", "2"}, want[1]: {"3"}} {
		if diff := cmp.Diff(want, f.ids(t, name)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}

func TestRotationsAtTheSameMomentLoseNothing(t *testing.T) {
	f := open(t, func(s *file.Settings) { s.MaxSize, s.Keep = plugin.KiB, 0 })
	for i := range 5 {
		f.write(t, 1+i, 1)
		f.write(t, 101+i, 2)
	}
	if diff := cmp.Diff(strings.Fields("1 101 102 2 102 103 3 103 104 4 104 105 5 105 106"), f.ids(t, f.names(t)...)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestRotationRemovesNothingElse(t *testing.T) {
	f := open(t, func(s *file.Settings) { s.MaxSize, s.Keep = plugin.KiB, 1 })
	f.write(t, 1, 2)
	others := []string{"audit-notes.jsonl", "audit-20261124.jsonl", "other-20200101T000000.000000000Z.jsonl", "audit-20200101T000000.000000000Z.txt"}
	for _, name := range others {
		if err := os.WriteFile(f.path(name), []byte("mine\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f.write(t, 3, 2)
	f.write(t, 5, 2)
	for _, name := range others {
		if _, err := os.Stat(f.path(name)); err != nil {
			t.Error(err)
		}
	}
}

func TestWhatACrashLeftOfALineIsCutAway(t *testing.T) {
	for _, tc := range []struct {
		name, tail string
		want       []string
	}{
		{"nothing", "", []string{"1", "2", "3"}},
		{"half a line", `{"id":"00`, []string{"1", "2", "3"}},
		{"a long one", strings.Repeat("x", 300_000), []string{"1", "2", "3"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := open(t, nil)
			f.write(t, 1, 2)
			f.sink.Close()
			raw, err := os.ReadFile(f.path("audit.jsonl"))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(f.path("audit.jsonl"), append(raw, tc.tail...), 0o600); err != nil {
				t.Fatal(err)
			}
			f.sink = f.open(t, nil)
			f.write(t, 3, 1)
			if diff := cmp.Diff(tc.want, f.ids(t, "audit.jsonl")); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestTheFileMayBeRemovedOrMovedAway(t *testing.T) {
	f := open(t, nil)
	f.write(t, 1, 2)
	if err := os.Rename(f.path("audit.jsonl"), f.path("moved")); err != nil {
		t.Fatal(err)
	}
	f.write(t, 3, 1)
	if err := os.RemoveAll(f.folder); err != nil {
		t.Fatal(err)
	}
	f.write(t, 4, 1)
	if diff := cmp.Diff([]string{"4"}, f.ids(t, "audit.jsonl")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestValidateNamesWhatIsWrong(t *testing.T) {
	for _, tc := range []struct {
		want   string
		change func(*file.Settings)
	}{
		{"audit.file.max_size", func(s *file.Settings) { s.MaxSize = 10 }},
		{"audit.file.max_age", func(s *file.Settings) { s.MaxAge = time.Second }},
		{"audit.file.keep", func(s *file.Settings) { s.Keep = -1 }},
	} {
		t.Run(tc.want, func(t *testing.T) {
			var s file.Settings
			s.Defaults()
			if err := s.Validate(); err != nil {
				t.Fatalf("defaults: %v", err)
			}
			tc.change(&s)
			_, err := s.Open(t.Context(), audit.Env{})
			if err == nil || config.KindOf(err) != config.Invalid || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("want an invalid %s, got %v", tc.want, err)
			}
		})
	}
}
