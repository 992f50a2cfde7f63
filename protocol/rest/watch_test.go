package rest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

// event is one Server-Sent Event; comments have only a comment.
type event struct{ name, id, data, comment, retry string }

// events is an open stream.
type events struct {
	t      testing.TB
	body   io.ReadCloser
	lines  *bufio.Reader
	cancel context.CancelFunc
}

// subscribe opens a stream. Its end is tied to the test's.
func (s *server) subscribe(q request) *events {
	s.t.Helper()
	if q.header == nil {
		q.header = map[string]string{}
	}
	q.header["Accept"] = "text/event-stream"
	r := s.request(q)
	ctx, cancel := context.WithCancel(r.Context())
	resp, err := s.http.Do(r.WithContext(ctx))
	if err != nil {
		cancel()
		s.t.Fatal(err)
	}
	e := &events{t: s.t, body: resp.Body, lines: bufio.NewReader(resp.Body), cancel: cancel}
	s.t.Cleanup(e.close)
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || got != "text/event-stream" {
		b, _ := io.ReadAll(resp.Body)
		s.t.Fatalf("want a stream, got %d %s %s", resp.StatusCode, got, b)
	}
	return e
}

func (e *events) close() {
	e.cancel()
	e.body.Close()
}

// any reads the next event or comment; io.EOF at the end.
func (e *events) any() (event, error) {
	var ev event
	for {
		line, err := e.lines.ReadString('\n')
		if err != nil {
			return ev, err
		}
		line = strings.TrimSuffix(line, "\n")
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "":
			return ev, nil
		case field == "":
			ev.comment = value
		case field == "event":
			ev.name = value
		case field == "id":
			ev.id = value
		case field == "data":
			ev.data = value
		case field == "retry":
			ev.retry = value
		}
	}
}

// next reads the next event that has the name, which must come before any other.
func (e *events) next(name string) event {
	e.t.Helper()
	for {
		ev, err := e.any()
		if err != nil {
			e.t.Fatalf("want %s, got %v", name, err)
		}
		if ev.name == name {
			return ev
		}
		if ev.name != "" {
			e.t.Fatalf("want %s, got %+v", name, ev)
		}
	}
}

func (e *events) changes() watchAnswer {
	e.t.Helper()
	ev := e.next("changes")
	var a watchAnswer
	if err := json.Unmarshal([]byte(ev.data), &a); err != nil {
		e.t.Fatalf("%v in %s", err, ev.data)
	}
	if ev.id != string(a.Revision) || ev.id == "" {
		e.t.Errorf("want the revision as id, got %q and %q", ev.id, a.Revision)
	}
	return a
}

// told lists changes as path@version=content, path@deleted.
func told(a watchAnswer) []string {
	var all []string
	for _, c := range a.Changes {
		text := fmt.Sprintf("%s@%d", c.Path, c.Version)
		if c.Deleted {
			text = c.Path.String() + "@deleted"
		}
		if c.Text != nil {
			text += "=" + *c.Text
		}
		all = append(all, text)
	}
	return all
}

func (e *events) want(reset bool, want ...string) watchAnswer {
	e.t.Helper()
	a := e.changes()
	if diff := cmp.Diff(want, told(a)); diff != "" || a.Reset != reset {
		e.t.Errorf("reset %v, want %v: %s", a.Reset, reset, diff)
	}
	return a
}

func TestStream(t *testing.T) {
	s := start(t)
	s.publish("acme/shop/prod/a.yaml", "a: 1\n")
	e := s.subscribe(request{path: "/v1/watch?path=acme/shop/prod", auth: s.app})
	if ev, err := e.any(); err != nil || ev.retry == "" {
		t.Errorf("want a retry first, got %+v %v", ev, err)
	}
	e.want(true, "acme/shop/prod/a.yaml@1=a: 1\n")
	e.next("current")
	set := s.publish("acme/shop/prod/a.yaml", "a: 2\n")
	if got := e.want(false, "acme/shop/prod/a.yaml@2=a: 2\n"); got.Revision != set.Revision {
		t.Errorf("want revision %s, got %s", set.Revision, got.Revision)
	}
	s.publish("acme/shop/test/other.yaml", "a: 1\n")
	s.publish("acme/shop/prod/b.yaml", "b: 1\n")
	e.want(false, "acme/shop/prod/b.yaml@1=b: 1\n")
	s.must(s.center.DeleteConfig(s.as("admin"), center.DeleteConfig{Path: config.Path{Tenant: "acme", App: "shop", Env: "prod", Name: "a.yaml"}}))
	e.want(false, "acme/shop/prod/a.yaml@deleted")
}

