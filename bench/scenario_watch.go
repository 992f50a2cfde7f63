package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/config"
)

const (
	// spacing is the pause between two events, so that they do not pile up.
	spacing = 100 * time.Millisecond
	// gathered is how long memory has to settle after thousands of handshakes.
	gathered = 2 * time.Second
)

// watch measures how long it takes from the publisher's request to when each of
// many subscribers has the event.
func (r *run) watch(ctx context.Context) (_ []Result, err error) {
	paths, err := r.target.seed(ctx, scenarioWatch, 1)
	if err != nil {
		return nil, err
	}
	query := "/v1/watch?path=" + url.QueryEscape(paths[0].String())
	request := r.target.server.request(http.MethodGet, query, r.target.authorization, "Accept: text/event-stream\r\n", nil)
	setup, err := r.captureEvent(ctx, request, mark(1), func(c *conn) (func() error, error) {
		w, err := r.target.writer(c, paths[0])
		if err != nil {
			return nil, err
		}
		return w.publish, nil
	})
	if err != nil {
		return nil, err
	}
	var ready listening
	floor, err := r.startFloor(ctx, floorFanout, setup, &ready)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, floor.stop()) }()
	bare, err := ready.server()
	if err != nil {
		return nil, err
	}
	c := contest{
		scenario: scenarioWatch, subscribers: r.Subscribers,
		title: fmt.Sprintf("from publish to each of %d subscribers over SSE, an event of %d bytes", r.Subscribers, len(setup.Event)),
	}
	for _, s := range []struct {
		name   string
		server server
		pids   []int
		sender func(*conn) (sender, error)
	}{
		{"setpoint", r.target.server, r.target.pids, func(c *conn) (sender, error) { return r.target.sender(c, paths[0]) }},
		{"bare TLS write", bare, floor.pids(), func(c *conn) (sender, error) { return triggerSender(bare, c), nil }},
	} {
		fan, each, err := r.gatherAround(ctx, s.server, s.pids, alike(r.Subscribers, request))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		defer fan.close()
		conn, err := s.server.dial(ctx)
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		send, err := s.sender(conn)
		if err != nil {
			return nil, err
		}
		c.add(s.name, s.pids, fanoutRound(fan, send), each)
	}
	result, err := r.play(ctx, c)
	return []Result{result}, err
}

// gatherAround connects the subscribers, and measures what memory each takes up.
func (r *run) gatherAround(ctx context.Context, s server, pids []int, g gathering) (*audience, int, error) {
	before, err := observe(pids)
	if err != nil {
		return nil, 0, err
	}
	r.note("connecting %d subscribers", g.n)
	fan, err := gather(ctx, s, g)
	if err != nil {
		return nil, 0, err
	}
	if err := pause(ctx, min(gathered, r.Duration)); err != nil {
		fan.close()
		return nil, 0, err
	}
	after, err := observe(pids)
	if err != nil {
		fan.close()
		return nil, 0, err
	}
	return fan, int(after.subject.rss-before.subject.rss) / g.n, nil
}

// captureEvent watches once, as one subscriber, and returns the bytes that the
// server sends for an act, which bring the mark. prepare makes the act of the
// connection that it goes over.
func (r *run) captureEvent(ctx context.Context, request []byte, want string, prepare func(*conn) (func() error, error)) (fanoutSetup, error) {
	conns, err := r.target.server.dialMany(ctx, 2)
	if err != nil {
		return fanoutSetup{}, err
	}
	defer conns.close()
	defer conns.bound(ctx, 0)()
	subscriber := conns[0]
	act, err := prepare(conns[1])
	if err != nil {
		return fanoutSetup{}, err
	}
	if _, err := subscriber.Write(request); err != nil {
		return fanoutSetup{}, err
	}
	head, err := subscriber.in.head()
	if err != nil {
		return fanoutSetup{}, err
	}
	if head.status != http.StatusOK || !head.chunked {
		return fanoutSetup{}, subscriber.unexpected(head)
	}
	var events listener
	var found []byte
	var failed error
	done := errors.New("captured")
	err = subscriber.in.body(head, func(piece []byte) error {
		err := events.take(piece, func(event []byte) {
			switch text := string(event); {
			case strings.HasPrefix(text, current):
				failed = act() // and what comes next is its event
			case strings.Contains(text, want):
				found = []byte(text + "\n\n")
			}
		})
		if err == nil && failed == nil && found != nil {
			return done
		}
		return errors.Join(err, failed)
	})
	if !errors.Is(err, done) {
		return fanoutSetup{}, fmt.Errorf("the event did not come: %w", err)
	}
	return fanoutSetup{Head: []byte(streamHead), Event: found, Mark: want}, nil
}

// streamHead begins the floor's streams.
const streamHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

// sender publishes one event after the other.
type sender struct {
	next func() (mark string) // that the next event will carry
	send func() error
}

func (t *target) sender(c *conn, path config.Path) (sender, error) {
	w, err := t.writer(c, path)
	if err != nil {
		return sender{}, err
	}
	w.next = 1 // which captureEvent published
	return sender{next: func() string { return mark(w.next + 1) }, send: c.patiently(w.publish)}, nil
}

// triggerSender has the floor send the event.
func triggerSender(s server, c *conn) sender {
	var n int64 = 1
	return sender{
		next: func() string { return mark(n + 1) },
		send: c.patiently(func() error {
			n++
			return c.exchange(s.request(http.MethodPost, "/", "", "", []byte(mark(n))), http.StatusCreated)
		}),
	}
}

// fanoutRound publishes a number of times. Its operations are the deliveries.
func fanoutRound(a *audience, s sender) round {
	return func(ctx context.Context, e effort) (sample, error) {
		out := sample{latency: newLatencies(), last: newLatencies(), request: newLatencies()}
		start := time.Now()
		for range e.publishes {
			var answered time.Duration
			took, err := a.send(ctx, s.next(), func() error {
				before := time.Now()
				defer func() { answered = time.Since(before) }()
				return s.send()
			})
			if err != nil {
				return out, err
			}
			record(out.request, answered)
			var last time.Duration
			for _, d := range took {
				record(out.latency, d)
				last = max(last, d)
			}
			record(out.last, last)
			out.ops += int64(len(took))
			if err := pause(ctx, spacing); err != nil {
				return out, err
			}
		}
		out.elapsed = time.Since(start)
		return out, nil
	}
}
