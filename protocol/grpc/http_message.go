package grpc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"

	"github.com/setpointhq/setpoint/config"
)

// roomAtFirst is how much is kept ready for a message because its sender says that
// it is long; for more, it must send it.
const roomAtFirst = 64 << 10

// RecvMsg implements rpc.ServerStream. The error at the end of what the client
// sends is io.EOF.
func (s *httpStream) RecvMsg(m any) error {
	if _, err := io.ReadFull(s.body, s.prefix[:]); errors.Is(err, io.EOF) {
		return io.EOF
	} else if err != nil {
		return s.broken(err)
	}
	packed, size := s.prefix[0], int64(binary.BigEndian.Uint32(s.prefix[1:]))
	switch {
	case packed > 1 || packed == 1 && s.unpack == nil:
		return malformed("", "the message is compressed, and the request does not say how")
	case size > int64(s.api.maxMessage):
		return s.api.errTooLarge()
	}
	b, err := s.read(size)
	if err != nil {
		return err
	}
	defer b.Free()
	if packed == 1 {
		plain, err := s.unpacked(b.ReadOnlyData())
		if err != nil {
			return err
		}
		return codec{}.Unmarshal(mem.BufferSlice{mem.SliceBuffer(plain)}, m)
	}
	return codec{}.Unmarshal(mem.BufferSlice{b}, m)
}

// errTooLarge is the error of a message over the limit.
func (a *api) errTooLarge() error {
	return config.Errorf(config.TooLarge, "", "", "a message may have %d bytes (max_message)", a.maxMessage)
}

// read reads so many bytes.
func (s *httpStream) read(size int64) (mem.Buffer, error) {
	if size <= roomAtFirst {
		pool := mem.DefaultBufferPool()
		b := pool.Get(int(size))
		if _, err := io.ReadFull(s.body, *b); err != nil {
			pool.Put(b)
			return nil, s.broken(unexpected(err))
		}
		return mem.NewBuffer(b, pool), nil
	}
	var b bytes.Buffer
	b.Grow(roomAtFirst)
	if _, err := io.CopyN(&b, s.body, size); err != nil {
		return nil, s.broken(unexpected(err))
	}
	return mem.SliceBuffer(b.Bytes()), nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// unpacked decompresses a message.
func (s *httpStream) unpacked(b []byte) ([]byte, error) {
	from, err := s.unpack.Decompress(bytes.NewReader(b))
	if err != nil {
		return nil, malformed("", "the message is not compressed as the request says")
	}
	plain, err := io.ReadAll(io.LimitReader(from, int64(s.api.maxMessage)+1))
	switch {
	case err != nil:
		return nil, malformed("", "the message is not compressed as the request says")
	case len(plain) > s.api.maxMessage:
		return nil, s.api.errTooLarge()
	}
	return plain, nil
}

// SendMsg implements rpc.ServerStream.
func (s *httpStream) SendMsg(m any) error {
	parts, err := codec{}.Marshal(m)
	if err != nil {
		return err
	}
	defer parts.Free()
	var prefix [5]byte
	if s.unpack != nil {
		if parts, err = packed(s.unpack, parts); err != nil {
			return err
		}
		prefix[0] = 1
	}
	binary.BigEndian.PutUint32(prefix[1:], uint32(parts.Len()))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return errOver
	}
	s.head()
	s.extend()
	if _, err := s.w.Write(prefix[:]); err != nil {
		return err
	}
	for _, part := range parts {
		if _, err := s.w.Write(part.ReadOnlyData()); err != nil {
			return err
		}
	}
	return s.control.Flush()
}

var errOver = config.Errorf(config.Canceled, "", "", "the call is over")

// packed compresses a message.
func packed(by encoding.Compressor, parts mem.BufferSlice) (mem.BufferSlice, error) {
	var b bytes.Buffer
	into, err := by.Compress(&b)
	if err != nil {
		return nil, err
	}
	for _, part := range parts {
		if _, err := into.Write(part.ReadOnlyData()); err != nil {
			return nil, err
		}
	}
	if err := into.Close(); err != nil {
		return nil, err
	}
	return mem.BufferSlice{mem.SliceBuffer(b.Bytes())}, nil
}
