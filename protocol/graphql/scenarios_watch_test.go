package graphql

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/protocol/internal/socket"
	"github.com/setpointhq/setpoint/protocol/internal/sockettest"
	"github.com/setpointhq/setpoint/protocol/protocoltest"
)

// TestWatchScenarios runs what the suite has of watches over both transports, beside
// requests for what goes with them.
func TestWatchScenarios(t *testing.T) {
	for name, open := range map[string]opener{"graphql-transport-ws": openSocket, "events": openEvents} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it waits now and then
			const by = "the suite asks for it by requests"
			protocoltest.Run(t, protocoltest.Protocol{
				Name: Name, Native: native,
				Driver: func() protocol.Driver {
					var s Settings
					s.Defaults()
					// One that does not read for three intervals, and answers no ping, is taken for gone.
					s.PingInterval = time.Second
					return &s
				},
				Connect: func(tb testing.TB, n *protocoltest.Node, as protocoltest.Caller) protocoltest.Client {
					return &watcher{requests: &questioner{asker: connect(n, as), tb: tb}, tb: tb, node: n, as: as, open: open}
				},
				Lacks: map[protocoltest.Part]string{
					protocoltest.PartScopes: by, protocoltest.PartConfigs: by, protocoltest.PartDrafts: by, protocoltest.PartReleases: by,
					protocoltest.PartLaunches: by, protocoltest.PartForesight: by, protocoltest.PartInstances: by,
				},
			})
		})
	}
}

// watcher is a client of the suite that watches.
type watcher struct {
	requests *questioner
	tb       testing.TB
	node     *protocoltest.Node
	as       protocoltest.Caller
	open     opener
}

// opener begins a watch, and returns what reads its next event and what cuts it off.
type opener func(ctx context.Context, w *watcher, variables map[string]any) (next func() (toldAnswer, error), cut func(), err error)

// Close implements protocoltest.Client.
func (w *watcher) Close() { w.requests.Close() }

// Get implements protocoltest.Reads.
func (w *watcher) Get(ctx context.Context, r protocoltest.Read) (protocoltest.Served, error) {
	return w.requests.Get(ctx, r)
}

// Snapshot implements protocoltest.Reads.
func (w *watcher) Snapshot(ctx context.Context, r protocoltest.Read) (protocoltest.Snapshot, error) {
	return w.requests.Snapshot(ctx, r)
}

// Report implements protocoltest.Reports.
func (w *watcher) Report(ctx context.Context, all []center.InstanceReport) error {
	return w.requests.Report(ctx, all)
}

// Watch implements protocoltest.Watches.
func (w *watcher) Watch(ctx context.Context, r protocoltest.WatchRequest) (protocoltest.Stream, error) {
	variables := map[string]any{"paths": append([]string{}, r.Patterns...)}
	if r.After != "" {
		variables["after"] = r.After
	}
	next, cut, err := w.open(ctx, w, variables)
	if err != nil {
		return nil, err
	}
	s := &watched{cut: cut, events: make(chan toldEvent), closed: make(chan struct{}), done: make(chan struct{})}
	go s.run(ctx, next)
	return s, nil
}

// watched is a watch with a connection of its own.
type watched struct {
	cut    func()
	events chan toldEvent // has no room: who does not take an event in is slow
	closed chan struct{}
	done   chan struct{}
	err    error
}

type toldEvent struct {
	event protocoltest.Event
	err   error
}

func (s *watched) run(ctx context.Context, next func() (toldAnswer, error)) {
	defer close(s.done)
	for {
		a, err := next()
		if err == nil && len(a.Errors) > 0 {
			err = a.Errors[0].back()
		}
		if err != nil && ctx.Err() != nil {
			err = config.AsError(ctx.Err())
		}
		told := toldEvent{err: err}
		if w := a.Data.Watch; w != nil {
			if w.Stale != nil {
				continue
			}
			told.event = protocoltest.Event{Revision: w.Revision, Reset: w.Reset, Current: w.Current}
			for _, c := range w.Changes {
				change := protocoltest.Change{Path: c.Path, Deleted: c.Deleted}
				if c.Release != nil {
					change.Version, change.Format, change.Digest, change.Content = c.Release.Version, c.Release.Format, c.Release.Digest, c.Release.Base64
				}
				told.event.Changes = append(told.event.Changes, change)
			}
		}
		select {
		case s.events <- told:
		case <-s.closed:
			return
		}
		if err != nil {
			return
		}
	}
}

// Next implements protocoltest.Stream.
func (s *watched) Next(ctx context.Context) (protocoltest.Event, error) {
	if s.err != nil {
		return protocoltest.Event{}, s.err
	}
	select {
	case told := <-s.events:
		s.err = told.err
		return told.event, told.err
	case <-ctx.Done():
		return protocoltest.Event{}, config.AsError(ctx.Err())
	}
}

