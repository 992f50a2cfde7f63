package socket

import (
	"bytes"
	"compress/flate"
	"io"
	"strings"
	"testing"
)

// Whatever messages begin with, they end in the same bytes, compressed or not.
func TestSharedMessages(t *testing.T) {
	var d Deflaters
	for _, tail := range []string{"", "}", strings.Repeat("much of the same ", 100), strings.Repeat("x", 100_000)} {
		shared := NewShared([]byte(tail))
		for _, head := range []string{"", `{"id":"1",`, strings.Repeat("é", 500)} {
			opening, rest := shared.appendOpening(nil, []byte(head), nil)
			if want := AppendHeader(nil, Final|OpText, len(head)+len(tail)); string(opening) != string(want)+head || string(rest) != tail {
				t.Errorf("%d and %d bytes: got %x and %d bytes", len(head), len(tail), opening[:len(want)], len(rest))
			}
			opening, rest = shared.appendOpening(nil, []byte(head), &d)
			if isSmall := opening[0] == Final|Deflated|OpText; isSmall != (len(tail) >= minDeflated) {
				t.Errorf("%d bytes: compressed %v", len(tail), isSmall)
			} else if !isSmall {
				continue
			}
			message := append(opening, rest...)
			header := AppendHeader(nil, message[0], 5+len(head)+len(rest))
			if !bytes.HasPrefix(message, header) {
				t.Errorf("want the header %x, got %x", header, message[:len(header)])
			}
			got, err := io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(message[len(header):]), strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff"))))
			if err != nil || string(got) != head+tail {
				t.Errorf("%d and %d bytes: got %d bytes, %v", len(head), len(tail), len(got), err)
			}
		}
		if shared.Weight() < len(tail) || string(shared.Bytes()) != tail {
			t.Errorf("%d bytes: got a weight of %d", len(tail), shared.Weight())
		}
	}
}
