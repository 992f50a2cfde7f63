package interop

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/test/program"
)

// site is a web site with pages that speak to a node, over TLS. It hands requests
// below /v1 through to the node, as whoever serves pages and API at one origin
// does, and names itself to the node where a page could not.
type site struct {
	*node
	server  *httptest.Server
	through *httputil.ReverseProxy
	told    map[string]string // what the pages are told
	browser *program.Process
	said    chan saying
	answer  chan<- struct{} // when closed, the page that said something goes on

	// streams are those that a page has asked for, and that wait to be let through.
	streams chan *handed
}

// saying is what a page says. It waits until answered is closed.
type saying struct {
	text     string
	answered chan<- struct{}
}

// handed is a request that is handed through to the node.
type handed struct {
	after  string        // its Last-Event-ID
	let    chan struct{} // to be closed when it may go through
	cancel context.CancelFunc
	ended  chan struct{}
}

// cut ends it as a network would. Nothing comes through any more when it returns.
func (h *handed) cut() {
	h.cancel()
	<-h.ended
}

// newSite makes a site at an address of its own. It serves once it has its node.
func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{said: make(chan saying), streams: make(chan *handed)}
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServer(http.Dir("pages")))
	mux.HandleFunc("GET /told", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(s.told) })
	mux.HandleFunc("POST /tell", s.listen)
	mux.HandleFunc("GET /v1/", s.hand)
	s.server = httptest.NewUnstartedServer(mux)
	s.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0) // a browser opens connections that it does not use
	t.Cleanup(s.server.Close)
	return s
}

// origin is what a browser calls the site.
func (s *site) origin() string { return "https://" + s.server.Listener.Addr().String() }

// of gives the site its node, and has it serve.
func (s *site) of(n *node) {
	n.Helper()
	trust, err := client.TLS{CAFile: n.ca}.Config()
	n.must(err)
	transport := &http.Transport{TLSClientConfig: trust, ForceAttemptHTTP2: true}
	n.Cleanup(transport.CloseIdleConnections)
	target, err := url.Parse(n.url())
	n.must(err)
	s.node = n
	s.told = map[string]string{"url": "wss://" + n.addr + "/v1/ws?instance=page", "env": shop, "limits": limits, "token": n.token.Reveal()}
	s.through = &httputil.ReverseProxy{Transport: transport, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0), Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		if r.Out.Header.Get("Authorization") == "" {
			r.Out.Header.Set("Authorization", "Bearer "+n.token.Reveal())
		}
	}}
	s.server.StartTLS()
}

// hand hands a stream through once the test lets it, until it cuts it.
func (s *site) hand(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	h := &handed{after: r.Header.Get("Last-Event-ID"), let: make(chan struct{}), cancel: cancel, ended: make(chan struct{})}
	defer close(h.ended)
	select {
	case s.streams <- h:
	case <-ctx.Done():
		return
	}
	select {
	case <-h.let:
		s.through.ServeHTTP(w, r.WithContext(ctx))
	case <-ctx.Done():
	}
}

// stream waits until a page asks for a stream, and returns it, not let yet.
func (s *site) stream() *handed {
	s.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case h := <-s.streams:
		return h
	case said := <-s.said:
		s.Fatalf("want the page to ask for a stream, but it says %s", said.text)
	case <-s.browser.Ended():
		s.Fatal("the browser ended before its page asked for a stream")
	case <-limit.C:
		s.Fatal("the page never asked for a stream")
	}
	return nil
}

// listen takes what a page says, and answers when the test wants it to go on.
func (s *site) listen(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	answered := make(chan struct{})
	select {
	case s.said <- saying{string(text), answered}:
	case <-r.Context().Done():
		return
	}
	select {
	case <-answered:
	case <-r.Context().Done():
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// proceed has the page go on that said something.
func (s *site) proceed() {
	if s.answer != nil {
		close(s.answer)
		s.answer = nil
	}
}

// next has the page go on, and returns what it says next, which must be the one
// that is named.
func (s *site) next(what string) string {
	s.Helper()
	s.proceed()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case said := <-s.said:
		s.answer = said.answered
		if got := at(s, said.text, "what"); got != what {
			s.Fatalf("want the page to say %s, got %s", what, said.text)
		}
		return said.text
	case <-s.browser.Ended():
		s.Fatalf("the browser ended before its page said %s", what)
	case <-limit.C:
		s.Fatalf("the page never said %s", what)
	}
	return ""
}
