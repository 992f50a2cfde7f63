package file

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/config"
)

// Sink appends to the file. It starts no goroutine: setting a file aside and
// compressing it are part of the Write that made it too large or too old.
type Sink struct {
	settings Settings
	path     string
	log      *slog.Logger
	now      func() time.Time

	mu     sync.Mutex // over all below
	file   *os.File   // nil while it is not open
	since  time.Time  // of its oldest record
	closed bool
}

// Write appends the records and syncs the file.
func (s *Sink) Write(ctx context.Context, records []audit.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return config.Errorf(config.Unavailable, "write", place, "the sink is closed")
	}
	if err := ctx.Err(); err != nil {
		return config.Errorf(config.KindOf(err), "write", place, "%w", err)
	}
	encoded, bad := audit.Encode(records)
	if len(encoded) == 0 {
		return bad
	}
	var text bytes.Buffer
	for _, e := range encoded {
		text.Write(e.JSON)
		text.WriteByte('\n')
	}
	rotated, err := s.prepare(int64(text.Len()))
	if err == nil {
		err = s.append(text.Bytes(), encoded[0].Time)
	}
	if err != nil {
		return config.Errorf(config.Unavailable, "write", place, "%w", err)
	}
	if rotated { // once the records are safe, as it may take a while
		s.tidy(ctx)
	}
	return bad
}

// prepare sees to an open file that has room for so many bytes more, and
// reports whether another was set aside for it.
func (s *Sink) prepare(more int64) (rotated bool, err error) {
	if err := s.reopen(); err != nil {
		return false, err
	}
	info, err := s.file.Stat()
	if err != nil {
		return false, err
	}
	tooLarge := info.Size()+more > int64(s.settings.MaxSize)
	tooOld := s.settings.MaxAge > 0 && s.now().Sub(s.since) >= s.settings.MaxAge
	if info.Size() == 0 || !tooLarge && !tooOld {
		return false, nil
	}
	if err := s.setAside(); err != nil {
		return false, err
	}
	return true, s.reopen()
}

// reopen opens the file unless the one that is open is still the one of that
// name: somebody may have removed it, or moved it away.
func (s *Sink) reopen() error {
	if s.file != nil {
		named, err := os.Stat(s.path)
		if open, openErr := s.file.Stat(); err == nil && openErr == nil && os.SameFile(named, open) {
			return nil
		}
		s.release()
	}
	if err := os.MkdirAll(filepath.Dir(s.path), 0o700); err != nil {
		return err
	}
	if info, err := os.Stat(s.path); err == nil && !info.Mode().IsRegular() {
		return errors.New(s.path + " is not a file")
	}
	file, err := os.OpenFile(s.path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	since, err := mend(file)
	if err == nil {
		err = syncFolder(filepath.Dir(s.path))
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	s.file, s.since = file, since
	return nil
}

// append writes all or nothing.
func (s *Sink) append(text []byte, oldest time.Time) error {
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	if _, err = s.file.Write(text); err == nil {
		err = s.file.Sync()
	}
	if err != nil {
		// The file is opened again the next time: that cuts what is half a line
		// even if this cannot, and after a failed sync nothing else can be relied on.
		err = errors.Join(err, s.file.Truncate(info.Size()))
		s.release()
		return err
	}
	if info.Size() == 0 {
		s.since = oldest
	}
	return nil
}

// release closes the file; all that was said to be written is synced already.
func (s *Sink) release() {
	if s.file != nil {
		_ = s.file.Close()
	}
	s.file = nil
}

// Close closes the file.
func (s *Sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.release()
	s.closed = true
	return nil
}

// mend cuts off a last line that has no end, as a crash leaves one, and returns
// the time of the oldest record.
func mend(file *os.File) (since time.Time, err error) {
	info, err := file.Stat()
	if err != nil {
		return since, err
	}
	end, err := lastLineFeed(file, info.Size())
	if err != nil {
		return since, err
	}
	if end < info.Size() {
		if err := file.Truncate(end); err != nil {
			return since, err
		}
	}
	var oldest struct{ Time time.Time }
	const enough = 1 << 20
	if err := json.NewDecoder(io.NewSectionReader(file, 0, min(end, enough))).Decode(&oldest); err == nil {
		return oldest.Time, nil
	}
	return info.ModTime(), nil // empty, or not ours at the start
}

// lastLineFeed returns the offset behind the last line feed among the first size bytes.
func lastLineFeed(file io.ReaderAt, size int64) (int64, error) {
	block := make([]byte, 64<<10)
	for end := size; end > 0; {
		from := max(0, end-int64(len(block)))
		part := block[:end-from]
		if _, err := file.ReadAt(part, from); err != nil {
			return 0, err
		}
		if at := bytes.LastIndexByte(part, '\n'); at >= 0 {
			return from + int64(at) + 1, nil
		}
		end = from
	}
	return 0, nil
}

var _ audit.Sink = (*Sink)(nil)
