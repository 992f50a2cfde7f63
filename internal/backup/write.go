package backup

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"io"
	"syscall"

	"github.com/klauspost/compress/zstd"

	"github.com/setpointhq/setpoint/config"
)

// Write writes a backup of what snapshot writes, and of the revision that it
// returns. It holds about two chunks in memory. After an error what was written
// is no backup: Open refuses it.
func Write(ctx context.Context, w io.Writer, h Header, snapshot func(context.Context, io.Writer) (revision int64, err error)) (Info, error) {
	const op = "write backup"
	text, err := h.encode()
	if err != nil {
		return Info{}, config.Errorf(config.Internal, op, "", "%w", err)
	}
	// Fast rather than small: it runs beside a node that serves.
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false))
	if err != nil {
		return Info{}, config.Errorf(config.Internal, op, "", "%w", err)
	}
	defer func() { _ = encoder.Close() }() // it writes nothing by itself
	out := &chunker{ctx: ctx, to: hashed{w: w, sum: sha256.New()}, encoder: encoder, raw: make([]byte, 0, chunkSize)}
	begin := append(make([]byte, 0, preamble+len(text)), h.magic()...)
	begin = binary.BigEndian.AppendUint32(begin, version)
	begin = binary.BigEndian.AppendUint32(begin, uint32(len(text)))
	if err := out.to.write(append(begin, text...)); err != nil {
		return Info{}, writeError(ctx, op, err)
	}
	revision, err := snapshot(ctx, out)
	if out.err != nil {
		err = out.err // whatever the snapshot made of it
	}
	if err != nil {
		return Info{}, writeError(ctx, op, err)
	}
	if revision <= 0 {
		return Info{}, config.Errorf(config.Internal, op, "", "the engine's snapshot is of revision %d", revision)
	}
	if err := out.finish(revision); err != nil {
		return Info{}, writeError(ctx, op, err)
	}
	return Info{Header: h, Revision: revision, Size: out.to.written, Snapshot: out.length}, nil
}

// writeError gives an error of the operating system the kind that it has here.
func writeError(ctx context.Context, op string, err error) error {
	var known *config.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return err
	case ctx.Err() != nil:
		return &config.Error{Op: op, Kind: config.KindOf(ctx.Err()), Err: err}
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return &config.Error{Op: op, Kind: config.Exhausted, Err: err}
	default:
		return &config.Error{Op: op, Kind: config.KindOf(err), Err: err}
	}
}

// hashed counts and digests what goes through it.
type hashed struct {
	w       io.Writer
	sum     hash.Hash
	written int64
}

func (h *hashed) write(b []byte) error {
	h.sum.Write(b)
	n, err := h.w.Write(b)
	h.written += int64(n)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return err
}

// chunker cuts a stream into chunks and compresses each.
type chunker struct {
	ctx     context.Context
	to      hashed
	encoder *zstd.Encoder
	raw     []byte // the chunk that is being filled
	coded   []byte // the memory of the last one, compressed
	length  int64  // of all that came
	err     error  // once it failed
}

// Write implements io.Writer.
func (c *chunker) Write(b []byte) (n int, err error) {
	for len(b) > 0 && c.err == nil {
		take := min(len(b), chunkSize-len(c.raw))
		c.raw = append(c.raw, b[:take]...)
		b, n = b[take:], n+take
		if len(c.raw) == chunkSize {
			c.err = c.flush()
		}
	}
	return n, c.err
}

// flush writes the chunk that is being filled, if there is anything in it.
func (c *chunker) flush() error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	if len(c.raw) == 0 {
		return nil
	}
	c.coded = c.encoder.EncodeAll(c.raw, append(c.coded[:0], make([]byte, chunkLengths)...))
	binary.BigEndian.PutUint32(c.coded, uint32(len(c.coded)-chunkLengths))
	binary.BigEndian.PutUint32(c.coded[4:], uint32(len(c.raw)))
	c.length += int64(len(c.raw))
	c.raw = c.raw[:0]
	return c.to.write(c.coded)
}

// finish writes what is left, and the trailer.
func (c *chunker) finish(revision int64) error {
	if err := c.flush(); err != nil {
		return err
	}
	end := make([]byte, chunkLengths, chunkLengths+trailerSize)
	end = binary.BigEndian.AppendUint64(end, uint64(c.length))
	end = binary.BigEndian.AppendUint64(end, uint64(revision))
	if err := c.to.write(end); err != nil {
		return err
	}
	return c.to.write(c.to.sum.Sum(nil))
}

var _ io.Writer = (*chunker)(nil)
