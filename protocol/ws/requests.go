package ws

import (
	"bytes"
	"context"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/caller"
	"github.com/setpointhq/setpoint/protocol/internal/fragment"
	"github.com/setpointhq/setpoint/protocol/internal/problem"
	"github.com/setpointhq/setpoint/protocol/internal/socket"
	"github.com/setpointhq/setpoint/protocol/internal/strictjson"
)

// encode renders a message.
func encode(message any) []byte { return bytes.TrimSuffix(strictjson.Encode(message), []byte("\n")) }

// handle does what a message asks for. What goes wrong the client is told.
func (c *conn) handle(m message) error {
	first := !c.greeted
	c.greeted = true
	if m, isHello := m.(*hello); isHello {
		if !first {
			return config.Errorf(config.Invalid, "connect", "", "hello is the first message, or is left out")
		}
		return c.hello(m)
	}
	ctx, err := c.proved()
	if err != nil {
		return err
	}
	started := time.Now()
	switch m := m.(type) {
	case *ping:
		c.reply(encode(head{Type: "pong", ID: m.ID}))
		return nil
	case *subscribe:
		err = c.subscribe(ctx, m)
		c.gateway.observe("config.watch", err, started)
	case *unsubscribe:
		err = c.unsubscribe(m)
	case *ack:
		err = c.ack(ctx, m)
		c.gateway.observe("instance.report", err, started)
	case *get:
		err = c.get(ctx, m)
		c.gateway.observe("config.read", err, started)
	case *readEnv:
		err = c.readEnv(ctx, m)
		c.gateway.observe("env.read", err, started)
	}
	return err
}

// proved finds out anew who is asking: what was revoked since the client connected
// is of no use from then on. Mostly it is remembered.
func (c *conn) proved() (context.Context, error) {
	if c.identity.Anonymous() { // nobody else writes it
		return nil, config.Errorf(config.Unauthenticated, "connect", "", "begin with a hello that has a token in it, or send credentials when you connect")
	}
	ctx := c.Context()
	id, err := c.gateway.prove(ctx, c.given)
	return auth.WithIdentity(ctx, id), err
}

// hello takes in who the client says that it is.
func (c *conn) hello(m *hello) error {
	client := config.Client{ID: m.Instance, Labels: m.Labels, Slot: m.Slot, Address: c.Request().Address}
	if err := caller.Check(client); err != nil {
		return err
	}
	given := auth.Credentials{Token: m.Token, Address: c.Request().Address}
	if m.Basic != nil {
		given.Username, given.Password = m.Basic.Username, m.Basic.Password
	}
	known := !c.identity.Anonymous() && (c.given.Said() || !given.Said()) // what is said comes before a certificate
	switch {
	case m.Basic != nil && (!m.Token.Empty() || m.Basic.Username == ""):
		return problem.Malformed("message.basic", "want a username and a password, and no token beside them")
	case known && given.Said():
		return problem.Malformed("message.token", "credentials came already when you connected")
	case !known:
		id, err := c.gateway.prove(c.Context(), given)
		c.Lock()
		c.identity, c.given = id, given // nobody, with an error, whatever the certificate says
		c.Unlock()
		if err != nil {
			return err
		}
		if c.patience != nil {
			c.patience.Stop()
		}
	}
	c.client = merged(c.client, client)
	c.reply(c.gateway.welcome())
	return nil
}

// merged is what a client said when it connected and, before that, in its hello.
func merged(was, is config.Client) config.Client {
	if is.ID != "" {
		was.ID = is.ID
	}
	if is.Labels != nil {
		was.Labels = is.Labels
	}
	if is.Slot != "" {
		was.Slot = is.Slot
	}
	return was
}

// welcome tells who was let in what to expect.
func (g *gateway) welcome() []byte {
	return encode(welcomeMessage{
		Type: "welcome", Protocol: subprotocol, Version: g.version,
		PingInterval: g.settings.PingInterval.Milliseconds(), Retry: g.hub.Retry().Milliseconds(),
		MaxMessage: int64(g.settings.MaxMessage), MaxSubscriptions: g.settings.MaxSubscriptions,
	})
}

