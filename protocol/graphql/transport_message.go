package graphql

import (
	"bytes"
	"encoding/json"
	"reflect"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/caller"
	"github.com/setpointhq/setpoint/protocol/internal/problem"
	"github.com/setpointhq/setpoint/protocol/internal/strictjson"
)

// Types of messages.
const (
	typeInit      = "connection_init"
	typeAck       = "connection_ack"
	typePing      = "ping"
	typePong      = "pong"
	typeSubscribe = "subscribe"
	typeNext      = "next"
	typeError     = "error"
	typeComplete  = "complete"
)

// message is any message of a client's. Fields that are not known are passed over, as
// libraries do that speak this protocol.
type message struct {
	Type    string          `json:"type"`
	ID      string          `json:"id"`
	Payload json.RawMessage `json:"payload"`
}

// longestID bounds the ids that clients give to operations, in bytes. They are mostly
// UUIDs.
const longestID = 128

// decodeMessage reads a message.
func decodeMessage(data []byte) (m message, err error) {
	if err := decode("message", data, &m); err != nil {
		return m, err
	}
	if first := bytes.TrimLeft(data, " \t\r\n"); len(first) == 0 || first[0] != '{' {
		return m, problem.Malformed("message", "want an object")
	}
	switch m.Type {
	case typeInit, typePing, typePong:
	case typeSubscribe, typeComplete:
		if m.ID == "" || len(m.ID) > longestID {
			return m, problem.Malformed("message.id", "want an id of 1 to 128 bytes")
		}
	case typeAck, typeNext, typeError:
		return m, problem.Malformed("message.type", "only the server says "+m.Type)
	case "":
		return m, problem.Malformed("message.type", "say what the message is")
	default:
		return m, problem.Malformed("message.type", "there is no such message: "+problem.Clip(m.Type))
	}
	if isNull(m.Payload) {
		m.Payload = nil
	}
	if m.Type != typeComplete && m.Payload != nil && m.Payload[0] != '{' {
		return m, problem.Malformed("message.payload", "want an object")
	}
	return m, nil
}

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || bytes.Equal(raw, []byte("null")) }

// initPayload is what a client may say of itself in connection_init.
type initPayload struct {
	Token         config.Secret   `json:"token,omitzero"`
	Authorization config.Secret   `json:"authorization,omitzero"`
	Header        config.Secret   `json:"Authorization,omitzero"` // as most clients' examples have it
	Basic         *basic          `json:"basic,omitempty"`
	Instance      string          `json:"instance,omitempty"`
	Labels        json.RawMessage `json:"labels,omitempty"` // an object, or a text as the header has it
	Slot          string          `json:"slot,omitempty"`
}

type basic struct {
	Username string        `json:"username"`
	Password config.Secret `json:"password"`
}

// greeting is what a client has said of itself.
type greeting struct {
	client config.Client
	given  auth.Credentials
}

// readInit reads the payload of connection_init. Unlike messages it is of this
// server, so that a key that is not known is refused: who mistypes "slot" would be
// served something else.
func readInit(payload json.RawMessage, address string) (g greeting, err error) {
	const where = "message.payload"
	var p initPayload
	if payload != nil {
		if err := strictjson.Decode(where, payload, strictjson.NamesOf(reflect.TypeFor[initPayload]()), &p); err != nil {
			return g, err
		}
	}
	if g.client, err = p.client(); err != nil {
		return g, err
	}
	g.client.Address = address
	ways := 0
	for _, given := range []bool{!p.Token.Empty(), !p.Authorization.Empty(), !p.Header.Empty(), p.Basic != nil} {
		if given {
			ways++
		}
	}
	if ways > 1 {
		return g, problem.Malformed(where, "give one of token, authorization and basic")
	}
	g.given = auth.Credentials{Token: p.Token, Address: address}
	switch {
	case !p.Authorization.Empty() || !p.Header.Empty():
		g.given, err = caller.ParseCredentials([]string{p.Authorization.Reveal() + p.Header.Reveal()}, address) // one of them is empty
	case p.Basic != nil && p.Basic.Username == "":
		err = problem.Malformed(where+".basic", "want a username and a password")
	case p.Basic != nil:
		g.given.Username, g.given.Password = p.Basic.Username, p.Basic.Password
	}
	return g, err
}

// client is which instance a client says that it is.
func (p *initPayload) client() (config.Client, error) {
	c := config.Client{ID: p.Instance, Slot: p.Slot}
	if isNull(p.Labels) {
		return c, caller.Check(c)
	}
	var text string
	if json.Unmarshal(p.Labels, &text) == nil {
		return caller.ParseClaim(p.Instance, text, p.Slot)
	}
	if json.Unmarshal(p.Labels, &c.Labels) != nil {
		return c, problem.Malformed("message.payload.labels", "want an object of texts, or a text key=value,key=value")
	}
	return c, caller.Check(c)
}

// encode renders what is said.
func encode(v any) []byte { return bytes.TrimSuffix(strictjson.Encode(v), []byte("\n")) }

// said is a message of the server's.
type said struct {
	ID      json.RawMessage `json:"id,omitempty"` // as JSON
	Type    string          `json:"type"`
	Payload any             `json:"payload,omitempty"`
}

// appendNext appends what a message begins with that carries an answer; the answer
// and a bracket come behind it.
func appendNext(b []byte, id json.RawMessage) []byte {
	b = append(append(b, `{"id":`...), id...)
	return append(b, `,"type":"next","payload":`...)
}
