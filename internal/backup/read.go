package backup

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"hash"
	"io"
	"math"

	"github.com/klauspost/compress/zstd"

	"github.com/setpointhq/setpoint/config"
)

// Reader yields the snapshot that a backup holds.
type Reader struct {
	in      source
	decoder *zstd.Decoder
	coded   []byte // the memory of a compressed chunk
	chunk   []byte // the memory of a chunk
	left    []byte // what of it was not read yet
	info    Info
	err     error // what ends the reading; io.EOF if the backup is whole
}

// Open reads the beginning of a backup. What the header says is proven only
// when the reader has returned io.EOF: until then the backup may still turn out
// to be damaged, and the reader returns an error of kind Invalid. Other kinds
// are the errors of r.
func Open(r io.Reader) (Header, *Reader, error) { return openAs(r, magic) }

// OpenTenant is Open for the export of a tenant.
func OpenTenant(r io.Reader) (Header, *Reader, error) { return openAs(r, tenantMagic) }

func openAs(r io.Reader, want string) (Header, *Reader, error) {
	b := &Reader{in: source{r: r, sum: sha256.New()}}
	begin := make([]byte, preamble)
	if err := b.in.fill(begin[:len(want)]); err != nil {
		if b.in.cut {
			err = errForeign(want, "")
		}
		return Header{}, nil, err
	}
	if got := string(begin[:len(want)]); got != want {
		return Header{}, nil, errForeign(want, got)
	}
	if err := b.in.fill(begin[len(magic):]); err != nil {
		return Header{}, nil, err
	}
	switch form := binary.BigEndian.Uint32(begin[len(magic):]); {
	case form == 0:
		return Header{}, nil, invalid("it is damaged: it says that its form is of version 0")
	case form > version:
		return Header{}, nil, invalid("its form is of version %d and this program reads up to %d: use a newer Setpoint", form, version)
	}
	length := binary.BigEndian.Uint32(begin[len(magic)+4:])
	if length == 0 || length > maxHeader {
		return Header{}, nil, invalid("it is damaged: a header of %d bytes; at most %d are possible", length, maxHeader)
	}
	text := make([]byte, length)
	if err := b.in.fill(text); err != nil {
		return Header{}, nil, err
	}
	h, err := decodeHeader(text)
	if err == nil && h.magic() != want {
		err = errors.New("its header is that of something else")
	}
	if err != nil {
		return Header{}, nil, invalid("it is damaged: %w", err)
	}
	b.info.Header = h
	b.decoder, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(chunkSize), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		return Header{}, nil, config.Errorf(config.Internal, "read backup", "", "%w", err)
	}
	return h, b, nil
}

// errForeign says what something is that is not what was wanted.
func errForeign(want, got string) error {
	switch {
	case want == magic && got == tenantMagic:
		return invalid("this is the export of a tenant and no backup: 'setpoint tenant import' takes it")
	case want == tenantMagic && got == magic:
		return invalid("this is a backup of a whole installation and no export of a tenant: 'setpoint restore' takes it")
	case want == tenantMagic:
		return invalid("this is no export of a tenant, which 'setpoint tenant export' makes")
	}
	return invalid("this is no backup of Setpoint's")
}

// Read implements io.Reader. io.EOF means that the backup is whole, that nothing
// in it was changed, and that nothing follows it.
func (b *Reader) Read(p []byte) (int, error) {
	for len(b.left) == 0 && b.err == nil {
		b.err = b.next()
	}
	n := copy(p, b.left)
	b.left = b.left[n:]
	if n > 0 || len(p) == 0 {
		return n, nil
	}
	return 0, b.err
}

// Info returns what is known of the backup, once Read has returned io.EOF.
func (b *Reader) Info() Info { return b.info }

// next reads a chunk or, after the last one, the trailer.
func (b *Reader) next() error {
	var lengths [chunkLengths]byte
	if err := b.in.fill(lengths[:]); err != nil {
		return err
	}
	coded, raw := binary.BigEndian.Uint32(lengths[:]), binary.BigEndian.Uint32(lengths[4:])
	switch {
	case coded == 0 && raw == 0:
		return b.finish()
	case coded == 0 || coded > maxCoded || raw == 0 || raw > chunkSize:
		return invalid("it is damaged: a chunk of %d bytes that is to hold %d", coded, raw)
	case b.info.Snapshot+int64(raw) > maxSnapshot:
		return invalid("it is damaged: it holds more than %d bytes", maxSnapshot)
	}
	if int(coded) > len(b.coded) {
		b.coded = make([]byte, coded)
	}
	if int(raw) > len(b.chunk) {
		b.chunk = make([]byte, raw)
	}
	if err := b.in.fill(b.coded[:coded]); err != nil {
		return err
	}
	chunk, err := b.decoder.DecodeAll(b.coded[:coded], b.chunk[:0:raw])
	if err != nil || len(chunk) != int(raw) {
		return invalid("it is damaged: the chunk that ends at byte %d cannot be decompressed", b.in.read)
	}
	b.info.Snapshot += int64(raw)
	b.left = chunk
	return nil
}

// finish checks the trailer and that nothing follows.
func (b *Reader) finish() error {
	var trailer [trailerSize]byte
	numbers, digest := trailer[:trailerSize-digestSize], trailer[trailerSize-digestSize:]
	if err := b.in.fill(numbers); err != nil {
		return err
	}
	want := b.in.sum.Sum(nil)
	if err := b.in.fill(digest); err != nil {
		return err
	}
	length, revision := binary.BigEndian.Uint64(numbers), binary.BigEndian.Uint64(numbers[8:])
	switch {
	case subtle.ConstantTimeCompare(want, digest) == 0:
		return invalid("it is damaged: its digest is not that of its content")
	case length != uint64(b.info.Snapshot) || revision == 0 || revision > math.MaxInt64:
		return invalid("it is damaged: it says that it holds %d bytes of revision %d, and holds %d", length, revision, b.info.Snapshot)
	}
	b.info.Revision, b.info.Size = int64(revision), b.in.read
	switch n, err := io.ReadFull(b.in.r, trailer[:1]); {
	case n > 0:
		return invalid("something follows the backup's end at byte %d", b.in.read)
	case errors.Is(err, io.EOF):
		return io.EOF
	default:
		return readError(err)
	}
}

// source counts and digests what is read.
type source struct {
	r    io.Reader
	sum  hash.Hash
	read int64
	cut  bool // it ended too early
}

// fill reads as much as there is place for.
func (s *source) fill(b []byte) error {
	n, err := io.ReadFull(s.r, b)
	s.read += int64(n)
	switch {
	case err == nil:
		s.sum.Write(b)
		return nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		s.cut = true
		return invalid("it is cut off after %d bytes", s.read)
	default:
		return readError(err)
	}
}

// readError is an error of the backup's source, not of the backup.
func readError(err error) error {
	return &config.Error{Op: "read backup", Kind: config.KindOf(err), Err: err}
}

var _ io.Reader = (*Reader)(nil)