func TestStreamOfNothing(t *testing.T) {
	s := start(t)
	e := s.subscribe(request{path: "/v1/watch?path=acme/shop/prod", auth: s.app})
	e.want(true)
	e.next("current")
	s.publish("acme/shop/prod/a.yaml", "a: 1\n")
	e.want(false, "acme/shop/prod/a.yaml@1=a: 1\n")
}

func TestStreamWithoutContent(t *testing.T) {
	s := start(t)
	s.publish("acme/shop/prod/a.yaml", "a: 1\n")
	with := s.subscribe(request{path: "/v1/watch?path=acme/shop/prod", auth: s.app})
	with.want(true, "acme/shop/prod/a.yaml@1=a: 1\n")
	without := s.subscribe(request{path: "/v1/watch?path=acme/shop/prod&content=false", auth: s.app})
	a := without.want(true, "acme/shop/prod/a.yaml@1")
	if c := a.Changes[0]; len(c.Digest) != 64 || c.Size != 5 || c.Format != "yaml" || c.Time.IsZero() {
		t.Errorf("got %+v", c)
	}
}

func TestStreamResumes(t *testing.T) {
	s := start(t)
	s.publish("acme/shop/prod/a.yaml", "a: 1\n")
	e := s.subscribe(request{path: "/v1/watch?path=acme/shop/prod", auth: s.app})
	e.want(true, "acme/shop/prod/a.yaml@1=a: 1\n")
	last := e.next("current").id
	e.close()
	e = s.subscribe(request{path: "/v1/watch?path=acme/shop/prod&after=" + last, auth: s.app})
	if got := e.next("current"); got.id != last {
		t.Errorf("want to go on from %s, got %+v", last, got)
	}
	e.close()
	for i := 2; i <= 4; i++ {
		s.publish("acme/shop/prod/a.yaml", fmt.Sprintf("a: %d\n", i))
	}
	// Last-Event-ID is newer than the address that the browser repeats.
	e = s.subscribe(request{path: "/v1/watch?path=acme/shop/prod&after=bad", auth: s.app, header: map[string]string{"Last-Event-ID": last}})
	e.want(false, "acme/shop/prod/a.yaml@4=a: 4\n")
	e.next("current")
	e.close()
	// What is of another installation starts over.
	e = s.subscribe(request{path: "/v1/watch?path=acme/shop/prod&after=5.elsewhere", auth: s.app})
	e.want(true, "acme/shop/prod/a.yaml@4=a: 4\n")
}

// A watcher that is cut off again and again, while publishes go on, sees
// versions only rise and ends with the last state.
func TestStreamCutOffMissesNothing(t *testing.T) {
	s := start(t)
	const cuts, batch, files = 100, 10, 3
	name := func(i int) string { return fmt.Sprintf("acme/shop/prod/f%d.yaml", i%files) }
	seen := map[string]int64{}
	last := ""
	// follow reads events up to current, or as many as asked for.
	follow := func(most int) {
		e := s.subscribe(request{path: "/v1/watch?path=acme/shop/prod", auth: s.app, header: map[string]string{"Last-Event-ID": last}})
		defer e.close()
		for ; most > 0; most-- {
			ev, err := e.any()
			s.must(err)
			if ev.name == "current" {
				return
			}
			if ev.name != "changes" {
				continue
			}
			var a watchAnswer
			s.must(json.Unmarshal([]byte(ev.data), &a))
			for _, c := range a.Changes {
				if c.Version < seen[c.Path.String()] {
					t.Errorf("%s went back from %d to %d", c.Path, seen[c.Path.String()], c.Version)
				}
				seen[c.Path.String()] = c.Version
			}
			last = ev.id
		}
	}
	want := map[string]int64{}
	for cut := range cuts {
		var publishing sync.WaitGroup
		publishing.Go(func() {
			for i := range batch {
				want[name(i)] = s.publish(name(i), fmt.Sprintf("n: %d\n", cut*batch+i)).Items[0].Version
			}
		})
		follow(1 + cut%4)
		publishing.Wait()
	}
	follow(math.MaxInt)
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("want the last state: %s", diff)
	}
}

