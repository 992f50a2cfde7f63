package backup

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/plugin"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// writing writes a backup with the content.
func writing(t testing.TB, content []byte) func(io.Writer) (Info, error) {
	return func(w io.Writer) (Info, error) {
		return Write(t.Context(), w, sample, func(_ context.Context, w io.Writer) (int64, error) {
			_, err := w.Write(content)
			return 42, err
		})
	}
}

func TestTheShelfKeepsTheNewestOfItsOwn(t *testing.T) {
	s := Shelf{Dir: filepath.Join(t.TempDir(), "[odd]*name", "backups"), Installation: "k3vwq2ab"}
	if all, err := s.List(); err != nil || len(all) > 0 {
		t.Errorf("want an empty shelf, got %v %v", all, err)
	}
	for hour := range 4 {
		kept, info, err := s.Add(t.Context(), noon.Add(time.Duration(hour)*time.Hour), writing(t, random(1000*hour)))
		if err != nil || info.Revision != 42 || kept.Size != info.Size {
			t.Fatalf("got %+v %+v %v", kept, info, err)
		}
	}
	// None of its own, each for a reason.
	others := []string{
		"setpoint-k3vwq2ab-20200101T000000Z.backup", "setpoint-other-scheduled-20200101T000000Z.backup",
		"setpoint-k3vwq2ab-scheduled-20200101T000000Z.backup.old", "setpoint-k3vwq2ab-scheduled-20209901T000000Z.backup",
		"notes.txt", ".setpoint-other-scheduled-20200101T000000Z.backup-1.partial",
	}
	for _, name := range others {
		if err := os.WriteFile(filepath.Join(s.Dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(s.Dir, "setpoint-k3vwq2ab-scheduled-20200102T000000Z.backup")
	left := filepath.Join(s.Dir, ".setpoint-k3vwq2ab-scheduled-20200101T000000Z.backup-17.partial")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(left, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := s.Sweep(); err != nil {
		t.Error(err)
	}
	deleted, err := s.Prune(2)
	if err != nil || len(deleted) != 2 {
		t.Errorf("want two deleted, got %v %v", deleted, err)
	}
	all, err := s.List()
	if err != nil {
		t.Fatal(err)
	}
	var times []time.Time
	for _, k := range all {
		times = append(times, k.Time)
		if _, err := Verify(t.Context(), k.File); err != nil {
			t.Error(err)
		}
	}
	if diff := cmp.Diff([]time.Time{noon.Add(3 * time.Hour), noon.Add(2 * time.Hour)}, times); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	if got := len(names(t, s.Dir)); got != len(others)+1+2 {
		t.Errorf("want others' files left alone, got %q", names(t, s.Dir))
	}
}

func TestTheShelfTakesNothingBad(t *testing.T) {
	for name, tc := range map[string]struct {
		write func(io.Writer) (Info, error)
		want  config.ErrorKind
	}{
		"disk full": {func(w io.Writer) (Info, error) {
			return Write(t.Context(), w, sample, func(_ context.Context, w io.Writer) (int64, error) {
				_, _ = w.Write(random(chunkSize))
				return 0, &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
			})
		}, config.Exhausted},
		"damaged on its way": {func(w io.Writer) (Info, error) {
			info, err := writing(t, random(1000))(w)
			_, _ = w.Write([]byte("x"))
			return info, err
		}, config.Invalid},
		"another one": {func(w io.Writer) (Info, error) {
			info, err := writing(t, random(1000))(w)
			info.Revision++
			return info, err
		}, config.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			s := Shelf{Dir: t.TempDir(), Installation: "k3vwq2ab"}
			if _, _, err := s.Add(t.Context(), noon, tc.write); err == nil || config.KindOf(err) != tc.want {
				t.Errorf("want an error of kind %s, got %v", tc.want, err)
			}
			if got := names(t, s.Dir); len(got) > 0 {
				t.Errorf("want nothing left, got %q", got)
			}
		})
	}
}

func TestSchedulesThatCannotBeKeptAreRefused(t *testing.T) {
	var s Schedule
	s.Defaults()
	if diff := cmp.Diff(Schedule{Keep: 7}, s); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
	for _, tc := range []struct {
		s    Schedule
		want string
	}{
		{s, ""},
		{Schedule{Every: time.Minute, Keep: 1}, ""},
		{Schedule{Every: time.Second, Keep: 1}, "backup.every"},
		{Schedule{Every: -time.Hour, Keep: 1}, "backup.every"},
		{Schedule{Every: 9000 * time.Hour, Keep: 1}, "backup.every"},
		{Schedule{Every: time.Hour}, "backup.keep"},
	} {
		err := tc.s.Validate()
		got := ""
		if err != nil {
			got = config.AsError(err).Path
		}
		if got != tc.want {
			t.Errorf("%+v: want %q refused, got %v", tc.s, tc.want, err)
		}
	}
}

var _ plugin.Settings = (*Schedule)(nil)
