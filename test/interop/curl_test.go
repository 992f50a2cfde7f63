package interop

import (
	"bufio"
	"net/url"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestCurl does with curl alone what a shell script would: log in, release, read,
// and watch by long poll and by Server-Sent Events.
func TestCurl(t *testing.T) {
	c := &shell{node: newNode(t, "rest")}
	session := c.json("POST", "/v1/auth/login", `{"username": "admin", "password": "`+c.password.Reveal()+`"}`)
	c.bearer, _ = at(t, session, "token").(string)

	release := "/v1/tenants/acme/apps/shop/envs/prod/configs/limits.json/releases"
	published := c.json("POST", release, `{"content": "{\"n\": 2}", "comment": "by hand"}`)
	if got := at(t, published, "items.0.version"); got != 2.0 {
		t.Errorf("want version 2 published, got %s", published)
	}
	head, body := c.get("/v1/configs/" + limits)
	if body != `{"n": 2}` {
		t.Errorf("want what was published, got %s", body)
	}
	etag := field(head, "etag")
	if head, _ = c.get("/v1/configs/"+limits, "-H", "If-None-Match: "+etag); !strings.HasPrefix(head, "HTTP/2 304") {
		t.Errorf("want 304 for what is current, got\n%s", head)
	}
	if head, body = c.get("/v1/configs/"+shop+"/none.json", "--http1.1"); !strings.HasPrefix(head, "HTTP/1.1 404") || at(t, body, "code") != "not_found" {
		t.Errorf("want a problem, got\n%s%s", head, body)
	}
	after := c.polls()
	c.streams(after)
}

// shell runs curl.
type shell struct {
	*node
	bearer string
}

// curl are the arguments that every request needs.
func (c *shell) curl(path string, more ...string) []string {
	args := []string{"--silent", "--show-error", "--cacert", c.ca, "-H", "Authorization: Bearer " + c.bearer}
	if c.bearer == "" {
		args = args[:len(args)-2]
	}
	return append(append(args, more...), c.url()+path)
}

// get returns the head and the body of the answer.
func (c *shell) get(path string, more ...string) (head, body string) {
	c.Helper()
	text := c.output(c.command("curl", c.curl(path, append(more, "--include")...)...))
	head, body, _ = strings.Cut(text, "\r\n\r\n")
	return head + "\r\n", body
}

// json sends JSON, and returns the body of an answer that is a success.
func (c *shell) json(method, path, body string) string {
	c.Helper()
	return c.output(c.command("curl", c.curl(path, "--fail-with-body", "-X", method, "-H", "Content-Type: application/json", "-d", body)...))
}

// polls watches by long poll, and returns where it got to.
func (c *shell) polls() string {
	c.Helper()
	watch := "/v1/watch?path=" + limits
	_, first := c.get(watch)
	if got := at(c, first, "changes.0.content"); got != `{"n": 2}` || at(c, first, "reset") != true {
		c.Errorf("want a snapshot, got %s", first)
	}
	after, _ := at(c, first, "revision").(string)
	if head, _ := c.get(watch + "&wait=10ms&after=" + url.QueryEscape(after)); !strings.HasPrefix(head, "HTTP/2 304") {
		c.Errorf("want 304 when nothing has changed, got\n%s", head)
	}
	c.publish(`{"n": 3}`)
	_, next := c.get(watch + "&after=" + url.QueryEscape(after))
	if got := at(c, next, "changes.0.content"); got != `{"n": 3}` || at(c, next, "reset") != false {
		c.Errorf("want what changed, got %s", next)
	}
	after, _ = at(c, next, "revision").(string)
	return after
}

// streams watches by Server-Sent Events, from where polls got to: over one
// connection, and, once that is cut, over another.
func (c *shell) streams(after string) {
	c.Helper()
	for _, content := range []string{`{"n": 4}`, `{"n": 5}`} {
		c.publish(content) // nobody watches just now
		cmd := c.command("curl", c.curl("/v1/watch?path="+limits, "--no-buffer", "-H", "Accept: text/event-stream", "-H", "Last-Event-ID: "+after)...)
		out, err := cmd.StdoutPipe()
		c.must(err)
		c.must(cmd.Start())
		events := &stream{shell: c, lines: bufio.NewScanner(out)}
		missed := events.next("changes")
		if got := at(c, missed.data, "changes.0.content"); got != content || at(c, missed.data, "reset") != false {
			c.Errorf("want what was missed, got %s", missed.data)
		}
		events.next("current")
		c.publish(content + "\n")
		live := events.next("changes")
		if diff := cmp.Diff(content+"\n", at(c, live.data, "changes.0.content")); diff != "" {
			c.Errorf("what is delivered (-want +got):\n%s", diff)
		}
		after = live.id
		c.must(cmd.Process.Signal(syscall.SIGTERM))
		_ = cmd.Wait() // it was ended, and says so
	}
}

// event is a Server-Sent Event.
type event struct{ name, id, data string }

// stream reads what curl prints of a stream of them.
type stream struct {
	*shell
	lines *bufio.Scanner
}

// next returns the next event, which must have the name.
func (s *stream) next(name string) (e event) {
	s.Helper()
	for s.lines.Scan() {
		key, value, _ := strings.Cut(s.lines.Text(), ": ")
		switch {
		case key == "event":
			e.name = value
		case key == "id":
			e.id = value
		case key == "data":
			e.data = value
		case s.lines.Text() == "" && e.data != "":
			if e.name != name {
				s.Fatalf("want an event %s, got %+v", name, e)
			}
			return e
		}
	}
	s.Fatalf("the stream ended before an event %s: %v", name, s.lines.Err())
	return e
}

// field is the value of a header field.
func field(head, name string) string {
	for line := range strings.Lines(head) {
		if key, value, _ := strings.Cut(strings.TrimSpace(line), ": "); strings.EqualFold(key, name) {
			return value
		}
	}
	return ""
}
