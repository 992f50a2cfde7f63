package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
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
// many subscribers has the event, over one protocol.
func (r *run) watch(ctx context.Context, scenario, protocol string) (_ []Result, err error) {
	r, end, err := r.fresh(ctx, scenario)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, end()) }()
	v := r.target.over(protocol)
	f, err := r.openFanout(ctx, v, scenario)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.floor.stop()) }()
	c := contest{
		scenario: scenario, subscribers: r.Subscribers,
		title: fmt.Sprintf("from publish to each of %d subscribers over %s, an event of %d bytes", r.Subscribers, v.title, f.bytes),
	}
	for _, s := range f.sides {
		all, took, err := r.gatherAround(ctx, s.watched, s.measured, alike(r.Subscribers, v.speech, f.request))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		defer all.close()
		conn, err := s.triggers.dial(ctx)
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		send, err := s.sender(conn)
		if err != nil {
			return nil, err
		}
		c.add(s.name, s.measured.pids, fanoutRound(all, send), took)
	}
	result, err := r.play(ctx, c)
	return []Result{result}, err
}

// fanoutPair is the server and its floor, which sends the same bytes.
type fanoutPair struct {
	request [][]byte // of a subscriber
	bytes   int      // of an event
	floor   *process
	sides   []side
}

// side is one of the two.
type side struct {
	name     string
	reach    address // where subscribers go that are another process
	watched  server  // where those of this one go
	triggers server
	measured measured
	sender   func(*conn) (sender, error)
}

// openFanout makes a config to watch, looks at what the server sends when it is
// published, and starts a floor that sends the same.
func (r *run) openFanout(ctx context.Context, v voice, scenario string) (*fanoutPair, error) {
	paths, err := r.target.seed(ctx, scenario, 1)
	if err != nil {
		return nil, err
	}
	f := &fanoutPair{request: v.speech.subscription(v.server, r.target.authorization, paths[0])}
	setup, err := r.captureEvent(ctx, v, f.request, mark(1), r.publisher(paths[0]))
	if err != nil {
		return nil, err
	}
	f.bytes = len(setup.Event)
	var ready listening
	if f.floor, err = r.startFloor(ctx, floorFanout, setup, &ready); err != nil {
		return nil, err
	}
	bare, err := ready.server()
	if err != nil {
		return nil, errors.Join(err, f.floor.stop())
	}
	reach, err := ready.address()
	if err != nil {
		return nil, errors.Join(err, f.floor.stop())
	}
	f.sides = []side{
		{"setpoint", r.target.reach, v.server, r.target.server, r.target.measured(), func(c *conn) (sender, error) { return r.target.sender(c, paths[0]) }},
		{"bare TLS write", reach, bare, bare, f.floor.measured(), func(c *conn) (sender, error) { return triggerSender(bare, c), nil }},
	}
	return f, nil
}

// publisher makes the act of publishing the first marked content of a config.
func (r *run) publisher(path config.Path) func(*conn) (func() error, error) {
	return func(c *conn) (func() error, error) {
		w, err := r.target.writer(c, path)
		if err != nil {
			return nil, err
		}
		return w.publish, nil
	}
}

// measured is processes whose memory is looked at.
type measured struct {
	pids []int
	held func(context.Context) (int64, error) // beside what they keep of the system's
}

func (t *target) measured() measured { return measured{t.pids, t.held} }

// measured is a floor's, which tells what it holds whenever it is asked.
func (p *process) measured() measured {
	return measured{p.pids(), func(context.Context) (n int64, err error) {
		err = p.ask(struct{}{}, &n, patience)
		return n, err
	}}
}

// each is the bytes that one subscriber takes up.
type each struct {
	rss  int // by which the process has grown
	held int // reachable, and stacks
}

// gatherAround connects the subscribers, and measures what memory each takes up.
func (r *run) gatherAround(ctx context.Context, s server, m measured, g gathering) (*audience, each, error) {
	var fan *audience
	took, err := r.grown(ctx, m, g.n, func() (err error) {
		r.note("connecting %d subscribers", g.n)
		fan, err = gather(ctx, s, g)
		return err
	})
	if err != nil && fan != nil {
		fan.close()
	}
	return fan, took, err
}

// grown measures what memory each of n takes up that connect brings.
func (r *run) grown(ctx context.Context, m measured, n int, connect func() error) (each, error) {
	heldBefore, err := m.held(ctx)
	if err != nil {
		return each{}, err
	}
	before, err := observe(m.pids)
	if err != nil {
		return each{}, err
	}
	if err := connect(); err != nil {
		return each{}, err
	}
	if err := pause(ctx, min(gathered, r.Duration)); err != nil {
		return each{}, err
	}
	after, err := observe(m.pids)
	if err != nil {
		return each{}, err
	}
	heldAfter, err := m.held(ctx)
	return each{rss: int(after.subject.rss-before.subject.rss) / n, held: int(heldAfter-heldBefore) / n}, err
}

// captureEvent watches once, as one subscriber, and returns the bytes that the
// server sends for an act, which bring the mark. prepare makes the act of the
// connection that it goes over.
func (r *run) captureEvent(ctx context.Context, v voice, request [][]byte, want string, prepare func(*conn) (func() error, error)) (fanoutSetup, error) {
	subscriber, err := v.server.dialFor(ctx, v.speech.alpn())
	if err != nil {
		return fanoutSetup{}, err
	}
	actor, err := r.target.server.dial(ctx)
	if err != nil {
		return fanoutSetup{}, errors.Join(err, subscriber.Close())
	}
	conns := connections{subscriber, actor}
	defer conns.close()
	defer conns.bound(ctx, 0)()
	act, err := prepare(actor)
	if err != nil {
		return fanoutSetup{}, err
	}
	var found []byte
	isCurrent, done := false, errors.New("captured")
	err = v.speech.listen(subscriber, request, func(message []byte) error {
		switch {
		case !isCurrent:
			if isCurrent = v.speech.isCurrent(message); isCurrent {
				return act() // and what comes next is its event
			}
		case bytes.Contains(message, []byte(want)):
			found = v.speech.frame(message)
			return done
		}
		return nil
	})
	if !errors.Is(err, done) {
		return fanoutSetup{}, fmt.Errorf("the event did not come: %w", err)
	}
	return fanoutSetup{Head: v.speech.welcome(), Event: found, Mark: want}, nil
}

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

// receivers are subscribers, wherever they run.
type receivers interface {
	// send publishes by calling publish, and returns how long it took until each
	// had the event that holds mark.
	send(ctx context.Context, mark string, publish func() error) ([]time.Duration, error)
}

// fanoutRound publishes a number of times. Its operations are the deliveries.
func fanoutRound(a receivers, s sender) round {
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
