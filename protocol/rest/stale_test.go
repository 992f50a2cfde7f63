package rest

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
)

// severed is a store that can be cut off.
type severed struct {
	store.Store
	mu  sync.Mutex
	cut bool
}

func (s *severed) set(cut bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut = cut
}

func (s *severed) Range(ctx context.Context, q store.Query) (store.Page, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cut {
		return store.Page{}, config.Errorf(config.Unavailable, "range", "", "no leader")
	}
	return s.Store.Range(ctx, q)
}

// isolate runs fn in a bubble of time, with a node that no listener leads to and
// whose store can be cut off.
func isolate(t *testing.T, limit time.Duration, fn func(t *testing.T, s *server, cut *severed, handler http.Handler)) {
	synctest.Test(t, func(t *testing.T) {
		cut := &severed{}
		s, handler := deaf(t, func(o *center.Options) {
			cut.Store, o.Store, o.Limits.MaxStaleness = o.Store, cut, limit
		})
		s.publish("acme/shop/prod/app.yaml", "a: 1\n")
		fn(t, s, cut, handler)
	})
}

// pass lets time go by in the bubble, and everything that is then due be done.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

const readFile = "/v1/configs/acme/shop/prod/app.yaml"

func TestAnswersOfANodeThatIsCutOffSayHowOldTheyMayBe(t *testing.T) {
	isolate(t, time.Minute, func(t *testing.T, s *server, cut *severed, handler http.Handler) {
		ask := func(path string) *httptest.ResponseRecorder {
			w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil)
			r.Header.Set("Authorization", s.admin)
			handler.ServeHTTP(w, r)
			return w
		}
		want := func(when, path string, status int, stale ...string) {
			t.Helper()
			w := ask(path)
			if got := w.Header().Values(staleHeader); w.Code != status || strings.Join(got, ",") != strings.Join(stale, ",") {
				t.Errorf("%s, %s: want %d and %q, got %d and %q: %s", when, path, status, stale, w.Code, got, w.Body)
			}
		}
		reads := []string{readFile, "/v1/configs/acme/shop/prod", "/v1/watch?path=acme/shop/prod", "/v1/tenants", "/v1/version"}
		for _, path := range reads {
			want("in touch", path, http.StatusOK)
		}
		cut.set(true)
		pass(12500 * time.Millisecond)
		for _, path := range reads {
			want("cut off", path, http.StatusOK, "12")
		}
		want("cut off", readFile+"?consistency=strong", http.StatusServiceUnavailable, "12")
		// A poll tells how old its answer is, and not how old it would have been.
		revision := ask(readFile).Header().Get("Setpoint-Revision")
		want("cut off", "/v1/watch?wait=10s&path=acme/shop/prod&after="+revision, http.StatusNotModified, "22")
		pass(time.Minute)
		for _, path := range reads[:4] {
			want("cut off for too long", path, http.StatusServiceUnavailable, "82")
		}
		want("cut off for too long", "/v1/cluster", http.StatusOK, "82")
		cut.set(false)
		want("asked for", readFile+"?consistency=strong", http.StatusServiceUnavailable, "82")
		pass(time.Second)
		for _, path := range append(reads, readFile+"?consistency=strong") {
			want("in touch again", path, http.StatusOK)
		}
	})
}

// A strong read finds out by itself that the node is in touch again.
func TestStrongAnswersAreNotStale(t *testing.T) {
	isolate(t, 0, func(t *testing.T, s *server, cut *severed, handler http.Handler) {
		for _, path := range []string{readFile, "/v1/configs/acme/shop/prod"} {
			cut.set(true)
			pass(10500 * time.Millisecond)
			cut.set(false)
			w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path+"?consistency=strong", nil)
			r.Header.Set("Authorization", s.admin)
			handler.ServeHTTP(w, r)
			if got := w.Header().Values(staleHeader); w.Code != http.StatusOK || got != nil {
				t.Errorf("%s: want it not stale, got %d %q", path, w.Code, got)
			}
		}
	})
}

func TestStreamsAreToldWhenTheirNodeIsCutOff(t *testing.T) {
	isolate(t, time.Minute, func(t *testing.T, s *server, cut *severed, handler http.Handler) {
		open := func() *events {
			ctx, cancel := context.WithCancel(t.Context())
			body, w := io.Pipe()
			r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/watch?path=acme/shop/prod", nil)
			r.Header.Set("Authorization", s.admin)
			r.Header.Set("Accept", "text/event-stream")
			go func() {
				handler.ServeHTTP(&piped{header: http.Header{}, w: w}, r)
				w.Close()
			}()
			t.Cleanup(func() { cancel(); body.Close() })
			return &events{t: t, body: body, lines: bufio.NewReader(body), cancel: cancel}
		}
		seconds := func(e *events, want string) {
			t.Helper()
			if ev := e.next("stale"); ev.data != `{"seconds":`+want+`}` || ev.id != "" {
				t.Errorf("want %s seconds and no id, got %+v", want, ev)
			}
		}
		early := open()
		early.want(true, "acme/shop/prod/app.yaml@1=a: 1\n")
		early.next("current")
		pass(500 * time.Millisecond) // between two probes
		cut.set(true)
		seconds(early, "3")
		late := open()
		seconds(late, "3")
		late.want(true, "acme/shop/prod/app.yaml@1=a: 1\n")
		late.next("current")
		pass(10 * time.Second)
		cut.set(false)
		seconds(early, "0")
		seconds(late, "0")
		// Beyond the limit it is over: another node may do better.
		late.close()
		cut.set(true)
		seconds(early, "3")
		if ev := early.next("error"); !strings.Contains(ev.data, `"code":"unavailable"`) {
			t.Errorf("want the stream refused, got %+v", ev)
		}
		if _, err := early.any(); !errors.Is(err, io.EOF) {
			t.Errorf("want the end, got %v", err)
		}
	})
}

// piped is a client that takes in what a stream sends, without a connection.
type piped struct {
	header http.Header
	w      io.Writer
}

func (p *piped) Header() http.Header         { return p.header }
func (p *piped) WriteHeader(int)             {}
func (p *piped) Write(b []byte) (int, error) { return p.w.Write(b) }
func (p *piped) Flush()                      {}