type welcomeMessage struct {
	Type             string `json:"type"`
	Protocol         string `json:"protocol"`
	Version          string `json:"server_version"`
	PingInterval     int64  `json:"ping_interval_ms"`
	Retry            int64  `json:"retry_after_ms"`
	MaxMessage       int64  `json:"max_message"`
	MaxSubscriptions int    `json:"max_subscriptions"`
}

type byeText struct {
	Type   string `json:"type"`
	Reason string `json:"reason"`
	Retry  int64  `json:"retry_after_ms"`
}

func byeMessage(retry time.Duration) []byte {
	return encode(byeText{Type: "bye", Reason: "shutdown", Retry: retry.Milliseconds()})
}

func (c *conn) ack(ctx context.Context, m *ack) error {
	request := center.ReportRequest{Client: c.client, Protocol: Name, Reports: make([]center.InstanceReport, len(m.Reports))}
	for i, item := range m.Reports {
		request.Reports[i] = center.InstanceReport(item)
	}
	return c.gateway.center.Report(ctx, request)
}

// wanted turns what a client wants into what the center takes.
func (f freshness) wanted() (center.Freshness, error) {
	switch f.Consistency {
	case "", "strong":
		return center.Freshness{MinRevision: f.MinRevision, Strong: f.Consistency != ""}, nil
	}
	return center.Freshness{}, problem.Malformed("message.consistency", `want "strong", or leave it out`)
}

// configMessage answers get; the release is appended, which is encoded already.
type configMessage struct {
	Type        string       `json:"type"`
	ID          string       `json:"id"`
	Revision    config.Token `json:"revision"`
	NotModified bool         `json:"not_modified,omitempty"`
	Version     int64        `json:"version,omitempty"` // of what is not modified
}

func (c *conn) get(ctx context.Context, m *get) error {
	fresh, err := m.wanted()
	if err != nil {
		return err
	}
	served, err := c.gateway.center.Get(ctx, center.Read{Path: m.Path, Client: c.client, Protocol: Name, Freshness: fresh})
	if err != nil {
		return err
	}
	answer := configMessage{Type: "config", ID: m.ID, Revision: served.Revision}
	if m.IfDigest != "" && m.IfDigest == served.Release.Digest {
		answer.NotModified, answer.Version = true, served.Release.Version
		c.reply(encode(answer))
		return nil
	}
	release, err := c.gateway.fragments.Get(ctx, served.Release, fragment.ReleaseContent, c.gateway.center.Content)
	if err != nil {
		return err
	}
	opening := bytes.TrimSuffix(encode(answer), []byte("}"))
	c.stream(func(out *socket.Chunks) error {
		out.Append(opening)
		out.Text(`,"release":`)
		out.Append(release)
		out.Text(`}`)
		return nil
	})
	return nil
}

// envMessage answers read_env; the configs are appended.
type envMessage struct {
	Type     string       `json:"type"`
	ID       string       `json:"id"`
	Env      config.Path  `json:"env"`
	Revision config.Token `json:"revision"`
}

func (c *conn) readEnv(ctx context.Context, m *readEnv) error {
	fresh, err := m.wanted()
	if err != nil {
		return err
	}
	snap, err := c.gateway.center.Snapshot(ctx, center.ReadEnv{Env: m.Env, Client: c.client, Protocol: Name, Freshness: fresh})
	if err != nil {
		return err
	}
	opening := bytes.TrimSuffix(encode(envMessage{Type: "env", ID: m.ID, Env: m.Env, Revision: snap.Revision}), []byte("}"))
	c.stream(func(out *socket.Chunks) error {
		out.Append(opening)
		out.Text(`,"configs":[`)
		for i, release := range snap.Releases {
			if i > 0 {
				out.Text(",")
			}
			b, err := c.gateway.fragments.Get(ctx, release, fragment.ReleaseContent, c.gateway.center.Content)
			if err != nil {
				return err
			}
			if out.Append(b); out.Failed() {
				break
			}
		}
		out.Text("]}")
		return nil
	})
	return nil
}
