package graphql

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"testing"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/socket"
	"github.com/setpointhq/setpoint/protocol/internal/sockettest"
	"github.com/setpointhq/setpoint/protocol/protocoltest"
)

// dial is how a client connects.
type dial = sockettest.Dial

// listener is a client of the protocol.
type listener struct{ *sockettest.Client }

// heard is any message of the server's.
type heard struct {
	Type    string          `json:"type"`
	ID      string          `json:"id"`
	Payload json.RawMessage `json:"payload"`
}

// toldAnswer is the payload of a next.
type toldAnswer struct {
	Data struct {
		Watch *toldWatch `json:"watch"`
	} `json:"data"`
	Errors []problemOf `json:"errors"`
}

type toldWatch struct {
	Revision config.Token `json:"revision"`
	Reset    bool         `json:"reset"`
	Current  bool         `json:"current"`
	Stale    *int         `json:"stale"`
	Changes  []toldChange `json:"changes"`
}

type toldChange struct {
	Path    config.Path `json:"path"`
	Deleted bool        `json:"deleted"`
	Release *struct {
		Version int64   `json:"version"`
		Format  string  `json:"format"`
		Digest  string  `json:"digest"`
		Content *string `json:"content"`
		Base64  []byte  `json:"contentBase64"`
	} `json:"release"`
}

// watchAll selects everything of a watch that the tests look at.
const watchAll = `subscription($paths:[Pattern!]!,$after:Token){watch(paths:$paths,after:$after){revision reset current stale changes{path deleted release{version format digest content contentBase64}}}}`

func dialNode(t testing.TB, n *protocoltest.Node, d dial) (*listener, error) {
	d.URL, d.TLS = n.URL+path, n.TLS
	header := http.Header{"Sec-Websocket-Protocol": {subprotocol}}
	maps.Copy(header, d.Header)
	d.Header = header
	c, err := d.Open(t)
	return &listener{c}, err
}

// subscribe asks for an operation.
func (c *listener) subscribe(id, query string, variables map[string]any) {
	c.T.Helper()
	c.Must(c.trySubscribe(id, query, variables))
}

func (c *listener) trySubscribe(id, query string, variables map[string]any) error {
	text, err := json.Marshal(map[string]any{
		"id": id, "type": "subscribe", "payload": map[string]any{"query": query, "variables": variables},
	})
	if err != nil {
		return err
	}
	return c.TryFrame(socket.Final|socket.OpText, text)
}

// watch begins a subscription of everything.
func (c *listener) watch(id string, paths ...string) {
	c.T.Helper()
	c.subscribe(id, watchAll, map[string]any{"paths": paths})
}

// read reads the next message.
func (c *listener) read() (m heard, compressed bool, err error) {
	text, compressed, err := c.Message()
	if err != nil {
		return m, compressed, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err = d.Decode(&m); err != nil {
		err = fmt.Errorf("%.200q: %w", text, err)
	}
	return m, compressed, err
}

// next reads the next message, which must be of the type and for the operation.
func (c *listener) next(id, want string) heard {
	c.T.Helper()
	c.Wait()
	m, _, err := c.read()
	if err != nil {
		c.T.Fatalf("want %s, got %v", want, err)
	}
	if m.Type != want || m.ID != id {
		c.T.Fatalf("want %s of %q, got %s of %q: %.500s", want, id, m.Type, m.ID, m.Payload)
	}
	return m
}

// event reads what a watch tells.
func (c *listener) event(id string) toldWatch {
	c.T.Helper()
	var a toldAnswer
	c.Must(json.Unmarshal(c.next(id, "next").Payload, &a))
	if a.Data.Watch == nil || len(a.Errors) > 0 {
		c.T.Fatalf("want an event, got %+v", a)
	}
	return *a.Data.Watch
}

// refused reads why an operation was refused or ended.
func (c *listener) refused(id, code string) problemOf {
	c.T.Helper()
	var errs []problemOf
	c.Must(json.Unmarshal(c.next(id, "error").Payload, &errs))
	if len(errs) == 0 || errs[0].Extensions.Code != code || errs[0].Message == "" {
		c.T.Fatalf("want %s, got %+v", code, errs)
	}
	return errs[0]
}

// told lists changes as path@version=content, path@deleted.
func told(w toldWatch) []string {
	var all []string
	for _, c := range w.Changes {
		switch {
		case c.Deleted != (c.Release == nil):
			all = append(all, fmt.Sprintf("%+v", c))
		case c.Deleted:
			all = append(all, c.Path.String()+"@deleted")
		default:
			text := fmt.Sprintf("%s@%d", c.Path, c.Release.Version)
			if c.Release.Content != nil {
				text += "=" + *c.Release.Content
			}
			all = append(all, text)
		}
	}
	return all
}
