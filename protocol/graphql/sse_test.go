package graphql

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
)

// asked is a request that is to be answered by events.
type asked struct {
	method, query string
	variables     map[string]any
	header        map[string]string
	auth          string
	http2         bool
}

// eventClient reads the answer.
type eventClient struct {
	t      testing.TB
	answer *http.Response
	eventReader
}

const prodOnly = `subscription{watch(paths:["acme/shop/prod"]){revision reset current stale changes{path deleted release{version content}}}}`

func (n *station) events(q asked) *eventClient {
	n.t.Helper()
	address, body := n.URL+path, ""
	if q.method == http.MethodGet {
		variables, err := json.Marshal(q.variables)
		n.must(err)
		address += "?query=" + url.QueryEscape(q.query) + "&variables=" + url.QueryEscape(string(variables))
	} else {
		text, err := json.Marshal(map[string]any{"query": q.query, "variables": q.variables})
		n.must(err)
		body = string(text)
	}
	r, err := http.NewRequestWithContext(n.t.Context(), q.method, address, strings.NewReader(body))
	n.must(err)
	r.Header.Set("Accept", eventType)
	if q.method == http.MethodPost {
		r.Header.Set("Content-Type", jsonType)
	}
	if q.auth != "" {
		r.Header.Set("Authorization", q.auth)
	}
	for k, v := range q.header {
		r.Header.Set(k, v)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: n.TLS.Clone(), ForceAttemptHTTP2: q.http2, DisableKeepAlives: !q.http2}}
	answer, err := client.Do(r)
	n.must(err)
	n.t.Cleanup(func() {
		answer.Body.Close()
		client.CloseIdleConnections()
	})
	return &eventClient{t: n.t, answer: answer, eventReader: eventReader{in: bufio.NewReader(answer.Body)}}
}

// event reads the next event, which must be of the name.
func (c *eventClient) event(want string) readEvent {
	c.t.Helper()
	e, err := c.next()
	if err != nil || e.name != want {
		c.t.Fatalf("want %s, got %+v %v", want, e, err)
	}
	return e
}

// watched reads what a watch tells.
func (c *eventClient) watched(want ...string) (toldWatch, string) {
	c.t.Helper()
	e := c.event("next")
	var a toldAnswer
	if err := json.Unmarshal([]byte(e.data), &a); err != nil || a.Data.Watch == nil {
		c.t.Fatalf("want an event, got %+v %v", e, err)
	}
	if diff := cmp.Diff(want, told(*a.Data.Watch)); diff != "" || string(a.Data.Watch.Revision) != e.id {
		c.t.Errorf("id %q: %s", e.id, diff)
	}
	return *a.Data.Watch, e.id
}

// failed reads why there is nothing more.
func (c *eventClient) failed(code string) {
	c.t.Helper()
	var a toldAnswer
	e := c.event("next")
	if err := json.Unmarshal([]byte(e.data), &a); err != nil || len(a.Errors) == 0 || a.Errors[0].Extensions.Code != code {
		c.t.Fatalf("want %s, got %+v %v", code, e, err)
	}
	c.completed()
}

func (c *eventClient) completed() {
	c.t.Helper()
	if e := c.event("complete"); e.data != "" {
		c.t.Errorf("got %+v", e)
	}
	if e, err := c.next(); !errors.Is(err, io.EOF) {
		c.t.Errorf("want the end, got %+v %v", e, err)
	}
}

func TestEvents(t *testing.T) {
	for name, q := range map[string]asked{
		"by POST":            {method: http.MethodPost},
		"by GET":             {method: http.MethodGet},
		"by POST over HTTP2": {method: http.MethodPost, http2: true},
	} {
		t.Run(name, func(t *testing.T) {
			n := launch(t)
			n.publish(pathA, "a: 1\n")
			q.query, q.auth, q.variables = watchAll, "Bearer "+n.app, map[string]any{"paths": []string{"acme/shop/prod"}}
			c := n.events(q)
			if h := c.answer.Header; c.answer.StatusCode != http.StatusOK || h.Get("Content-Type") != eventType || h.Get("Cache-Control") != "no-store" || (c.answer.ProtoMajor == 2) != q.http2 {
				t.Fatalf("got %s %s %v", c.answer.Proto, c.answer.Status, h)
			}
			c.watched(pathA + "@1=a: 1\n")
			if ms, err := strconv.Atoi(c.retry); err != nil || ms < 1000 || ms > 2000 {
				t.Errorf("want it jittered, got %q", c.retry)
			}
			_, last := c.then(n, "a: 2\n", 2)
			c.answer.Body.Close()
			n.until("nobody left", func() bool { return n.streaming() == 0 && n.Center.Self(t.Context()).Watchers == 0 })
			n.publish(pathB, "b: 1\n")
			q.header = map[string]string{"Last-Event-Id": last} // as a browser says where it was
			w, _ := n.events(q).watched(pathB + "@1=b: 1\n")
			if w.Reset {
				t.Error("want it resumed")
			}
			large := "# " + strings.Repeat("é", 200_000) + "\n"
			c = n.events(q)
			c.watched(pathB + "@1=b: 1\n")
			n.publish(pathA, large)
			c.watched(pathA + "@3=" + large)
		})
	}
}

