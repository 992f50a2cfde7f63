package backup

import (
	"encoding/binary"
	"errors"
	"io"
	"math"

	"github.com/setpointhq/setpoint/config"
)

// Record is one of those that the export of a tenant consists of: what kind it
// is of, in one letter; what it says, in JSON; and a content, as it is. In the
// export it is
//
//	1 byte     the kind
//	4 bytes    length of the JSON, at most 16 MiB
//	4 bytes    length of the content
//	           the JSON, and the content
type Record struct {
	Kind    byte
	Meta    []byte
	Content []byte
}

const (
	recordHead = 1 + 4 + 4
	maxMeta    = 16 << 20 // a change set of many thousand items has some MiB
	growBy     = 1 << 20  // memory for what a length announces comes in such steps
)

// WriteRecord writes one record.
func WriteRecord(w io.Writer, r Record) error {
	const op = "write record"
	if len(r.Meta) > maxMeta {
		return config.Errorf(config.TooLarge, op, "", "a record of %d bytes of JSON; at most %d are possible", len(r.Meta), maxMeta)
	}
	if int64(len(r.Content)) > math.MaxUint32 {
		return config.Errorf(config.TooLarge, op, "", "a content of %d bytes; at most %d are possible", len(r.Content), uint32(math.MaxUint32))
	}
	head := append(make([]byte, 0, recordHead), r.Kind)
	head = binary.BigEndian.AppendUint32(head, uint32(len(r.Meta)))
	head = binary.BigEndian.AppendUint32(head, uint32(len(r.Content)))
	for _, part := range [...][]byte{head, r.Meta, r.Content} {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// Records reads records one by one.
type Records struct {
	r          io.Reader
	maxContent int64
	maxTotal   int64
	count      int64
	total      int64
}

// ReadRecords reads records with contents of at most maxContent bytes, and of at
// most maxTotal bytes in all.
func ReadRecords(r io.Reader, maxContent, maxTotal int64) *Records {
	return &Records{r: r, maxContent: maxContent, maxTotal: maxTotal}
}

// Count is the number of the record that was read last, from 1.
func (r *Records) Count() int64 { return r.count }

// ErrTooMuch is in the chain of the error, TooLarge, of records that are more
// than the bounds of ReadRecords allow.
var ErrTooMuch = errors.New("more than is taken here")

// Next returns the next record, or io.EOF if there is none. The error is Invalid
// if what is there is no record, TooLarge beyond the bounds, or the reader's.
func (r *Records) Next() (Record, error) {
	var head [recordHead]byte
	switch n, err := io.ReadFull(r.r, head[:]); {
	case n == 0 && errors.Is(err, io.EOF):
		return Record{}, io.EOF
	case err != nil:
		r.count++
		return Record{}, r.short(err)
	}
	r.count++
	meta, content := int64(binary.BigEndian.Uint32(head[1:])), int64(binary.BigEndian.Uint32(head[5:]))
	r.total += recordHead + meta + content
	switch {
	case meta > maxMeta:
		return Record{}, invalid("it is damaged: record %d claims to have %d bytes of JSON", r.count, meta)
	case content > r.maxContent:
		return Record{}, config.Errorf(config.TooLarge, "read record", "", "record %d has a content of %d bytes, %w: %d", r.count, content, ErrTooMuch, r.maxContent)
	case r.total > r.maxTotal:
		return Record{}, config.Errorf(config.TooLarge, "read record", "", "up to record %d it holds %d bytes, %w: %d", r.count, r.total, ErrTooMuch, r.maxTotal)
	}
	rec := Record{Kind: head[0]}
	var err error
	if rec.Meta, err = r.take(meta); err == nil {
		rec.Content, err = r.take(content)
	}
	return rec, err
}

// take reads so many bytes. Memory for more than a little is taken only as they
// come: a length that is a lie costs nothing.
func (r *Records) take(n int64) ([]byte, error) {
	b := make([]byte, 0, min(n, growBy))
	for int64(len(b)) < n {
		begin := len(b)
		b = append(b, make([]byte, min(n-int64(begin), growBy))...)
		if _, err := io.ReadFull(r.r, b[begin:]); err != nil {
			return nil, r.short(err)
		}
	}
	return b, nil
}

// short is the error of a record that ends too early.
func (r *Records) short(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return invalid("it is damaged: it ends within record %d", r.count)
	}
	return err
}
