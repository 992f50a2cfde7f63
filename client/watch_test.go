package client_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

// script answers the n-th connection with the n-th part, then hangs up, or with
// hold keeps the last one open until the client goes.
type script struct {
	parts []string
	hold  bool
	calls atomic.Int64
	after []string // that each connection asked for
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := int(s.calls.Add(1)) - 1
	s.after = append(s.after, r.URL.Query().Get("after"))
	part := s.parts[min(n, len(s.parts)-1)]
	var status int
	if _, err := fmt.Sscanf(part, "status %d", &status); err == nil {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	io.WriteString(w, part)
	w.(http.Flusher).Flush()
	if s.hold && n >= len(s.parts)-1 {
		<-r.Context().Done()
	}
}

func TestWatch(t *testing.T) {
	s := &script{hold: true, parts: []string{
		"retry: 5\n\nevent: changes\nid: r1\ndata: {\"revision\":\"r1\",\"reset\":true,\"changes\":[{\"path\":\"t/a/e/x\",\"version\":1,\"content\":\"é\"},{\"path\":\"t/a/e/y\",\"deleted\":true},{\"path\":\"t/a/e/z\",\"version\":2,\"content_base64\":\"/w==\"}]}\n\n" +
			": heartbeat\n\nevent: current\nid: r1\ndata: {\"revision\":\"r1\"}\n\nevent: later\ndata: ?\n\nevent: bye\ndata: {}\n\n",
		"status 503",
		"event: changes\ndata: {\"revision\":\"r2\",\"changes\":[]}\n\nevent: changes\nid: r3\ndata: {\"rev", // the second is cut off
		"status 410",
		"event: current\nid: r9\ndata: {\"revision\":\"r9\"}\n\n",
	}}
	c := serve(t, s)
	x, y, z := mustPath(t, "t/a/e/x"), mustPath(t, "t/a/e/y"), mustPath(t, "t/a/e/z")
	want := []client.Event{
		{Revision: "r1", Reset: true, Changes: []client.Change{
			{Path: x, Version: 1, Content: []byte("é")}, {Path: y, Deleted: true}, {Path: z, Version: 2, Content: []byte{0xff}},
		}},
		{Revision: "r1", Current: true},
		{Revision: "r2", Partial: true},
		{Revision: "r9", Current: true, Reset: true},
	}
	var got []client.Event
	for event, err := range c.Watch(t.Context(), client.WatchRequest{Patterns: []string{"t/a/e"}}) {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, event); len(got) == len(want) {
			break
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	// An event without an id does not move the place to resume at.
	if diff := cmp.Diff([]string{"", "r1", "r1", "r1", ""}, s.after); diff != "" {
		t.Errorf("after (-want +got):\n%s", diff)
	}
}

func TestWatchEndsWhenTryingAgainCannotHelp(t *testing.T) {
	tests := []struct {
		name, part string
		want       config.ErrorKind
	}{
		{"denied", "status 403", config.Denied},
		{"unauthenticated", "status 401", config.Unauthenticated},
		{"rights withdrawn", "event: error\ndata: {\"code\":\"denied\",\"detail\":\"no more\"}\n\n", config.Denied},
		{"not an event", "event: changes\ndata: {\n\n", config.Unsupported},
		{"bad path", "event: changes\ndata: {\"changes\":[{\"path\":\"..\"}]}\n\n", config.Unsupported},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &script{parts: []string{tt.part}}
			c := serve(t, s)
			var got error
			for _, err := range c.Watch(t.Context(), client.WatchRequest{Patterns: []string{"t"}}) {
				got = err
			}
			if config.KindOf(got) != tt.want || s.calls.Load() != 1 {
				t.Errorf("want %s after 1 connection, got %v after %d", tt.want, got, s.calls.Load())
			}
		})
	}
}

func TestWatchReconnectsWhenTheServerFallsSilent(t *testing.T) {
	s := &script{hold: true, parts: []string{"event: current\nid: r1\ndata: {\"revision\":\"r1\"}\n\n"}}
	c := serve(t, s, func(o *client.Options) { o.Heartbeat = 20 * time.Millisecond })
	var retries []config.ErrorKind
	request := client.WatchRequest{Patterns: []string{"t"}, OnRetry: func(err error, _ time.Duration) {
		retries = append(retries, config.KindOf(err))
	}}
	for range c.Watch(t.Context(), request) {
		if s.calls.Load() == 2 {
			break
		}
	}
	if diff := cmp.Diff([]config.ErrorKind{config.Timeout}, retries); diff != "" {
		t.Errorf("retries (-want +got):\n%s", diff)
	}
}

func TestWatchEndsWithItsContext(t *testing.T) {
	s := &script{hold: true, parts: []string{"event: current\nid: r1\ndata: {}\n\n"}}
	c := serve(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	for _, err := range c.Watch(ctx, client.WatchRequest{Patterns: []string{"t"}}) {
		last = err
		cancel()
	}
	if config.KindOf(last) != config.Canceled {
		t.Errorf("want canceled, got %v", last)
	}
}
