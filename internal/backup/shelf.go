package backup

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/disk"
)

// Shelf is where the backups of one installation stand that are made by the
// clock. It knows them by their names and touches no other file.
type Shelf struct {
	Dir          string
	Installation string
}

// Kept is a backup on the shelf.
type Kept struct {
	File string // with its directory
	Time time.Time
	Size int64
}

const (
	stamp  = "20060102T150405Z"
	ending = ".backup"
)

// FileName is how a backup of an installation is called that somebody asked for.
func FileName(installation string, made time.Time) string {
	return "setpoint-" + installation + "-" + made.UTC().Format(stamp) + ending
}

// begin is what the names of the shelf's files begin with. It is not that of
// FileName, so that what somebody put there by hand stays.
func (s Shelf) begin() string { return "setpoint-" + s.Installation + "-scheduled-" }

// made takes the time from the name of a file; false if it is none of the shelf's.
func (s Shelf) made(name string) (time.Time, bool) {
	text, ok := strings.CutPrefix(name, s.begin())
	if !ok {
		return time.Time{}, false
	}
	if text, ok = strings.CutSuffix(text, ending); !ok {
		return time.Time{}, false
	}
	t, err := time.Parse(stamp, text)
	return t, err == nil && t.Format(stamp) == text
}

// List returns the shelf's backups, the newest first. There are none if the
// directory is not there.
func (s Shelf) List() ([]Kept, error) {
	entries, err := os.ReadDir(s.Dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, at("list backups", s.Dir, err)
	}
	var all []Kept
	for _, e := range entries {
		made, ok := s.made(e.Name())
		if !ok || !e.Type().IsRegular() {
			continue
		}
		if info, err := e.Info(); err == nil { // else it was deleted meanwhile
			all = append(all, Kept{File: filepath.Join(s.Dir, e.Name()), Time: made, Size: info.Size()})
		}
	}
	slices.SortFunc(all, func(a, b Kept) int { return b.Time.Compare(a.Time) })
	return all, nil
}

// Add has write write a new backup and reads it back. It stands on the shelf
// only if it is good; after an error nothing is left of it. A disk is not
// filled for it.
func (s Shelf) Add(ctx context.Context, now time.Time, write func(io.Writer) (Info, error)) (kept Kept, read Info, err error) {
	const op = "write backup"
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return Kept{}, Info{}, at(op, s.Dir, err)
	}
	name := filepath.Join(s.Dir, s.begin()+now.UTC().Format(stamp)+ending)
	f, err := Create(name)
	if err != nil {
		return Kept{}, Info{}, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	written, err := write(&considerate{w: f, dir: s.Dir})
	if err == nil {
		err = writeError(ctx, op, f.Sync())
	}
	if err != nil {
		return Kept{}, Info{}, at(op, name, err)
	}
	read, err = Verify(ctx, f.Name())
	switch {
	case err != nil:
		return Kept{}, Info{}, at(op, name, config.Errorf(config.KindOf(err), "", "", "what was written does not read back: %w", err))
	case read.Revision != written.Revision || read.Size != written.Size:
		return Kept{}, Info{}, config.Errorf(config.Internal, op, name, "%d bytes of revision %d were written, %d of revision %d read back",
			written.Size, written.Revision, read.Size, read.Revision)
	}
	return Kept{File: name, Time: now, Size: read.Size}, read, f.Commit()
}

// Prune deletes all but the newest backups.
func (s Shelf) Prune(keep int) (deleted []Kept, err error) {
	all, err := s.List()
	if err != nil || len(all) <= keep {
		return nil, err
	}
	var errs []error
	for _, k := range all[keep:] {
		if err := os.Remove(k.File); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, at("delete backup", k.File, err))
			continue
		}
		deleted = append(deleted, k)
	}
	return deleted, errors.Join(errs...)
}

// Sweep deletes what runs left behind that were cut off.
func (s Shelf) Sweep() error {
	left, err := filepath.Glob(filepath.Join(escape(s.Dir), "."+s.begin()+"*"+partial))
	for _, name := range left {
		err = errors.Join(err, os.Remove(name))
	}
	return at("delete backup", s.Dir, err)
}

// escape makes a directory's name stand for itself in a pattern.
func escape(dir string) string {
	return strings.NewReplacer(`*`, `[*]`, `?`, `[?]`, `[`, `[[]`).Replace(dir)
}

const (
	lookEvery  = 8 << 20 // bytes between two looks at how much is free
	leastShare = 20      // of a disk, the part that is left free is one in so many
	leastFree  = 1 << 30 // bytes that are enough to leave free, however large the disk
)

// considerate leaves some of a disk free: others live on it, the store itself
// may, which takes no more changes when it is full.
type considerate struct {
	w       io.Writer
	dir     string
	unasked int // bytes that may be written before the next look
}

// Write implements io.Writer.
func (c *considerate) Write(p []byte) (int, error) {
	if c.unasked -= len(p); c.unasked < 0 {
		c.unasked = lookEvery
		if free, total, err := disk.Space(c.dir); err == nil {
			if least := min(total/leastShare, leastFree); free < least+int64(len(p)) {
				return 0, errNoSpace(c.dir, free, least)
			}
		}
	}
	return c.w.Write(p)
}
