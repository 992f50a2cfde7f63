package interop

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/test/program"
)

// want compares a place of what a page says.
func (s *site) want(text, place string, want any) {
	s.Helper()
	if diff := cmp.Diff(want, at(s, text, place)); diff != "" {
		s.Errorf("%s of %s (-want +got):\n%s", place, text, diff)
	}
}

// TestBrowserWebSocket has a page watch by the browser's own WebSocket.
func TestBrowserWebSocket(t *testing.T) {
	friend, stranger := newSite(t), newSite(t)
	n := newNode(t, "rest,ws", "PROTOCOLS_WS_ORIGINS="+friend.origin())

	t.Run("page of a named origin", func(t *testing.T) {
		friend.of(n.within(t))
		friend.browse("websocket.html")
		friend.want(friend.next("open"), "protocol", "setpoint.v1")
		friend.next("welcome")
		snapshot := friend.next("changes")
		friend.want(snapshot, "reset", true)
		friend.want(snapshot, "changes.0.content", `{"n": 1}`)
		friend.publish(`{"n": 2}`)
		change := friend.next("changes")
		friend.want(change, "id", "main")
		friend.want(change, "changes.0.content", `{"n": 2}`)
		friend.want(friend.next("pong"), "id", "noted")
		n.applied("page", 2)
		friend.want(friend.next("closed"), "code", 1000.0)
		friend.publish(`{"n": 3}`)
		friend.next("open")
		friend.next("welcome")
		missed := friend.next("changes")
		friend.want(missed, "reset", nil)
		friend.want(missed, "changes.0.content", `{"n": 3}`)
		friend.want(friend.next("config"), "release.content", `{"n": 3}`)
	})
	t.Run("page of another origin", func(t *testing.T) {
		stranger.of(n.within(t))
		stranger.browse("websocket.html")
		stranger.want(stranger.next("closed"), "code", 1006.0) // a page is not told why
	})
}

// TestBrowserEventSource has a page watch by the browser's own EventSource, which
// comes back by itself, and says where it was, when the stream is cut.
func TestBrowserEventSource(t *testing.T) {
	s := newSite(t)
	s.of(newNode(t, "rest", "PROTOCOLS_REST_STREAM_RETRY=1ms"))
	s.browse("eventsource.html")
	first := s.stream()
	if first.after != "" {
		t.Errorf("want a first stream to come from nowhere, got %q", first.after)
	}
	close(first.let)
	snapshot := s.next("changes")
	s.want(snapshot, "reset", true)
	s.want(snapshot, "changes.0.content", `{"n": 1}`)
	s.next("current")
	s.publish(`{"n": 2}`)
	change := s.next("changes")
	s.want(change, "changes.0.content", `{"n": 2}`)
	first.cut()
	s.publish(`{"n": 3}`)
	s.want(s.next("error"), "state", 0.0) // it connects anew
	s.proceed()

	second := s.stream()
	if diff := cmp.Diff(at(t, change, "id"), any(second.after)); diff != "" {
		t.Errorf("Last-Event-ID (-want +got):\n%s", diff)
	}
	close(second.let)
	missed := s.next("changes")
	s.want(missed, "reset", false)
	s.want(missed, "changes.0.content", `{"n": 3}`)
}

// TestBrowserFetch has a page read the stream from the body of an answer, with a
// token of its own, and resume.
func TestBrowserFetch(t *testing.T) {
	s := newSite(t)
	n := newNode(t, "rest")
	s.of(n)
	s.browse("fetch.html")
	close(s.stream().let)
	answer := s.next("answer")
	s.want(answer, "status", 200.0)
	s.want(answer, "type", "text/event-stream")
	s.want(s.next("changes"), "reset", true)
	s.publish(`{"n": 2}`)
	s.want(s.next("changes"), "changes.0.content", `{"n": 2}`)
	s.next("gone")
	s.publish(`{"n": 3}`)
	s.proceed()
	close(s.stream().let)
	s.next("answer")
	missed := s.next("changes")
	s.want(missed, "reset", false)
	s.want(missed, "changes.0.content", `{"n": 3}`)
}

// within is the node, for a part of a test.
func (n *node) within(t testing.TB) *node {
	m := *n
	m.TB = t
	return &m
}

// applied wants an instance to have said that it has applied a version of limits.
func (n *node) applied(id string, version int64) {
	n.Helper()
	list, err := n.admin.Instances(n.Context(), program.Path(n, limits))
	n.must(err)
	for _, i := range list.Instances {
		if i.ID == id && len(i.Holds) == 1 && i.Holds[0].Applied == version {
			return
		}
	}
	n.Errorf("want %s to have applied version %d, got %+v", id, version, list.Instances)
}
