package bench

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// openFanout starts the bare fan-out and gathers subscribers around it.
func openFanout(t *testing.T, subscribers int) (*audience, sender, *process) {
	t.Helper()
	return openFanoutFor(t, gathering{n: subscribers, speech: sse{}})
}

func openFanoutFor(t *testing.T, g gathering) (*audience, sender, *process) {
	t.Helper()
	o := options(t)
	event := []byte("event: changes\ndata: " + mark(1))
	if _, isRPC := g.speech.(grpc); isRPC {
		event = appendBytes(nil, responseChanges, event)
	}
	var ready listening
	floor, err := o.startFloor(t.Context(), floorFanout, fanoutSetup{
		Head: g.speech.welcome(), Event: g.speech.frame(event), Mark: mark(1),
	}, &ready)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = floor.stop() })
	s, err := ready.server()
	if err != nil {
		t.Fatal(err)
	}
	g.request = alike(0, g.speech, g.speech.subscription(s, "")).request
	fan, err := gather(t.Context(), s, g)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fan.close)
	c, err := s.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return fan, triggerSender(s, c), floor
}

func TestEverySubscriberHasEveryEventOnce(t *testing.T) {
	fan, send, _ := openFanout(t, 50)
	for range 20 {
		took, err := fan.send(t.Context(), send.next(), send.send)
		if err != nil {
			t.Fatal(err)
		}
		if len(took) != 50 || slices.Min(took) <= 0 {
			t.Fatalf("want a time for each of 50 subscribers, got %v", took)
		}
	}
}

func TestTellsOfAnEventThatNeverComes(t *testing.T) {
	fan, _, floor := openFanout(t, 3)
	_, err := fan.send(t.Context(), "an event that nobody sends", func() error { return floor.stop() })
	if err == nil || !strings.Contains(err.Error(), "subscriber ") {
		t.Errorf("want the error of a subscriber that lost its stream, got %v", err)
	}
}

func TestTellsOfAPublishThatFails(t *testing.T) {
	fan, _, _ := openFanout(t, 1)
	refused := errors.New("refused")
	if _, err := fan.send(t.Context(), "x", func() error { return refused }); !errors.Is(err, refused) {
		t.Errorf("want the publisher's error, got %v", err)
	}
}

func TestPutsEventsTogether(t *testing.T) {
	text := "retry: 1\n\nevent: current\ndata: {}\n\n: heartbeat\n\ndata: a\ndata: b\n\nhalf"
	want := []string{"retry: 1", "event: current\ndata: {}", ": heartbeat", "data: a\ndata: b"}
	for size := 1; size <= len(text); size++ {
		if diff := cmp.Diff(want, events(t, []byte(text), size)); diff != "" {
			t.Fatalf("in pieces of %d (-want +got):\n%s", size, diff)
		}
	}
}

// events takes a text in pieces of the size and returns the events heard.
func events(t *testing.T, text []byte, size int) []string {
	t.Helper()
	var l listener
	var got []string
	for piece := range slices.Chunk(text, size) {
		if err := l.take(piece, func(event []byte) error { got = append(got, string(event)); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	return got
}

func TestRefusesAnEventWithoutEnd(t *testing.T) {
	var l listener
	piece := bytes.Repeat([]byte("x"), 1<<16)
	for range 2 * largestEvent / len(piece) {
		if err := l.take(piece, func([]byte) error { return nil }); err != nil {
			return
		}
	}
	t.Errorf("want an error once an event has more than %d bytes", largestEvent)
}

func FuzzListener(f *testing.F) {
	f.Add([]byte("event: changes\nid: 1\ndata: {}\n\n: heartbeat\n\n"), 3)
	f.Add([]byte("\n\n\n\n\n"), 1)
	f.Fuzz(func(t *testing.T, text []byte, size int) {
		if size < 1 || len(text) == 0 {
			return
		}
		want := strings.Split(string(text), "\n\n")
		want = want[:len(want)-1]
		if got := events(t, text, size); !slices.Equal(want, got) {
			t.Fatalf("want %q, got %q", want, got)
		}
	})
}

func TestContentsAreMarked(t *testing.T) {
	content := document(7)
	if len(content) != contentBytes {
		t.Errorf("want a content of %d bytes, got %d", contentBytes, len(content))
	}
	body, err := publishBody(content, "why")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int64{8, 123456789012, 0} {
		patch(body, markAt(body), n)
		if want := fmt.Sprintf("bench-%012d", n); !bytes.Contains(body, []byte(want)) || mark(n) != want {
			t.Errorf("want %q in %.80q", want, body)
		}
	}
	if got := markAt([]byte("none")); got != -1 {
		t.Errorf("want no mark, got one at %d", got)
	}
}

func TestLatenciesOutOfRangeCountAsTheNearestInIt(t *testing.T) {
	h := newLatencies()
	for _, d := range []time.Duration{-1, 0, time.Millisecond, time.Hour} {
		record(h, d)
	}
	if h.TotalCount() != 4 {
		t.Errorf("want 4 latencies, got %d", h.TotalCount())
	}
	got := summarize(h)
	if got.P50 > 0.01 || got.Max < 59_000 || got.Max > 61_000 {
		t.Errorf("want a p50 of next to nothing and a maximum of about a minute, got %+v", got)
	}
}
