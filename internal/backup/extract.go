package backup

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/disk"
)

// spare is what Extract leaves free of a file system, in bytes.
const spare = 64 << 20

// Verify reads all of a backup file and refuses it as Open does.
func Verify(ctx context.Context, file string) (Info, error) {
	return unpack(ctx, file, io.Discard)
}

// Extract writes the snapshot that a backup file holds to a new file in dir,
// which the caller removes. It refuses a file as Open does, and as Exhausted one
// that holds more than there is room for; then it leaves nothing behind.
func Extract(ctx context.Context, file, dir string) (snapshot string, info Info, err error) {
	room := maxSnapshot
	if free, _, err := disk.Space(dir); err == nil {
		room = free - spare
	}
	return extract(ctx, file, dir, room)
}

func extract(ctx context.Context, file, dir string, room int64) (snapshot string, info Info, err error) {
	const op = "extract backup"
	tmp, err := os.CreateTemp(dir, ".setpoint-*.snapshot")
	if err != nil {
		return "", Info{}, at(op, file, err)
	}
	defer func() {
		if closed := tmp.Close(); err == nil {
			err = at(op, file, closed)
		}
		if err != nil {
			_ = os.Remove(tmp.Name())
			snapshot = ""
		}
	}()
	info, err = unpack(ctx, file, &bounded{w: tmp, dir: dir, left: room})
	return tmp.Name(), info, err
}

// unpack copies the snapshot of a backup file.
func unpack(ctx context.Context, file string, to io.Writer) (Info, error) {
	const op = "read backup"
	f, err := os.Open(file)
	if err != nil {
		return Info{}, at(op, file, openError(err))
	}
	defer func() { _ = f.Close() }() // nothing was written
	_, r, err := Open(f)
	if err != nil {
		return Info{}, at(op, file, err)
	}
	if _, err := io.CopyBuffer(writerOnly{to}, interruptible{ctx, r}, make([]byte, chunkSize)); err != nil {
		return Info{}, at(op, file, writeError(ctx, op, err))
	}
	return r.Info(), nil
}

// openError tells a file that is not there from one that cannot be read.
func openError(err error) error {
	kind := config.Invalid
	if errors.Is(err, os.ErrNotExist) {
		kind = config.NotFound
	}
	var cause *os.PathError
	if errors.As(err, &cause) {
		err = cause.Err // the path is the error's own
	}
	return &config.Error{Kind: kind, Err: err}
}

// writerOnly hides what else a writer can do, so that CopyBuffer uses its buffer.
type writerOnly struct{ io.Writer }

// interruptible is a reader that ends with ctx.
type interruptible struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (i interruptible) Read(p []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.r.Read(p)
}

// bounded refuses more than there is room for, before a file system is full.
type bounded struct {
	w    io.Writer
	dir  string
	left int64
}

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, config.Errorf(config.Exhausted, "", "", "it holds more than there is room for in %s; make room, or name another directory", b.dir)
	}
	return b.w.Write(p)
}
