package bench

import (
	"bytes"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func TestRendersIntegersAsHPACKDoes(t *testing.T) {
	for _, test := range []struct { // the examples of RFC 7541, appendix C.1, and the edges
		bits, n int
		want    []byte
	}{
		{5, 10, []byte{10}}, {5, 1337, []byte{31, 154, 10}}, {8, 42, []byte{42}},
		{7, 126, []byte{126}}, {7, 127, []byte{127, 0}}, {4, 23, []byte{15, 8}}, {7, 127 + 128, []byte{127, 0x80, 1}},
	} {
		if diff := cmp.Diff(test.want, appendInt(nil, test.bits, test.n)); diff != "" {
			t.Errorf("%d in %d bits (-want +got):\n%s", test.n, test.bits, diff)
		}
	}
}

func TestReadsStatus(t *testing.T) {
	for name, test := range map[string]struct {
		block []byte
		want  int // 0 for an error
	}{
		"ok":                {[]byte{0x88, 0x40}, 200},
		"not modified":      {[]byte{0x8b}, 304},
		"not found":         {[]byte{0x8d}, 404},
		"after a resize":    {[]byte{0x20, 0x88}, 200},
		"after a large one": {[]byte{0x3f, 0xe1, 0x1f, 0x88}, 200},
		"empty":             {nil, 0},
		"literal":           {[]byte{0x48, 0x03, '2', '0', '1'}, 0},
		"other index":       {[]byte{0x82}, 0},
		"cut short":         {[]byte{0x3f, 0xe1}, 0},
	} {
		got, err := statusOf(test.block)
		if got != test.want || (err != nil) != (test.want == 0) {
			t.Errorf("%s: want %d, got %d, %v", name, test.want, got, err)
		}
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(appendFrame(nil, frameHeaders, flagEndHeaders, 1, []byte{0x88}))
	f.Add(appendFrame(appendFrame(nil, frameSettings, 0, 0, nil), frameData, flagEndStream, 1, []byte("body")))
	f.Add([]byte{0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{0, 0, 1, 1, 0, 0, 0, 0, 1, 0x3f})
	f.Fuzz(func(t *testing.T, text []byte) {
		whole, slow := newReader(bytes.NewReader(text)), newReader(iotest.OneByteReader(bytes.NewReader(text)))
		for {
			a, err := whole.frame()
			b, errAgain := slow.frame()
			if (err == nil) != (errAgain == nil) {
				t.Fatalf("whole: %v, byte by byte: %v", err, errAgain)
			}
			if err != nil {
				return
			}
			if diff := cmp.Diff(a, b, cmp.AllowUnexported(frame{})); diff != "" {
				t.Fatalf("whole and byte by byte differ:\n%s", diff)
			}
			_, _ = statusOf(a.payload) // must not panic
		}
	})
}