// then publishes, and reads that.
func (c *eventClient) then(n *station, content string, version int) (toldWatch, string) {
	c.t.Helper()
	n.publish(pathA, content)
	return c.watched(pathA + "@" + strconv.Itoa(version) + "=" + content)
}

func TestEventsOfOneAnswer(t *testing.T) {
	n := launch(t)
	n.publish(pathA, "a: 1\n")
	c := n.events(asked{method: http.MethodPost, auth: "Bearer " + n.app, query: `{read(path:"` + pathA + `"){release{version}}}`})
	if e := c.event("next"); e.data != `{"data":{"read":{"release":{"version":1}}}}` {
		t.Errorf("got %+v", e)
	}
	c.completed()
}

// Clients that take anything get events of what goes on, and JSON of all else.
func TestEventsOrJSON(t *testing.T) {
	n := launch(t)
	n.publish(pathA, "a: 1\n")
	any := map[string]string{"Accept": "application/graphql-response+json, application/json, text/event-stream, multipart/mixed"}
	for query, want := range map[string]string{
		`{read(path:"` + pathA + `"){release{version}}}`: responseType,
		`{nothing}`: responseType,
		prodOnly:    eventType,
	} {
		c := n.events(asked{method: http.MethodPost, auth: "Bearer " + n.app, query: query, header: any})
		if got := c.answer.Header.Get("Content-Type"); !strings.HasPrefix(got, want) {
			t.Errorf("%s: want %s, got %s", query, want, got)
		}
	}
}

// What is wrong with an operation is an event; what is wrong with the request is not.
func TestEventsRefused(t *testing.T) {
	n := launch(t, func(s *Settings) { s.MaxConnections = 1 })
	bearer := "Bearer " + n.app
	for name, q := range map[string]asked{
		"invalid": {method: http.MethodPost, auth: bearer, query: `{nothing}`},
		"denied":  {method: http.MethodPost, auth: bearer, query: `subscription{watch(paths:["acme/other/prod"]){revision}}`},
	} {
		n.events(q).failed(name)
	}
	first := n.events(asked{method: http.MethodPost, auth: bearer, query: prodOnly})
	first.watched()
	for name, c := range map[string]struct {
		asked asked
		want  int
	}{
		"nobody":           {asked{method: http.MethodPost, query: prodOnly}, 401},
		"a bad token":      {asked{method: http.MethodGet, auth: "Bearer sp_x", query: prodOnly}, 401},
		"a cookie":         {asked{method: http.MethodGet, query: prodOnly, header: map[string]string{"Cookie": "token=" + n.app}}, 401},
		"another web site": {asked{method: http.MethodPost, auth: bearer, query: prodOnly, header: map[string]string{"Sec-Fetch-Site": "cross-site"}}, 403},
		"no JSON":          {asked{method: http.MethodPost, auth: bearer, query: prodOnly, header: map[string]string{"Content-Type": "text/plain"}}, 415},
		"a write by GET":   {asked{method: http.MethodGet, auth: bearer, query: `mutation{report(reports:[])}`}, 405},
		"one too many":     {asked{method: http.MethodGet, auth: bearer, query: prodOnly}, 503},
	} {
		answer := n.events(c.asked).answer
		body, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != c.want || !strings.Contains(string(body), `"errors"`) {
			t.Errorf("%s: want %d, got %d %s %v", name, c.want, answer.StatusCode, body, err)
		}
		if has := answer.Header.Get("Retry-After") != ""; has != (c.want == 503) {
			t.Errorf("%s: got %v", name, answer.Header)
		}
	}
}

// carried runs a test over each of what carries events.
func carried(t *testing.T, test func(t *testing.T, http2 bool)) {
	t.Run("HTTP1", func(t *testing.T) { test(t, false) })
	t.Run("HTTP2", func(t *testing.T) { test(t, true) })
}

func TestEventsEnd(t *testing.T) {
	for name, c := range map[string]struct {
		by   func(*station)
		code string
	}{
		"by a withdrawn right": {func(n *station) { n.withdraw(); n.publish(pathB, "b: 1\n") }, "denied"},
		"by a revoked token":   {func(n *station) { n.revoke("app") }, "unauthenticated"},
		"by the server":        {func(n *station) { n.stop() }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			carried(t, func(t *testing.T, http2 bool) { eventsEnd(t, http2, c.by, c.code) })
		})
	}
}