func TestStreamOfChangeSetIsOneEvent(t *testing.T) {
	s := start(t)
	e := s.subscribe(request{path: "/v1/watch?path=acme/*/prod/*&path=acme/shop/test", auth: s.admin})
	e.want(true)
	e.next("current")
	s.into(http.StatusCreated, s.do(request{method: "POST", path: "/v1/tenants/acme/changesets", json: map[string]any{"items": []any{
		map[string]any{"path": "acme/shop/prod/a.yaml", "content": "a: 1\n"},
		map[string]any{"path": "acme/shop/test/b.yaml", "content": "b: 1\n"},
		map[string]any{"path": "acme/shop/dev/c.yaml", "content": "c: 1\n"},
	}}}), nil)
	e.want(false, "acme/shop/prod/a.yaml@1=a: 1\n", "acme/shop/test/b.yaml@1=b: 1\n")
}

// Contents larger than any buffer arrive whole.
func TestStreamLargeContents(t *testing.T) {
	s := start(t)
	large := "# " + strings.Repeat("é", 150_000) + "\n"
	s.publish("acme/shop/prod/a.yaml", large)
	s.publish("acme/shop/prod/b.yaml", "b: 1\n")
	s.publish("acme/shop/prod/c.yaml", large)
	e := s.subscribe(request{path: "/v1/watch?path=acme/shop/prod", auth: s.app})
	e.want(true, "acme/shop/prod/a.yaml@1="+large, "acme/shop/prod/b.yaml@1=b: 1\n", "acme/shop/prod/c.yaml@1="+large)
}

func TestStreamEndsWithTheServer(t *testing.T) {
	s := start(t)
	e := s.subscribe(request{path: "/v1/watch?path=acme/shop/prod", auth: s.app})
	e.want(true)
	e.next("current")
	s.drain()
	if ev := e.next("bye"); ev.data != `{"reason":"shutdown"}` {
		t.Errorf("got %+v", ev)
	}
	if _, err := e.any(); !errors.Is(err, io.EOF) {
		t.Errorf("want the end, got %v", err)
	}
	p := s.problem(http.StatusServiceUnavailable, "unavailable", s.do(request{path: "/v1/watch?path=acme/shop/prod", auth: s.app}))
	if !strings.Contains(p.Detail, "shutting down") {
		t.Errorf("got %+v", p)
	}
}

func TestStreamEndsWithTheRight(t *testing.T) {
	s := start(t, func(s *Settings) { s.Heartbeat = 20 * time.Millisecond })
	ctx := s.as("admin")
	e := s.subscribe(request{path: "/v1/watch?path=acme/shop/prod", auth: s.app})
	e.want(true)
	e.next("current")
	bindings, err := s.center.Bindings(ctx, center.BindingsRequest{User: "app"})
	s.must(err)
	s.must(s.center.DeleteBinding(ctx, bindings.Items[0].ID))
	var p problemDetails
	s.must(json.Unmarshal([]byte(e.next("error").data), &p))
	if p.Code != "denied" || p.Status != http.StatusForbidden {
		t.Errorf("got %+v", p)
	}
	if _, err := e.any(); !errors.Is(err, io.EOF) {
		t.Errorf("want the end, got %v", err)
	}
}

func TestStreamEndsWithTheToken(t *testing.T) {
	s := start(t, func(s *Settings) { s.Heartbeat = 20 * time.Millisecond })
	e := s.subscribe(request{path: "/v1/watch?path=acme/shop/prod", auth: s.app})
	e.want(true)
	e.next("current")
	for {
		if ev, err := e.any(); err != nil {
			t.Fatal(err)
		} else if ev.comment == "heartbeat" {
			break
		}
	}
	tokens, err := s.center.Tokens(s.as("admin"), "app", center.PageRequest{})
	s.must(err)
	s.must(s.center.RevokeToken(s.as("admin"), tokens.Items[0].ID))
	var p problemDetails
	s.must(json.Unmarshal([]byte(e.next("error").data), &p))
	if p.Code != "unauthenticated" {
		t.Errorf("got %+v", p)
	}
}

func TestWatchersAreBounded(t *testing.T) {
	s := start(t, func(s *Settings) { s.MaxWatchers = 1 })
	e := s.subscribe(request{path: "/v1/watch?path=acme/shop/prod", auth: s.app})
	e.want(true)
	r := s.do(request{path: "/v1/watch?path=acme/shop/prod", auth: s.app})
	p := s.problem(http.StatusServiceUnavailable, "unavailable", r)
	if !strings.Contains(p.Detail, "max_watchers") || r.Header.Get("Retry-After") == "" {
		t.Errorf("got %+v %v", p, r.Header)
	}
	e.close()
	// The place is free once the handler has seen that the client is gone.
	for s.do(request{path: "/v1/watch?path=acme/shop/prod&wait=0s", auth: s.app}).StatusCode != http.StatusOK {
	}
}

