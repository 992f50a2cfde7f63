package ws

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/fragment"
	"github.com/setpointhq/setpoint/protocol/internal/problem"
	"github.com/setpointhq/setpoint/protocol/internal/socket"
	"github.com/setpointhq/setpoint/protocol/internal/sockettest"
	"github.com/setpointhq/setpoint/protocol/protocoltest"
)

// dial is how a client connects.
type dial = sockettest.Dial

// client is a client of the protocol.
type client struct{ *sockettest.Client }

// incoming is any message of the server's.
type incoming struct {
	Type             string            `json:"type"`
	ID               string            `json:"id"`
	Revision         config.Token      `json:"revision"`
	Reset            bool              `json:"reset"`
	Current          bool              `json:"current"`
	Changes          []fragment.Change `json:"changes"`
	Problem          problem.Details   `json:"problem"`
	Release          *fragment.Release `json:"release"`
	NotModified      bool              `json:"not_modified"`
	Version          int64             `json:"version"`
	Server           string            `json:"server_version"`
	Env              config.Path       `json:"env"`
	Configs          []fragment.Release
	Seconds          int64  `json:"seconds"`
	Reason           string `json:"reason"`
	Retry            int64  `json:"retry_after_ms"`
	Protocol         string `json:"protocol"`
	PingInterval     int64  `json:"ping_interval_ms"`
	MaxMessage       int64  `json:"max_message"`
	MaxSubscriptions int    `json:"max_subscriptions"`
}

// try sends a handshake and returns the answer, whatever it is.
func (n *node) try(d dial) *client {
	n.t.Helper()
	c, err := dialNode(n.t, n.Node, d)
	n.must(err)
	n.t.Cleanup(func() { c.Conn.Close() })
	return c
}

func dialNode(t testing.TB, n *protocoltest.Node, d dial) (*client, error) {
	d.URL, d.TLS = n.URL+path, n.TLS
	c, err := d.Open(t)
	return &client{c}, err
}

// connect opens a connection that must be let in.
func (n *node) connect(d dial) *client {
	n.t.Helper()
	c := n.try(d)
	if c.Answer.StatusCode != http.StatusSwitchingProtocols {
		body, _ := io.ReadAll(c.Answer.Body)
		n.t.Fatalf("want a connection, got %d %s", c.Answer.StatusCode, body)
	}
	return c
}

// welcomed opens a connection with a token and reads the welcome.
func (n *node) welcomed(token string) *client {
	n.t.Helper()
	c := n.connect(dial{Auth: "Bearer " + token})
	c.next("welcome")
	return c
}

// read reads the next message.
func (c *client) read() (m incoming, text []byte, err error) {
	text, _, err = c.Message()
	if err != nil {
		return m, nil, err
	}
	if err := description().checkMessage(text); err != nil {
		c.T.Errorf("%s: %v", text, err)
	}
	return m, text, json.Unmarshal(text, &m)
}

// next reads the next message, which must be of the type.
func (c *client) next(want string) incoming {
	c.T.Helper()
	c.Wait()
	m, text, err := c.read()
	if err != nil {
		c.T.Fatalf("want %s, got %v", want, err)
	}
	if m.Type != want {
		c.T.Fatalf("want %s, got %s", want, text)
	}
	return m
}

// problem reads the next message, which must be an error of the code.
func (c *client) problem(id, code string) problem.Details {
	c.T.Helper()
	m := c.next("error")
	if m.Problem.Code != code || m.ID != id || m.Problem.RequestID == "" || m.Problem.Type != problem.TypePrefix+code {
		c.T.Errorf("want %s of %q, got %+v", code, id, m)
	}
	return m.Problem
}

// end reads until the connection is closed, which must be with the code.
func (c *client) end(want socket.CloseCode) {
	c.T.Helper()
	c.End(want, "")
}

// told lists changes as path@version=content, path@deleted.
func told(m incoming) []string {
	var all []string
	for _, c := range m.Changes {
		text := fmt.Sprintf("%s@%d", c.Path, c.Version)
		if c.Deleted {
			text = c.Path.String() + "@deleted"
		}
		if c.Text != nil {
			text += "=" + *c.Text
		}
		if c.Base64 != nil {
			text += fmt.Sprintf("=%x", c.Base64)
		}
		all = append(all, text)
	}
	return all
}
