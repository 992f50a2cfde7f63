package client

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/config"
)

func TestSSE(t *testing.T) {
	tests := []struct {
		name, in string
		want     []message
		wantID   string
		retry    time.Duration
	}{
		{"plain", "data: a\n\n", []message{{"message", "a"}}, "", 0},
		{"crlf and cr", "data: a\r\n\r\ndata: b\r\rdata: c\n\n", []message{{"message", "a"}, {"message", "b"}, {"message", "c"}}, "", 0},
		{"many lines", "event: e\ndata: a\ndata:b\ndata\n\n", []message{{"e", "a\nb\n"}}, "", 0},
		{"only one space goes", "data:  a\n\n", []message{{"message", " a"}}, "", 0},
		{"comments and unknown fields", ": hi\nwhat: ever\ndata: a\n\n", []message{{"message", "a"}}, "", 0},
		{"no data, no event", "event: e\n\ndata: a\n\n", []message{{"message", "a"}}, "", 0},
		{"ids stay", "id: 1\ndata: a\n\ndata: b\n\n", []message{{"message", "a"}, {"message", "b"}}, "1", 0},
		{"ids without data count", "id: 1\n\n", nil, "1", 0},
		{"ids with nul do not", "id: 1\n\nid: a\x00b\ndata: a\n\n", []message{{"message", "a"}}, "1", 0},
		{"cut off", "id: 1\ndata: a\n\nid: 2\ndata: b\n", []message{{"message", "a"}}, "1", 0},
		{"retry", "retry: 1500\n\nretry: x\n\nretry: +3\n\n", nil, "", 1500 * time.Millisecond},
		{"byte order mark", "\uFEFFdata: a\n\n", []message{{"message", "a"}}, "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSSEReader(iotest.OneByteReader(strings.NewReader(tt.in)), 1<<20)
			got, err := drain(s)
			if !errors.Is(err, io.EOF) {
				t.Fatalf("want io.EOF, got %v", err)
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(message{})); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			if tt.wantID != s.lastID || tt.retry != s.retry {
				t.Errorf("want id %q and retry %v, got %q and %v", tt.wantID, tt.retry, s.lastID, s.retry)
			}
		})
	}
}

func drain(s *sseReader) ([]message, error) {
	var all []message
	for {
		m, err := s.next()
		if err != nil {
			return all, err
		}
		all = append(all, m)
	}
}

func TestSSEBoundsAnEvent(t *testing.T) {
	for _, in := range []string{strings.Repeat("x", 100), strings.Repeat("data: x\n", 20)} {
		if _, err := drain(newSSEReader(strings.NewReader(in), 64)); config.KindOf(err) != config.TooLarge {
			t.Errorf("%.20q…: want too large, got %v", in, err)
		}
	}
}

func FuzzSSE(f *testing.F) {
	for _, seed := range []string{
		"event: changes\nid: r1\ndata: {\"revision\":\"r1\",\"changes\":[{\"path\":\"a/b/c/d\",\"version\":1,\"content\":\"x\"}]}\n\n",
		": heartbeat\n\nretry: 10\r\n\rdata\n\n", "\uFEFFid: \x00\ndata:\n\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		const most = 1 << 10
		whole, err := drain(newSSEReader(strings.NewReader(in), most))
		if !errors.Is(err, io.EOF) && config.KindOf(err) != config.TooLarge {
			t.Fatalf("want the end or too large, got %v", err)
		}
		bytewise, _ := drain(newSSEReader(iotest.OneByteReader(strings.NewReader(in)), most))
		if !slices.Equal(whole, bytewise) {
			t.Errorf("read in one: %q, byte by byte: %q", whole, bytewise)
		}
		for _, m := range whole {
			if len(m.data) > most {
				t.Errorf("an event of %d bytes, want at most %d", len(m.data), most)
			}
			_, _ = decodeEvent([]byte(m.data))
		}
	})
}
