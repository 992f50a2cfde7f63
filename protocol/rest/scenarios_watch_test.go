package rest_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/protocoltest"
)

// stream is a watch of the SDK that ends with its first connection.
type stream struct {
	cancel context.CancelFunc
	events chan told // has no room: who does not take an event in is slow
	done   chan struct{}
	err    error
}

// told is an event, or why there are no more.
type told struct {
	event protocoltest.Event
	err   error
}

func (c *caller) Watch(ctx context.Context, r protocoltest.WatchRequest) (protocoltest.Stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	s := &stream{cancel: cancel, events: make(chan told), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		s.run(ctx, c.sdk, r)
	}()
	return s, nil
}

func (s *stream) run(ctx context.Context, sdk *client.Client, r protocoltest.WatchRequest) {
	tell := func(t told) {
		select {
		case s.events <- t:
		case <-ctx.Done():
		}
	}
	for e, err := range sdk.Watch(ctx, client.WatchRequest{
		Patterns: r.Patterns, After: r.After,
		OnRetry: func(err error, _ time.Duration) {
			tell(told{err: err})
			s.cancel()
		},
	}) {
		t := told{err: err, event: protocoltest.Event{Revision: e.Revision, Reset: e.Reset, Current: e.Current}}
		for _, c := range e.Changes {
			t.event.Changes = append(t.event.Changes, protocoltest.Change{
				Path: c.Path, Version: c.Version, Format: c.Format, Digest: c.Digest, Content: c.Content, Deleted: c.Deleted,
			})
		}
		tell(t)
	}
}

// Next implements protocoltest.Stream.
func (s *stream) Next(ctx context.Context) (protocoltest.Event, error) {
	if s.err != nil {
		return protocoltest.Event{}, s.err
	}
	select {
	case t := <-s.events:
		s.err = t.err
		return t.event, t.err
	case <-ctx.Done():
		return protocoltest.Event{}, config.AsError(ctx.Err())
	}
}

// Close implements protocoltest.Stream.
func (s *stream) Close() {
	s.cancel()
	<-s.done
}

// poller watches by long polls.
type poller struct{ reader }

func (p *poller) Watch(_ context.Context, r protocoltest.WatchRequest) (protocoltest.Stream, error) {
	return &poll{caller: p.c, request: r, caughtUp: r.After == ""}, nil
}

// poll is one watch by long polls.
type poll struct {
	*caller
	request  protocoltest.WatchRequest
	caughtUp bool // with where the watch began, or it began with nothing
}

// pollWait is how long one request waits. A token that is revoked meanwhile is
// found at the next.
const pollWait = 250 * time.Millisecond

// Next implements protocoltest.Stream. Who resumes asks first what there is, and
// waits then.
func (p *poll) Next(ctx context.Context) (protocoltest.Event, error) {
	for {
		q := url.Values{"path": p.request.Patterns, "wait": {pollWait.String()}}
		if !p.caughtUp {
			q.Set("wait", "0s")
		}
		if p.request.After != "" {
			q.Set("after", string(p.request.After))
		}
		a, err := p.do(ctx, http.MethodGet, []string{"watch"}, q, nil)
		if err != nil {
			return protocoltest.Event{}, err
		}
		resumed := !p.caughtUp
		p.caughtUp = true
		p.request.After = config.Token(a.header.Get("Setpoint-Revision"))
		if a.status == http.StatusOK {
			return delivered(a.body)
		}
		if resumed {
			return protocoltest.Event{Revision: p.request.After, Current: true}, nil
		}
	}
}

// delivered reads the answer of a poll.
func delivered(body []byte) (protocoltest.Event, error) {
	var d struct {
		Revision config.Token `json:"revision"`
		Reset    bool         `json:"reset"`
		Current  bool         `json:"current"`
		Changes  []struct {
			Path    config.Path `json:"path"`
			Version int64       `json:"version"`
			Format  string      `json:"format"`
			Digest  string      `json:"digest"`
			Deleted bool        `json:"deleted"`
			content
		} `json:"changes"`
	}
	err := json.Unmarshal(body, &d)
	e := protocoltest.Event{Revision: d.Revision, Reset: d.Reset, Current: d.Current}
	for _, c := range d.Changes {
		e.Changes = append(e.Changes, protocoltest.Change{
			Path: c.Path, Version: c.Version, Format: c.Format, Digest: c.Digest, Content: c.bytes(), Deleted: c.Deleted,
		})
	}
	return e, err
}

// Close implements protocoltest.Stream. Between two polls nothing is open.
func (*poll) Close() {}
