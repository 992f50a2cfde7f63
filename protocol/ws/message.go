package ws

import (
	"bytes"
	"encoding/json"
	"reflect"
	"unicode/utf8"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/caller"
	"github.com/setpointhq/setpoint/protocol/internal/problem"
	"github.com/setpointhq/setpoint/protocol/internal/strictjson"
)

// What clients say. api/asyncapi.yaml describes it for people; a test holds that
// the fields are the same.

// head is what all messages have: what they are, and what the answer repeats.
type head struct {
	Type string `json:"type"`
	ID   string `json:"id,omitempty"`
}

type hello struct {
	head
	Token    config.Secret     `json:"token,omitzero"`
	Basic    *basic            `json:"basic,omitempty"`
	Instance string            `json:"instance,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
	Slot     string            `json:"slot,omitempty"`
}

type basic struct {
	Username string        `json:"username"`
	Password config.Secret `json:"password"`
}

type subscribe struct {
	head
	Paths   []string     `json:"paths"`
	After   config.Token `json:"after,omitempty"`
	Content *bool        `json:"content,omitempty"` // nil is true
}

type unsubscribe struct{ head }

type ack struct {
	head
	Reports []report `json:"reports"`
}

type report struct {
	Path    config.Path     `json:"path"`
	Version int64           `json:"version"`
	State   config.AckState `json:"state"`
	Why     string          `json:"why,omitempty"`
}

type get struct {
	head
	Path     config.Path `json:"path"`
	IfDigest string      `json:"if_digest,omitempty"`
	freshness
}

type readEnv struct {
	head
	Env config.Path `json:"env"`
	freshness
}

type freshness struct {
	MinRevision config.Token `json:"min_revision,omitempty"`
	Consistency string       `json:"consistency,omitempty"`
}

type ping struct{ head }

// message is one of the types above.
type message interface{ header() *head }

func (h *head) header() *head { return h }

// sort is one sort of message: how it is made, and the names in it.
type sort struct {
	make  func() message
	names *strictjson.Names
	id    bool // it must have an id
}

func sortOf[T any, P interface {
	*T
	message
}](id bool) sort {
	return sort{make: func() message { return P(new(T)) }, names: strictjson.NamesOf(reflect.TypeFor[T]()), id: id}
}

// messageTypes has a line for every sort of message that a client may send.
var messageTypes = map[string]sort{
	"hello":       sortOf[hello](false),
	"subscribe":   sortOf[subscribe](true),
	"unsubscribe": sortOf[unsubscribe](true),
	"ack":         sortOf[ack](false),
	"get":         sortOf[get](true),
	"read_env":    sortOf[readEnv](true),
	"ping":        sortOf[ping](false),
}

// longestID bounds the ids that clients give to what they ask.
const longestID = 64 // bytes

// decode reads a message. With an error the head may have the id all the same, so
// that the client learns which of its messages was wrong.
func decode(data []byte) (message, head, error) {
	var h head
	if err := strictjson.CheckText(data); err != nil {
		return nil, h, problem.Malformed("message", "it is not Unicode text")
	}
	if first := bytes.TrimLeft(data, " \t\r\n"); json.Valid(data) && (len(first) == 0 || first[0] != '{') {
		return nil, h, problem.Malformed("message", "want an object")
	}
	_ = json.Unmarshal(data, &h) // what is wrong with it, the strict reading below tells
	if !fitID(h.ID) {
		h.ID = ""
	}
	known, found := messageTypes[h.Type]
	if !found {
		return nil, h, unknown(data)
	}
	m := known.make()
	if err := strictjson.Decode("message", data, known.names, m); err != nil {
		return nil, h, err
	}
	switch got := m.header(); {
	case got.ID == "" && known.id:
		return nil, h, problem.Malformed("message.id", "give it an id, which the answers repeat")
	case !fitID(got.ID):
		return nil, h, problem.Malformed("message.id", "an id has at most 64 bytes and no control characters")
	}
	return m, *m.header(), nil
}

// unknown says why a message is none.
func unknown(data []byte) error {
	var fields map[string]any
	if err := strictjson.Decode("message", data, nil, &fields); err != nil {
		return err
	}
	switch name := fields["type"].(type) {
	case nil:
		return problem.Malformed("message.type", "say what the message is")
	case string:
		return problem.Malformed("message.type", "there is no such message: "+problem.Clip(name))
	default:
		return problem.Malformed("message.type", "want text")
	}
}

func fitID(id string) bool {
	return len(id) <= longestID && utf8.ValidString(id) && caller.Printable(id)
}