func eventsEnd(t *testing.T, http2 bool, by func(*station), code string) {
	n := launch(t, func(s *Settings) { s.PingInterval = 20 * time.Millisecond })
	e := n.events(asked{method: http.MethodPost, auth: "Bearer " + n.app, query: prodOnly, http2: http2})
	e.watched()
	by(n)
	if code != "" {
		e.failed(code)
		n.until("nobody left", func() bool { return n.streaming() == 0 })
		return
	}
	// It is not completed: clients come back.
	if got, err := e.next(); !errors.Is(err, io.EOF) {
		t.Errorf("want the end, got %+v %v", got, err)
	}
	if last := e.comments[len(e.comments)-1]; !strings.HasPrefix(last, "the server is shutting down; retry_after_ms=1") {
		t.Errorf("got %q", last)
	}
	if got := n.events(asked{method: http.MethodPost, auth: "Bearer " + n.app, query: prodOnly}).answer.StatusCode; got != http.StatusServiceUnavailable {
		t.Errorf("want 503, got %d", got)
	}
}

func TestHeartbeatsOfEvents(t *testing.T) {
	carried(t, func(t *testing.T, http2 bool) {
		n := launch(t, func(s *Settings) { s.PingInterval = 20 * time.Millisecond })
		c := n.events(asked{method: http.MethodPost, auth: "Bearer " + n.app, query: prodOnly, http2: http2})
		c.watched()
		for len(c.comments) < 3 {
			line, err := c.in.ReadString('\n')
			n.must(err)
			if strings.HasPrefix(line, ":") {
				c.comments = append(c.comments, line)
			}
		}
		c.then(n, "a: 1\n", 1)
	})
}

// Who says anything on a stream over HTTP/1.1 is let go, as is who leaves.
func TestWhoSpeaksOnAStreamOfEvents(t *testing.T) {
	n := launch(t)
	for _, says := range []string{"GET / HTTP/1.1\r\n\r\n", ""} {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(n.URL, "https://"), n.TLS)
		n.must(err)
		defer conn.Close()
		fmt.Fprintf(conn, "GET %s?query=%s HTTP/1.1\r\nHost: x\r\nAccept: %s\r\nAuthorization: Bearer %s\r\n\r\n", path, url.QueryEscape(prodOnly), eventType, n.app)
		in := bufio.NewReader(conn)
		answer, err := http.ReadResponse(in, nil)
		n.must(err)
		if answer.StatusCode != http.StatusOK || !answer.Close {
			t.Fatalf("want a stream that ends with its connection, got %s %v", answer.Status, answer.Header)
		}
		c := &eventClient{t: t, eventReader: eventReader{in: bufio.NewReader(answer.Body)}}
		c.watched()
		if says == "" {
			conn.Close()
		} else {
			_, err := io.WriteString(conn, says)
			n.must(err)
		}
		n.until("it is let go", func() bool { return n.streaming() == 0 && n.Center.Self(t.Context()).Watchers == 0 })
	}
}

// A stream on which nothing happens outlasts the time in which a client must take in
// what is written.
func TestIdleStreamsOfEventsLast(t *testing.T) {
	carried(t, func(t *testing.T, http2 bool) {
		n := launch(t, func(s *Settings) { s.WriteTimeout, s.PingInterval = 20*time.Millisecond, 100*time.Millisecond })
		c := n.events(asked{method: http.MethodPost, auth: "Bearer " + n.app, query: prodOnly, http2: http2})
		c.watched()
		if line, err := c.in.ReadString('\n'); line != ": heartbeat\n" {
			t.Errorf("want a heartbeat, got %q %v", line, err)
		}
	})
}

// A client that takes nothing in is shed, and holds up nobody else.
func TestEventsThatNobodyReads(t *testing.T) {
	t.Parallel() // it takes its time
	carried(t, func(t *testing.T, http2 bool) {
		n := launch(t, func(s *Settings) { s.WriteTimeout = 500 * time.Millisecond })
		n.must(n.bind("app", "test"))
		n.events(asked{method: http.MethodPost, auth: "Bearer " + n.app, query: prodOnly, http2: http2})
		c := n.events(asked{method: http.MethodPost, auth: "Bearer " + n.app, query: strings.ReplaceAll(prodOnly, "prod", "test"), http2: http2})
		c.watched()
		for i := range 8 { // more than is on the way
			n.publish("acme/shop/prod/large"+strconv.Itoa(i)+".yaml", "# "+strings.Repeat("x", 900_000)+"\n")
		}
		n.publish("acme/shop/test/t.yaml", "t: 1\n")
		c.watched("acme/shop/test/t.yaml@1=t: 1\n")
		n.until("the other shed", func() bool { return n.streaming() == 1 })
	})
}

// bind gives a user the right to read an env of acme/shop.
func (n *station) bind(user, env string) error {
	_, err := n.Center.CreateBinding(n.admin(), auth.Binding{User: user, Role: auth.RoleClient, Scope: config.Path{Tenant: "acme", App: "shop", Env: env}})
	return err
}
