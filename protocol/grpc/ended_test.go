package grpc

import (
	"errors"
	"io"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/setpointhq/setpoint/api/setpointv1"
)

func TestDeadlinesOfCalls(t *testing.T) {
	besiege(t, func(s *Settings) { s.RequestTimeout = patience }).onBoth(t, func(t *testing.T, r *raw) {
		wrote(t, r.open(1, readMethod, hpack.HeaderField{Name: "grpc-timeout", Value: "50m"}))
		s, err := r.end(1)
		var reset http2.StreamError
		if err == nil && s.Code() != codes.DeadlineExceeded || err != nil && !errors.As(err, &reset) {
			t.Errorf("want the call to end at its deadline, got %v, %v", s, err)
		}
	})
	for text, want := range map[string]time.Duration{
		"1H": time.Hour, "2M": 2 * time.Minute, "3S": 3 * time.Second, "4m": 4 * time.Millisecond, "5u": 5 * time.Microsecond,
		"6n": 6, "99999999H": 1 << 62,
	} {
		if got, limited, err := timeoutOf(text); err != nil || !limited || got != want {
			t.Errorf("%s: want %s, got %s, %v", text, want, got, err)
		}
	}
	for _, text := range []string{"5", "S", "-1S", "+1S", "1s", "123456789S", "1 S"} {
		if got, _, err := timeoutOf(text); err == nil {
			t.Errorf("%q: want it refused, got %s", text, got)
		}
	}
}

// Watches are told to come again after an age, on both ports.
func TestWatchesHaveAnAge(t *testing.T) {
	n := start(t, func(s *Settings) { s.MaxAge, s.MaxAgeGrace = 200*time.Millisecond, 20*time.Second })
	n.publish("a.json", "1")
	secret := n.app().caller.Token.Reveal()
	for port, address := range map[string]string{"own": n.api.address.String(), "http": addressOf(t, n.Node)} {
		t.Run(port, func(t *testing.T) {
			r, err := dialRaw(address, n.TLS, secret, rawWindow)
			n.must(err)
			defer r.conn.Close()
			n.must(r.conn.SetDeadline(time.Now().Add(patience)))
			n.must(r.greet(1, "aged"))
			var last *setpointv1.WatchResponse
			for err == nil {
				var b []byte
				if b, err = r.message(1); err == nil {
					last = &setpointv1.WatchResponse{}
					n.must(proto.Unmarshal(b, last))
				}
			}
			if wait := last.GetGoingAway().GetRetryAfter(); wait.AsDuration() < time.Second || !errors.Is(err, io.EOF) {
				t.Errorf("want to be told to come again, and then the end, got %v, %v", last, err)
			}
		})
	}
}

// A call that is ended from elsewhere has the status that it was ended with, however
// its handler returns: the library's stream is asked for more than its interface has.
func TestCallsCanBeEnded(t *testing.T) {
	b := besiege(t)
	b.onBoth(t, func(t *testing.T, r *raw) {
		wrote(t, r.greet(1, "ended"))
		var one *stream
		b.eventually("the watch to be there", func() bool {
			for _, one = range b.api.streams.list() {
				if b.nameOf(one) == "ended" {
					return true
				}
			}
			return false
		})
		one.finish(errGoing("config.watch"))
		s, err := r.end(1)
		wrote(t, err)
		refused(t, "the watch", codes.Unavailable, s.Err())
		b.eventually("the watch to be gone", func() bool { return len(b.api.streams.list()) == 1 })
	})
}

func (b *besieged) nameOf(s *stream) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.greeted {
		return ""
	}
	return s.client.ID
}
