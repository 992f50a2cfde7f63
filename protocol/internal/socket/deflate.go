package socket

import (
	"errors"
	"sync"

	"github.com/klauspost/compress/flate"
)

// Deflaters compress messages, each for itself. Idle ones are let go. The zero
// Deflaters are ready, and safe for concurrent use.
type Deflaters struct{ pool sync.Pool }

// Deflate returns a message as permessage-deflate has it, nil if that is no
// smaller.
func (d *Deflaters) Deflate(message []byte) []byte {
	out := &bounded{buf: make([]byte, 0, len(message)/2), most: len(message)}
	w, found := d.pool.Get().(*flate.Writer)
	if found {
		w.Reset(out)
	} else {
		w, _ = flate.NewWriter(out, flate.BestSpeed) // the level is one that there is
	}
	defer d.pool.Put(w)
	_, err := w.Write(message)
	if err = errors.Join(err, w.Flush()); err != nil {
		return nil
	}
	const tail = 4 // 00 00 ff ff, which every reader puts back
	return out.buf[:len(out.buf)-tail]
}

// bounded is a writer that gives up when there is nothing left to be gained.
type bounded struct {
	buf  []byte
	most int
}

func (b *bounded) Write(p []byte) (int, error) {
	if len(b.buf)+len(p) > b.most {
		return 0, errors.New("no smaller")
	}
	b.buf = append(b.buf, p...)
	return len(p), nil
}
