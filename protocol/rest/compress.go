package rest

import (
	"bytes"
	"context"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/maypok86/otter/v2"
)

// minCompressed is the size in bytes below which compression is not worth it.
const minCompressed = 1 << 10

// compressor makes each content smaller once, and serves it often. A nil
// compressor leaves everything as it is.
type compressor struct {
	cache *otter.Cache[codedKey, []byte]
	zstd  *zstd.Encoder
	gzip  pool[*gzip.Writer]
	zstds pool[*zstd.Encoder] // for streams
}

type codedKey struct {
	digest string
	coding encoding
}

// newCompressor makes a compressor with memory for so many bytes; nil for 0.
func newCompressor(memory int64) (*compressor, error) {
	if memory == 0 {
		return nil, nil
	}
	cache, err := otter.New(&otter.Options[codedKey, []byte]{
		MaximumWeight: uint64(memory),
		Weigher:       func(k codedKey, v []byte) uint32 { return uint32(len(v) + len(k.digest) + 128) },
	})
	if err != nil {
		return nil, err
	}
	// One encoder without goroutines of its own: EncodeAll works in the caller's.
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	c := &compressor{cache: cache, zstd: encoder}
	c.gzip.make = func() *gzip.Writer { return gzip.NewWriter(nil) }
	c.zstds.make = func() *zstd.Encoder {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<18))
		if err != nil {
			panic("rest: zstd: " + err.Error()) // the options above are right
		}
		return e
	}
	return c, nil
}

func (c *compressor) close() error {
	if c == nil {
		return nil
	}
	c.cache.InvalidateAll()
	return c.zstd.Close()
}

// content returns the content with the digest in a coding or, where that makes
// it no smaller, as it is.
func (c *compressor) content(digest string, content []byte, want encoding) ([]byte, encoding) {
	if c == nil || want == identity || len(content) < minCompressed {
		return content, identity
	}
	key := codedKey{digest, want}
	coded, found := c.cache.GetIfPresent(key)
	if !found {
		// Many may ask at once for what was just published; one does the work.
		var err error
		coded, err = c.cache.Get(context.Background(), key, otter.LoaderFunc[codedKey, []byte](func(context.Context, codedKey) ([]byte, error) {
			if coded := c.encode(content, want); worthwhile(coded, content) {
				return coded, nil
			}
			return nil, nil // remembered as well
		}))
		if err != nil { // nothing above fails
			return content, identity
		}
	}
	if coded == nil {
		return content, identity
	}
	return coded, want
}

// worthwhile asks for an eighth less: smaller gains are not worth unpacking.
func worthwhile(coded, plain []byte) bool { return len(coded) < len(plain)-len(plain)/8 }

func (c *compressor) encode(content []byte, want encoding) []byte {
	if want == zstandard {
		return c.zstd.EncodeAll(content, make([]byte, 0, len(content)/2))
	}
	buf := bytes.NewBuffer(make([]byte, 0, len(content)/2))
	w := c.gzip.get()
	defer c.gzip.put(w)
	w.Reset(buf)
	// A bytes.Buffer takes everything.
	_, _ = w.Write(content)
	_ = w.Close()
	return buf.Bytes()
}

// stream returns a writer that codes what it is given into w. finish must be
// called once, and completes the coding.
func (c *compressor) stream(w io.Writer, want encoding) (coded io.Writer, finish func() error) {
	switch want {
	case gzipped:
		z := c.gzip.get()
		z.Reset(w)
		return z, func() error {
			defer c.gzip.put(z)
			return z.Close()
		}
	case zstandard:
		z := c.zstds.get()
		z.Reset(w)
		return z, func() error {
			defer c.zstds.put(z)
			return z.Close()
		}
	default:
		return w, func() error { return nil }
	}
}
