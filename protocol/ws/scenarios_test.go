package ws

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/protocol/internal/fragment"
	"github.com/setpointhq/setpoint/protocol/internal/problem"
	"github.com/setpointhq/setpoint/protocol/internal/socket"
	"github.com/setpointhq/setpoint/protocol/protocoltest"
)

// TestScenarios runs the suite that every protocol passes.
func TestScenarios(t *testing.T) {
	t.Parallel() // it waits now and then
	const people = "this protocol is for applications; people and pipelines use another"
	protocoltest.Run(t, protocoltest.Protocol{
		Name: Name,
		Driver: func() protocol.Driver {
			var s Settings
			s.Defaults()
			// One that does not read for three intervals, and answers no ping, is taken for gone.
			s.PingInterval, s.MaxPatterns, s.MaxMessage = time.Second, center.MaxPatterns, 1<<20
			return &s
		},
		Connect: func(tb testing.TB, n *protocoltest.Node, as protocoltest.Caller) protocoltest.Client {
			return &app{tb: tb, node: n, as: as}
		},
		Native: func(e *config.Error) (string, error) {
			p := problem.New(e, "r1")
			return fmt.Sprintf("%s %d", p.Code, p.Status), refusal(p)
		},
		Lacks: map[protocoltest.Part]string{
			protocoltest.PartScopes: people, protocoltest.PartConfigs: people, protocoltest.PartDrafts: people,
			protocoltest.PartReleases: people, protocoltest.PartLaunches: people, protocoltest.PartForesight: people,
			protocoltest.PartInstances:     people,
			protocoltest.PartEnvConditions: "who wants to know whether an env has changed watches it",
		},
	})
}

// app is a client of the suite, with a connection for each thing that it asks.
type app struct {
	tb   testing.TB
	node *protocoltest.Node
	as   protocoltest.Caller
}

// Close implements protocoltest.Client.
func (*app) Close() {}

// refusal is what a client makes of a problem.
func refusal(p problem.Details) error {
	return &config.Error{
		Op: p.Op, Kind: config.ParseErrorKind(p.Code), Path: p.Path, Err: errors.New(p.Detail), Current: p.CurrentVersion, Problems: p.Problems,
	}
}

// lost is what a client makes of a connection that ended.
func lost(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return config.AsError(ctx.Err())
	}
	return config.Errorf(config.Unavailable, "", "", "the connection was lost: %w", err)
}

// open connects and says who is there. The connection ends with ctx.
func (c *app) open(ctx context.Context) (*client, func(), error) {
	conn, err := dialNode(c.tb, c.node, dial{})
	if err != nil {
		return nil, nil, lost(ctx, err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Conn.Close() })
	end := func() {
		stop()
		conn.Conn.Close()
	}
	if conn.Answer.StatusCode != http.StatusSwitchingProtocols {
		defer end()
		var p problem.Details
		body, err := io.ReadAll(conn.Answer.Body)
		if err = errors.Join(err, json.Unmarshal(body, &p)); err != nil {
			return nil, nil, lost(ctx, err)
		}
		return nil, nil, refusal(p)
	}
	greeting, err := json.Marshal(map[string]any{
		"type": "hello", "token": c.as.Token.Reveal(), "instance": c.as.Instance.ID, "labels": c.as.Instance.Labels, "slot": c.as.Instance.Slot,
	})
	if err == nil {
		if err = conn.TryFrame(socket.Final|socket.OpText, greeting); err != nil {
			err = lost(ctx, err)
		}
	}
	if err == nil {
		_, err = answerTo(ctx, conn, "welcome")
	}
	if err != nil {
		end()
		return nil, nil, err
	}
	return conn, end, nil
}

// answerTo reads a message that must be of the type.
func answerTo(ctx context.Context, conn *client, want string) (incoming, error) {
	m, text, err := conn.read()
	switch {
	case err != nil:
		return m, lost(ctx, err)
	case m.Type == "error":
		return m, refusal(m.Problem)
	case m.Type != want:
		return m, fmt.Errorf("want %s, got %s", want, text)
	}
	return m, nil
}