// Close implements protocoltest.Stream.
func (s *watched) Close() {
	select {
	case <-s.closed:
	default:
		close(s.closed)
	}
	s.cut()
	<-s.done
}

// lost is what a client makes of a connection that ended. Why a client was dismissed
// is in the reason, begun with the kind of error.
func lost(err error) error {
	var end *sockettest.Closed
	if errors.As(err, &end) && end.Code != socket.GoingAway {
		code, why, _ := strings.Cut(end.Reason, ": ")
		return &config.Error{Kind: config.ParseErrorKind(code), Err: errors.New(why)}
	}
	return config.Errorf(config.Unavailable, "", "", "the connection was lost: %w", err)
}

// openSocket watches over graphql-transport-ws.
func openSocket(ctx context.Context, w *watcher, variables map[string]any) (func() (toldAnswer, error), func(), error) {
	c, err := dialNode(w.tb, w.node, dial{})
	if err != nil {
		return nil, nil, lost(err)
	}
	stop := context.AfterFunc(ctx, func() { c.Conn.Close() })
	cut := func() {
		stop()
		c.Conn.Close()
	}
	if c.Answer.StatusCode != http.StatusSwitchingProtocols {
		cut()
		return nil, nil, config.Errorf(config.Unavailable, "", "", "got %s", c.Answer.Status)
	}
	greeting, err := json.Marshal(map[string]any{"type": typeInit, "payload": map[string]any{
		"token": w.as.Token.Reveal(), "instance": w.as.Instance.ID, "labels": w.as.Instance.Labels, "slot": w.as.Instance.Slot,
	}})
	if err == nil {
		err = c.TryFrame(socket.Final|socket.OpText, greeting)
	}
	if err == nil {
		_, _, err = c.read()
	}
	if err == nil {
		_ = c.Conn.SetDeadline(time.Time{})
		err = c.trySubscribe("s", watchAll, variables)
	}
	if err != nil {
		cut()
		return nil, nil, lost(err)
	}
	return func() (a toldAnswer, err error) {
		m, _, err := c.read()
		switch {
		case err != nil:
			return a, lost(err)
		case m.Type == typeNext:
			return a, json.Unmarshal(m.Payload, &a)
		case m.Type == typeError:
			return a, json.Unmarshal(m.Payload, &a.Errors)
		}
		return a, fmt.Errorf("got %s", m.Type)
	}, cut, nil
}

// openEvents watches by Server-Sent Events.
func openEvents(ctx context.Context, w *watcher, variables map[string]any) (func() (toldAnswer, error), func(), error) {
	body, err := json.Marshal(map[string]any{"query": watchAll, "variables": variables})
	if err != nil {
		return nil, nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.requests.url, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	r.Header = w.requests.header.Clone()
	r.Header.Set("Content-Type", jsonType)
	r.Header.Set("Accept", eventType)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: w.node.TLS.Clone(), DisableKeepAlives: true}}
	answer, err := client.Do(r)
	if err != nil {
		return nil, nil, lost(err)
	}
	if answer.StatusCode != http.StatusOK {
		defer answer.Body.Close()
		var a toldAnswer
		text, err := io.ReadAll(answer.Body)
		if err = errors.Join(err, json.Unmarshal(text, &a)); err != nil || len(a.Errors) == 0 {
			return nil, nil, fmt.Errorf("got %s: %w", answer.Status, err)
		}
		return nil, nil, a.Errors[0].back()
	}
	events := &eventReader{in: bufio.NewReader(answer.Body)}
	return func() (a toldAnswer, err error) {
		e, err := events.next()
		switch {
		case err != nil:
			return a, lost(err)
		case e.name != typeNext:
			return a, fmt.Errorf("got %+v", e)
		}
		return a, json.Unmarshal([]byte(e.data), &a)
	}, func() { answer.Body.Close() }, nil
}

// eventReader reads Server-Sent Events.
type eventReader struct {
	in       *bufio.Reader
	retry    string
	comments []string
}

type readEvent struct{ name, id, data string }

func (r *eventReader) next() (e readEvent, err error) {
	hasData := false
	for {
		line, err := r.in.ReadString('\n')
		if err != nil {
			return e, err
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "\n" && hasData:
			return e, nil
		case line == "\n":
			e = readEvent{}
		case field == "":
			r.comments = append(r.comments, value)
		case field == "event":
			e.name = value
		case field == "id":
			e.id = value
		case field == "data" && !hasData:
			e.data, hasData = value, true
		case field == "retry":
			r.retry = value
		default:
			return e, fmt.Errorf("a line that must not be there: %q", line)
		}
	}
}

var (
	_ protocoltest.Watches = (*watcher)(nil)
	_ protocoltest.Reads   = (*watcher)(nil)
	_ protocoltest.Reports = (*watcher)(nil)
)