func TestWatchRequests(t *testing.T) {
	s := start(t)
	for query, want := range map[string]int{
		"":                                  http.StatusBadRequest,
		"?path=":                            http.StatusBadRequest,
		"?path=*":                           http.StatusBadRequest,
		"?path=acme/shop/prod&wait=x":       http.StatusBadRequest,
		"?path=acme/shop/prod&wait=-1s":     http.StatusBadRequest,
		"?path=acme/shop/prod&content=some": http.StatusBadRequest,
		"?path=acme/shop/prod&after=x":      http.StatusBadRequest,
		"?path=acme/shop/prod&since=x":      http.StatusBadRequest,
		"?path=acme/shop/prod&labels=x":     http.StatusBadRequest,
		"?path=acme/../prod":                http.StatusBadRequest,
		"?path=acme":                        http.StatusForbidden,
		"?path=acme/shop/prod&path=globex":  http.StatusForbidden,
		"?" + strings.Repeat("path=acme/shop/prod&", 101): http.StatusBadRequest,
		"?path=acme/shop/prod/a*":                         http.StatusForbidden,
	} {
		for _, accept := range []string{"text/event-stream", "application/json"} {
			q := s.app
			if strings.HasSuffix(query, "a*") {
				q = s.nobody
			}
			if r := s.do(request{path: "/v1/watch" + query, auth: q, header: map[string]string{"Accept": accept}}); r.StatusCode != want {
				t.Errorf("%s: want %d, got %d %s", query, want, r.StatusCode, r.body)
			}
		}
	}
}

func TestPoll(t *testing.T) {
	s := start(t)
	set := s.publish("acme/shop/prod/a.yaml", "a: 1\n")
	watch := "/v1/watch?path=acme/shop/prod"
	var a watchAnswer
	s.into(http.StatusOK, s.do(request{path: watch, auth: s.app}), &a)
	if diff := cmp.Diff([]string{"acme/shop/prod/a.yaml@1=a: 1\n"}, told(a)); diff != "" || !a.Reset || !a.Current || a.Revision != set.Revision {
		t.Errorf("got %+v %s", a, diff)
	}
	r := s.do(request{path: watch + "&wait=1ms&after=" + string(a.Revision), auth: s.app})
	if r.StatusCode != http.StatusNotModified || r.Header.Get("Setpoint-Revision") == "" {
		t.Errorf("want 304 with a revision, got %d %v", r.StatusCode, r.Header)
	}
	type result struct {
		r   *http.Response
		err error
	}
	answered := make(chan result)
	go func() {
		r, err := s.http.Do(s.request(request{path: watch + "&wait=10m&after=" + string(a.Revision), auth: s.app}))
		answered <- result{r, err}
	}()
	set = s.publish("acme/shop/prod/a.yaml", "a: 2\n")
	got := <-answered
	s.must(got.err)
	defer got.r.Body.Close()
	s.must(json.NewDecoder(got.r.Body).Decode(&a))
	if diff := cmp.Diff([]string{"acme/shop/prod/a.yaml@2=a: 2\n"}, told(a)); diff != "" || a.Reset || a.Revision != set.Revision {
		t.Errorf("got %+v %s", a, diff)
	}
	if r := s.do(request{method: http.MethodHead, path: watch, auth: s.app}); r.StatusCode != http.StatusOK {
		t.Errorf("HEAD: got %d", r.StatusCode)
	}
}

func TestPollEndsWithTheServer(t *testing.T) {
	s := start(t)
	var a watchAnswer
	s.into(http.StatusOK, s.do(request{path: "/v1/watch?path=acme/shop/prod", auth: s.app}), &a)
	status := make(chan int)
	go func() {
		r, err := s.http.Do(s.request(request{path: "/v1/watch?path=acme/shop/prod&wait=10m&after=" + string(a.Revision), auth: s.app}))
		if err != nil {
			status <- 0
			return
		}
		r.Body.Close()
		status <- r.StatusCode
	}()
	s.api.waitForWatchers(t, 1)
	s.drain()
	if got := <-status; got != http.StatusNotModified {
		t.Errorf("want 304, got %d", got)
	}
}

// waitForWatchers waits until so many watches are open.
func (a *api) waitForWatchers(t testing.TB, want int) {
	t.Helper()
	for {
		a.gate.Lock()
		open := a.watching
		a.gate.Unlock()
		if open == want {
			return
		}
		select {
		case <-t.Context().Done():
			t.Fatal("no such number of watches came to be")
		case <-time.After(time.Millisecond):
		}
	}
}