// ask sends a message and reads the answer.
func (c *app) ask(ctx context.Context, want string, messages ...any) (incoming, error) {
	conn, end, err := c.open(ctx)
	if err != nil {
		return incoming{}, err
	}
	defer end()
	for _, m := range messages {
		text, err := json.Marshal(m)
		if err != nil {
			return incoming{}, err
		}
		if err := conn.TryFrame(socket.Final|socket.OpText, text); err != nil {
			return incoming{}, lost(ctx, err)
		}
	}
	return answerTo(ctx, conn, want)
}

func fresh(f center.Freshness) (wanted freshness) {
	wanted.MinRevision = f.MinRevision
	if f.Strong {
		wanted.Consistency = "strong"
	}
	return wanted
}

func contentOf(c fragment.Content) []byte {
	if c.Text != nil {
		return []byte(*c.Text)
	}
	return c.Base64
}

// Get implements protocoltest.Reads.
func (c *app) Get(ctx context.Context, r protocoltest.Read) (s protocoltest.Served, err error) {
	m, err := c.ask(ctx, "config", get{head: head{"get", "1"}, Path: r.Path, IfDigest: r.Have, freshness: fresh(r.Freshness)})
	if err != nil {
		return s, err
	}
	s = protocoltest.Served{Revision: m.Revision, NotModified: m.NotModified, Version: m.Version, Tag: r.Have}
	if m.Release != nil {
		s.Version, s.Format, s.Content, s.Tag = m.Release.Version, m.Release.Format, contentOf(m.Release.Content), m.Release.Digest
	}
	return s, nil
}

// Snapshot implements protocoltest.Reads.
func (c *app) Snapshot(ctx context.Context, r protocoltest.Read) (s protocoltest.Snapshot, err error) {
	m, err := c.ask(ctx, "env", readEnv{head: head{"read_env", "1"}, Env: r.Path, freshness: fresh(r.Freshness)})
	s.Revision = m.Revision
	for _, r := range m.Configs {
		s.Configs = append(s.Configs, protocoltest.ServedConfig{Path: r.Path, Version: r.Version, Format: r.Format, Digest: r.Digest, Content: contentOf(r.Content)})
	}
	return s, err
}

// Report implements protocoltest.Reports. A pong says that it is noted.
func (c *app) Report(ctx context.Context, all []center.InstanceReport) error {
	m := ack{head: head{Type: "ack"}, Reports: []report{}}
	for _, r := range all {
		m.Reports = append(m.Reports, report(r))
	}
	_, err := c.ask(ctx, "pong", m, head{Type: "ping"})
	return err
}

// Watch implements protocoltest.Watches.
func (c *app) Watch(ctx context.Context, r protocoltest.WatchRequest) (protocoltest.Stream, error) {
	conn, end, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(subscribe{head: head{"subscribe", "s"}, Paths: append([]string{}, r.Patterns...), After: r.After})
	if err == nil {
		err = conn.TryFrame(socket.Final|socket.OpText, text)
	}
	if err != nil {
		end()
		return nil, err
	}
	s := &stream{cut: end, events: make(chan toldEvent), closed: make(chan struct{}), done: make(chan struct{})}
	go s.run(ctx, conn)
	return s, nil
}

// stream is a subscription with a connection of its own.
type stream struct {
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

func (s *stream) run(ctx context.Context, conn *client) {
	defer close(s.done)
	for {
		_ = conn.Conn.SetDeadline(time.Time{})
		m, _, err := conn.read()
		told := toldEvent{event: protocoltest.Event{Revision: m.Revision, Reset: m.Reset, Current: m.Current || m.Type == "current"}}
		switch {
		case err != nil:
			told.err = lost(ctx, err)
		case m.Type == "error":
			told.err = refusal(m.Problem)
		case m.Type == "bye":
			told.err = config.Errorf(config.Unavailable, "", "", "the server says good-bye: %s", m.Reason)
		case m.Type == "stale":
			continue
		}
		for _, c := range m.Changes {
			told.event.Changes = append(told.event.Changes, protocoltest.Change{
				Path: c.Path, Version: c.Version, Format: c.Format, Digest: c.Digest, Content: contentOf(c.Content), Deleted: c.Deleted,
			})
		}
		select {
		case s.events <- told:
		case <-s.closed:
			return
		}
		if told.err != nil {
			return
		}
	}
}

// Next implements protocoltest.Stream.
func (s *stream) Next(ctx context.Context) (protocoltest.Event, error) {
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
func (s *stream) Close() {
	select {
	case <-s.closed:
	default:
		close(s.closed)
	}
	s.cut()
	<-s.done
}
