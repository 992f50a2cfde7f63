package file

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// A file set aside has the time of that in its name, so that the names sort by
// age: audit-20261124T010203.000000000Z.jsonl, and .gz once it is compressed.
const (
	timeLayout = "20060102T150405.000000000Z"
	compressed = ".gz"
	unfinished = ".tmp"
)

// setAside renames the file.
func (s *Sink) setAside() error {
	s.release() // before the renaming, which Windows would refuse
	for at := s.now().UTC(); ; at = at.Add(1) {
		name := s.aside(at.Format(timeLayout))
		if exists(name) || exists(name+compressed) {
			continue
		}
		return os.Rename(s.path, name)
	}
}

func (s *Sink) aside(stamp string) string {
	ext := filepath.Ext(s.path)
	return strings.TrimSuffix(s.path, ext) + "-" + stamp + ext
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return !errors.Is(err, fs.ErrNotExist)
}

// tidy compresses files set aside and removes the oldest of them. What fails is
// logged and done with the next rotation: the records are safe in any case.
func (s *Sink) tidy(ctx context.Context) {
	names, err := s.setAsides()
	if err != nil {
		s.log.Warn("audit files set aside cannot be listed", "path", s.path, "error", err)
		return
	}
	if over := len(names) - s.settings.Keep; s.settings.Keep > 0 && over > 0 {
		for _, name := range names[:over] {
			if err := os.Remove(name); err != nil {
				s.log.Warn("an audit file cannot be removed", "path", name, "error", err)
			}
		}
		names = names[over:]
	}
	if !s.settings.Compress {
		return
	}
	for _, name := range names {
		if strings.HasSuffix(name, compressed) {
			continue
		}
		if err := compress(ctx, name); err != nil {
			s.log.Warn("an audit file cannot be compressed", "path", name, "error", err)
		}
	}
}

// setAsides lists the files set aside, the oldest first. Only what has a time
// where these files have one is among them: nothing else is ever removed.
func (s *Sink) setAsides() ([]string, error) {
	folder := filepath.Dir(s.path)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	ext := filepath.Ext(s.path)
	before := strings.TrimSuffix(filepath.Base(s.path), ext) + "-"
	var names []string
	for _, entry := range entries {
		stamp, ok := strings.CutPrefix(strings.TrimSuffix(entry.Name(), compressed), before)
		stamp, ok2 := strings.CutSuffix(stamp, ext)
		if _, err := time.Parse(timeLayout, stamp); ok && ok2 && err == nil && entry.Type().IsRegular() {
			names = append(names, filepath.Join(folder, entry.Name()))
		}
	}
	slices.Sort(names)
	return names, nil
}

// compress replaces the file by a compressed one, which gets its name only when
// it is whole.
func compress(ctx context.Context, name string) (err error) {
	from, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	to, err := os.OpenFile(name+unfinished, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(to.Name()))
		}
	}()
	zip := gzip.NewWriter(to)
	_, err = io.Copy(zip, reader(func(b []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return from.Read(b)
	}))
	if err := errors.Join(err, zip.Close(), to.Sync(), to.Close()); err != nil {
		return err
	}
	if err := os.Rename(to.Name(), name+compressed); err != nil {
		return err
	}
	if err := syncFolder(filepath.Dir(name)); err != nil {
		return err
	}
	_ = from.Close() // Windows removes no open file
	return os.Remove(name)
}

type reader func([]byte) (int, error)

func (r reader) Read(b []byte) (int, error) { return r(b) }

// syncFolder makes names in the folder durable.
func syncFolder(name string) error {
	if runtime.GOOS == "windows" { // it has no such thing, and keeps names durable itself
		return nil
	}
	folder, err := os.Open(name)
	if err != nil {
		return err
	}
	if err := errors.Join(folder.Sync(), folder.Close()); err != nil {
		return fmt.Errorf("sync %s: %w", name, err)
	}
	return nil
}
