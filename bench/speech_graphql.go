package bench

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/setpointhq/setpoint/config"
)

// graphQL is a subscription over graphql-transport-ws at /graphql.
type graphQL struct{}

// watchDocument selects what subscribers over the other protocols are sent.
const watchDocument = `subscription($p:[Pattern!]!){watch(paths:$p){revision reset current changes{path deleted release{version digest content}}}}`

func (graphQL) alpn() string { return alpnHTTP1 }

func (graphQL) subscription(s server, authorization string, paths ...config.Path) [][]byte {
	type variables struct {
		Paths []config.Path `json:"p"`
	}
	type payload struct {
		Query     string    `json:"query"`
		Variables variables `json:"variables"`
	}
	return [][]byte{
		upgradeRequest(s, "/graphql", authorization, "Sec-WebSocket-Protocol: graphql-transport-ws\r\n"),
		masked(frameText, []byte(`{"type":"connection_init"}`)),
		masked(frameText, jsonOf(struct {
			ID      string  `json:"id"`
			Type    string  `json:"type"`
			Payload payload `json:"payload"`
		}{"1", "subscribe", payload{watchDocument, variables{paths}}})),
	}
}

func (graphQL) isCurrent(message []byte) bool {
	// As it stands there it is in no string of the message: quotes would be escaped.
	return bytes.Contains(message, []byte(`"current":true`))
}

func (g graphQL) welcome() []byte {
	const protocol = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
	b := append([]byte(protocol), g.frame([]byte(graphQLAck))...)
	return append(b, g.frame([]byte(`{"id":"1","type":"next","payload":{"data":{"watch":{"current":true}}}}`))...)
}

func (graphQL) frame(message []byte) []byte { return webSocket{}.frame(message) }

const (
	graphQLAck  = `{"type":"connection_ack"}`
	graphQLPing = `{"type":"ping"`
	graphQLPong = `{"type":"pong"}`
)

func (graphQL) listen(c *conn, parts [][]byte, heard func([]byte) error) error {
	if err := c.upgrade(parts[0]); err != nil {
		return err
	}
	if _, err := c.Write(parts[1]); err != nil {
		return err
	}
	acknowledged := false
	return c.messages(func(message []byte) error {
		switch {
		case !acknowledged:
			if !bytes.HasPrefix(message, []byte(`{"type":"connection_ack"`)) {
				return fmt.Errorf("the server does not let a subscriber in: %.*s", excerpt, message)
			}
			acknowledged = true
			_, err := c.Write(parts[2])
			return err
		case bytes.HasPrefix(message, []byte(graphQLPing)):
			_, err := c.Write(masked(frameText, []byte(graphQLPong)))
			return err
		case graphQLIs(message, "error"), graphQLIs(message, "complete"):
			return errors.New("the server ended the subscription: " + string(message[:min(excerpt, len(message))]))
		}
		return heard(message)
	})
}

// graphQLIs tells the type of a message, which is within its first few fields.
func graphQLIs(message []byte, kind string) bool {
	const near = 64
	return bytes.Contains(message[:min(near, len(message))], []byte(`"type":"`+kind+`"`))
}
