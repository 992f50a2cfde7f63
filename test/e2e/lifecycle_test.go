package e2e

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/client"
)

// watchReadiness follows a server that is starting. Before it says that it is
// ready it may refuse, but never deny what it has; from then on it has it.
func (s *server) watchReadiness(want client.Release) {
	s.t.Helper()
	plain := s.http()
	early := 0
	s.until("ready", func() bool {
		read, err := s.try(plain, http.MethodGet, "/v1/configs/"+want.Path.String(), nil, "Authorization", bearer(s.token))
		switch {
		case err != nil:
		case read.StatusCode == http.StatusServiceUnavailable:
			early++
			wantProblem(s.t, http.StatusServiceUnavailable, "unavailable", read)
		case read.StatusCode != http.StatusOK || string(read.body) != string(want.Content):
			s.t.Errorf("want a starting server to say nothing or the truth, got %s: %.200s", read.Status, read.body)
		}
		ready, err := s.try(plain, http.MethodGet, "/readyz", nil)
		return err == nil && ready.StatusCode == http.StatusOK
	})
	// Not by the SDK, which tries again.
	got := s.call(plain, http.MethodGet, "/v1/configs/"+want.Path.String(), nil, "Authorization", bearer(s.token))
	if got.StatusCode != http.StatusOK || string(got.body) != string(want.Content) {
		s.t.Errorf("the server said that it was ready, but answers %s: %.200s", got.Status, got.body)
	}
	s.t.Logf("%d answers before it was ready", early)
}

// TestShutdownIsGraceful ends a server that has work: watchers are told, what is
// under way is finished, and nothing that it answered is lost.
func TestShutdownIsGraceful(t *testing.T) {
	s := start(t)
	root := s.root()
	build(t, root, "acme/shop/prod")
	at := path(t, "acme/shop/prod/app.yaml")
	publish(t, root, at.String(), "a: 1\n")
	auth := "Authorization: " + bearer(s.token)

	watcher := s.open(t, request("GET", "/v1/watch?path="+watchedEnv, "", auth, "Accept: text/event-stream"))
	stream, err := http.ReadResponse(bufio.NewReader(watcher), nil)
	if err != nil || stream.StatusCode != http.StatusOK {
		t.Fatalf("watch: %v, %v", stream, err)
	}
	current := make(chan struct{})
	events := make(chan []string, 1)
	go func() {
		var seen []string
		_ = readEvents(stream.Body, func(e sse) error {
			if seen = append(seen, e.event); e.event == "current" {
				close(current)
			}
			return nil
		})
		events <- seen
	}()
	<-current
	poller := s.open(t, request("GET", "/v1/watch?wait=5m&path="+watchedEnv+"&after="+string(publish(t, root, at.String(), "a: 2\n").Revision), "", auth))
	const body = `{"content":"a: 3\n"}`
	writer := s.open(t, request("PUT", draft, "", auth, "Content-Type: application/json", "Content-Length: 20", "Expect: 100-continue"))
	answers := bufio.NewReader(writer)
	if line, err := answers.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("want the server to be at the request, got %q, %v", line, err)
	}
	_, _ = answers.ReadString('\n')
	s.until("the poll", func() bool { return s.metric(`setpoint_streams{`) == 2 })

	if err := s.process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case seen := <-events:
		if len(seen) == 0 || seen[len(seen)-1] != "bye" {
			t.Errorf("want the watcher told at the end, got %v", seen)
		}
	case <-time.After(patience):
		t.Fatal("the watcher's stream does not end")
	}
	wantStatus(t, "the poll", http.StatusNotModified, bufio.NewReader(poller))
	if _, err := io.WriteString(writer, body); err != nil {
		t.Error(err)
	}
	wantStatus(t, "the write", http.StatusOK, answers)
	if err := s.process.Wait(patience); err != nil {
		t.Errorf("want exit code 0, got %v", err)
	}
	if c, err := net.Dial("tcp", s.addr); err == nil {
		c.Close()
		t.Error("want nobody to listen any more")
	}
	s.restart()
	if d, err := root.Draft(t.Context(), at); err != nil || string(d.Content) != "a: 3\n" {
		t.Errorf("want what was answered to be there, got %q, %v", d.Content, err)
	}
	if got, err := root.Get(t.Context(), at, client.ReadOptions{}); err != nil || got.Version != 2 {
		t.Errorf("want version 2, got %d, %v", got.Version, err)
	}
}

// open sends a request, or the beginning of one, on a connection that stays.
func (s *server) open(t testing.TB, raw string) net.Conn {
	t.Helper()
	c, err := s.dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, raw); err != nil {
		t.Fatal(err)
	}
	return c
}

func wantStatus(t testing.TB, what string, want int, from *bufio.Reader) {
	t.Helper()
	resp, err := http.ReadResponse(from, nil)
	if err != nil {
		t.Errorf("%s got no answer: %v", what, err)
		return
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != want {
		t.Errorf("%s: want %d, got %s %s, %v", what, want, resp.Status, body, err)
	}
}

// TestSecondServerIsRefused starts servers on what another one has, and wants
// them to say so and go, and the other to go on.
func TestSecondServerIsRefused(t *testing.T) {
	s := start(t)
	for name, test := range map[string]struct {
		setting string
		want    []string
	}{
		"data directory": {"DATA_DIR=" + s.dir, []string{s.dir, "another process uses it"}},
		"address":        {"HTTP_ADDR=" + s.addr, []string{s.addr, "in use", "http.addr"}},
		"admin address":  {"ADMIN_ADDR=" + s.admin, []string{s.admin, "in use", "admin.addr"}},
	} {
		t.Run(name, func(t *testing.T) {
			second := prepare(t, test.setting)
			second.launch()
			if err := second.process.Wait(patience); err == nil {
				t.Error("want an exit code that tells of a failure")
			}
			said := second.process.Log() + second.process.Out()
			for _, words := range test.want {
				if !strings.Contains(said, words) {
					t.Errorf("want to be told %q, got:\n%s", words, said)
				}
			}
			if strings.Contains(said, "goroutine ") || strings.Contains(said, "shown this once") {
				t.Errorf("want a clear error alone, got:\n%s", said)
			}
		})
	}
	if a := s.call(s.http(), "GET", "/readyz", nil); a.StatusCode != http.StatusOK {
		t.Errorf("want the first server as it was, got %s", a.Status)
	}
}
