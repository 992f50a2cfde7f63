package hostile

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// request writes an HTTP/1.1 request. headers are whole lines.
func request(method, target, body string, headers ...string) string {
	var b strings.Builder
	b.WriteString(method + " " + target + " HTTP/1.1\r\nHost: setpoint.test\r\n")
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	b.WriteString("\r\n" + body)
	return b.String()
}

// authorization is the header's line; of nobody it is another that says nothing.
func authorization(token string) string {
	if token == "" {
		return "X-Nobody: true"
	}
	return "Authorization: Bearer " + token
}

// problem is what the server says is wrong.
type problem struct {
	Code   string `json:"code"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

// refused reads an answer that is an error.
func refused(resp *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	var p problem
	switch media, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";"); media {
	case "application/problem+json":
		err = json.Unmarshal(body, &p)
	case "application/json", "application/graphql-response+json":
		var a graphQLAnswer
		err = json.Unmarshal(body, &a)
		p = a.problem()
	}
	if err != nil {
		return fmt.Errorf("%s: %q: %w", resp.Status, body, err)
	}
	return &refusal{native: fmt.Sprint("HTTP ", resp.StatusCode), code: p.Code, detail: p.Detail}
}

// answer sends a request and reads the head of the answer. What the server said
// before it stopped listening counts, whatever became of the rest of the request.
func answer(c net.Conn, raw string) (*http.Response, *bufio.Reader, error) {
	go func() { _, _ = io.WriteString(c, raw) }()
	in := bufio.NewReader(c)
	resp, err := http.ReadResponse(in, nil)
	return resp, in, err
}

type sse struct {
	in   *bufio.Reader
	tell func(n *news, event, data string) error
}

// watchSSE asks for a stream of Server-Sent Events.
func watchSSE(c net.Conn, w wish) (stream, error) {
	query := url.Values{"path": w.paths}
	if w.after != "" {
		query.Set("after", string(w.after))
	}
	return events(c, tellREST, request("GET", "/v1/watch?"+query.Encode(), "", authorization(w.token), "Accept: text/event-stream"))
}

func events(c net.Conn, tell func(*news, string, string) error, raw string) (stream, error) {
	resp, _, err := answer(c, raw)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, refused(resp)
	}
	return &sse{in: bufio.NewReader(resp.Body), tell: tell}, nil
}

// next reads events until there is one that says something.
func (s *sse) next() (n news, err error) {
	var event, data string
	for {
		line, err := s.in.ReadString('\n')
		if err != nil {
			return n, err
		}
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch key {
		case "event":
			event = value
		case "data":
			data = value
		case "retry":
			ms, err := strconv.Atoi(value)
			if err != nil {
				return n, err
			}
			n.hint = time.Duration(ms) * time.Millisecond
		}
		if line == "\n" && (event != "" || n.hint > 0) {
			return n, s.tell(&n, event, data)
		}
	}
}

func tellREST(n *news, event, data string) error {
	var told struct {
		Revision config.Token `json:"revision"`
		Reset    bool         `json:"reset"`
		Changes  []change     `json:"changes"`
		problem
	}
	if data != "" {
		if err := json.Unmarshal([]byte(data), &told); err != nil {
			return fmt.Errorf("%q: %w", data, err)
		}
	}
	n.revision, n.reset = told.Revision, told.Reset
	n.add(told.Changes)
	switch event {
	case "current":
		n.current = true
	case "bye":
		n.bye = true
	case "error":
		return &refusal{native: "event error", code: told.Code, detail: told.Detail}
	}
	return nil
}
