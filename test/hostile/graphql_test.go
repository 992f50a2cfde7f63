package hostile

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// watchDocument selects of a watch what these tests look at, and the content, so
// that it is sent.
const watchDocument = `subscription($paths:[Pattern!]!,$after:Token){watch(paths:$paths,after:$after){revision reset current changes{path release{version content}}}}`

// operation is a request of GraphQL.
type operation struct {
	Query     string         `json:"query"`
	Variables map[string]any `json:"variables,omitempty"`
}

func watchOperation(w wish) operation {
	variables := map[string]any{"paths": w.paths}
	if w.after != "" {
		variables["after"] = w.after
	}
	return operation{watchDocument, variables}
}

// graphQLAnswer is what is answered to an operation.
type graphQLAnswer struct {
	Data struct {
		Watch struct {
			Revision config.Token `json:"revision"`
			Reset    bool         `json:"reset"`
			Current  bool         `json:"current"`
			Changes  []struct {
				Path    string `json:"path"`
				Release struct {
					Version int64 `json:"version"`
				} `json:"release"`
			} `json:"changes"`
		} `json:"watch"`
	} `json:"data"`
	Errors graphQLErrors `json:"errors"`
}

type graphQLErrors []struct {
	Message    string `json:"message"`
	Extensions struct {
		Code string `json:"code"`
	} `json:"extensions"`
}

// problem is the first error.
func (a *graphQLAnswer) problem() problem {
	if len(a.Errors) == 0 {
		return problem{}
	}
	return problem{Code: a.Errors[0].Extensions.Code, Detail: a.Errors[0].Message}
}

// news is what an answer tells of a watch; native is the form of one that tells
// of an error.
func (a *graphQLAnswer) news(n *news, native string) error {
	if p := a.problem(); len(a.Errors) > 0 {
		return &refusal{native: native, code: p.Code, detail: p.Detail}
	}
	n.revision, n.reset, n.current = a.Data.Watch.Revision, a.Data.Watch.Reset, a.Data.Watch.Current
	n.versions = map[string]int64{}
	for _, c := range a.Data.Watch.Changes {
		n.versions[c.Path] = c.Release.Version
	}
	return nil
}

// graphQLSocket is a WebSocket connection on which graphql-transport-ws is spoken.
type graphQLSocket struct{ *webSocket }

// initialised connects and, as somebody, waits until it is let in.
func initialised(c net.Conn, token string) (*webSocket, error) {
	s, err := upgrade(c, "/graphql", "", "Sec-WebSocket-Protocol: graphql-transport-ws")
	if err != nil || token == "" {
		return s, err
	}
	return s, graphQLSocket{s}.enter(token)
}

// enter says who is there, or that it is nobody, and waits until it is let in.
func (s graphQLSocket) enter(token string) error {
	payload := map[string]string{}
	if token != "" {
		payload["token"] = token
	}
	if err := s.say(map[string]any{"type": "connection_init", "payload": payload}); err != nil {
		return err
	}
	_, err := s.text()
	return explained(err)
}

func watchGraphQL(c net.Conn, w wish) (stream, error) {
	inner, err := initialised(c, "")
	if err != nil {
		return nil, err
	}
	s := graphQLSocket{inner}
	if err := s.enter(w.token); err != nil {
		return nil, err
	}
	return s, s.subscribe("one", w)
}

func (s graphQLSocket) subscribe(id string, w wish) error {
	return s.say(map[string]any{"type": "subscribe", "id": id, "payload": watchOperation(w)})
}

func (s graphQLSocket) next() (n news, err error) {
	text, err := s.text()
	if err != nil {
		return n, explained(err)
	}
	var m struct {
		Type    string          `json:"type"`
		Payload json.RawMessage `json:"payload"`
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return n, fmt.Errorf("%q: %w", text, err)
	}
	var a graphQLAnswer
	switch m.Type {
	case "next":
		err = json.Unmarshal(m.Payload, &a)
	case "error":
		err = json.Unmarshal(m.Payload, &a.Errors)
	default:
		return n, nil
	}
	if err != nil {
		return n, fmt.Errorf("%q: %w", text, err)
	}
	return n, a.news(&n, m.Type)
}

// explained reads what a close frame says for people: "unauthenticated: …", or
// when to come back.
func explained(err error) error {
	var r *refusal
	if !errors.As(err, &r) {
		return err
	}
	r.code, _, _ = strings.Cut(r.detail, ":")
	if _, ms, found := strings.Cut(r.detail, "retry_after_ms="); found {
		n, err := strconv.Atoi(ms)
		if err != nil {
			return err
		}
		r.code, r.hint = "unavailable", time.Duration(n)*time.Millisecond
	}
	return r
}

// watchGraphQLEvents subscribes in a request that is answered by events.
func watchGraphQLEvents(c net.Conn, w wish) (stream, error) {
	body, err := json.Marshal(watchOperation(w))
	if err != nil {
		return nil, err
	}
	return events(c, tellGraphQL, ask(string(body), w.token, "Accept: text/event-stream"))
}

// ask is a request with an operation.
func ask(body, token string, headers ...string) string {
	headers = append([]string{authorization(token), "Content-Type: application/json", fmt.Sprint("Content-Length: ", len(body))}, headers...)
	return request("POST", "/graphql", body, headers...)
}

func tellGraphQL(n *news, event, data string) error {
	if event != "next" {
		return nil
	}
	var a graphQLAnswer
	if err := json.Unmarshal([]byte(data), &a); err != nil {
		return fmt.Errorf("%q: %w", data, err)
	}
	return a.news(n, "event error")
}
