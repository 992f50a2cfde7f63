// Package clienttest is a Setpoint server for the tests of programs that use
// package client: the data plane alone, in memory, behind real TLS. A test puts
// configs in, takes the server down and up again, and sees what the program
// reported.
//
// It serves what a real server serves, which a test of its own holds it to, but
// checks nothing: it takes content that no real server would release, so that a
// test can see what the program does with it.
package clienttest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

// Server is a server that is running. Its methods are safe for concurrent use.
type Server struct {
	t    testing.TB
	http *httptest.Server
	gate *gate
	id   string        // of the installation, in tokens
	done chan struct{} // closed at the end

	mu      sync.Mutex
	tokens  []string // that are good
	history history
	reports []Report
	refusal config.ErrorKind // with which requests are answered, if refusing
	refuses bool
	changed chan struct{} // closed, and replaced, by each change of the above
}

// Report is what an instance said of a version that it was served.
type Report struct {
	Instance string            `json:"-"`
	Labels   map[string]string `json:"-"`
	Path     string            `json:"path"`
	Version  int64             `json:"version"`
	State    config.AckState   `json:"state"`
	Why      string            `json:"why"`
}

// NewServer starts a server, which runs until the test ends.
func NewServer(t testing.TB) *Server {
	t.Helper()
	s := &Server{
		t: t, id: rand.Text()[:8], tokens: []string{"sp_" + rand.Text()},
		done: make(chan struct{}), changed: make(chan struct{}),
	}
	s.http = httptest.NewUnstartedServer(s.handler())
	s.gate = &gate{Listener: s.http.Listener}
	s.http.Listener = s.gate
	s.http.EnableHTTP2 = true
	s.http.Config.ErrorLog = nil
	s.http.StartTLS()
	t.Cleanup(func() {
		close(s.done)
		s.http.CloseClientConnections()
		s.http.Close()
	})
	return s
}

// Options returns how to reach the server, with all rights.
func (s *Server) Options() client.Options {
	s.mu.Lock()
	defer s.mu.Unlock()
	return client.Options{
		Endpoints: []string{s.http.URL},
		Token:     config.NewSecret(s.tokens[0]),
		TLS:       client.TLS{Fingerprint: client.Fingerprint(s.http.Certificate())},
	}
}

// Client returns a client of the server until the test ends. Where o says
// nothing about how to reach it and as whom, it is as Options says.
func (s *Server) Client(t testing.TB, o client.Options) *client.Client {
	t.Helper()
	reach := s.Options()
	if len(o.Endpoints) == 0 {
		o.Endpoints = reach.Endpoints
	}
	if o.Token.Empty() && o.Username == "" {
		o.Token = reach.Token
	}
	if o.TLS == (client.TLS{}) {
		o.TLS = reach.TLS
	}
	c, err := client.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// Admit has the server take another token besides its own: that of another
// server, say, for a client that knows both as one.
func (s *Server) Admit(token config.Secret) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens = append(s.tokens, token.Reveal())
}

// Put releases a content for everybody, and returns its version. The format goes
// by the end of the path: .json, .yaml, .yml, .toml, and text for all others.
func (s *Server) Put(path, content string) int64 {
	s.t.Helper()
	return s.PutAll(map[string]string{path: content})[path]
}

// PutAll releases contents, by path, as one change set: they change at once. It
// returns their versions.
func (s *Server) PutAll(contents map[string]string) map[string]int64 {
	s.t.Helper()
	versions := map[string]int64{}
	s.change(func(h *history) {
		for path, content := range contents {
			versions[path] = h.put(s.path(path), []byte(content), nil)
		}
	})
	return versions
}

// For releases a content for some instances only, by their ids: everybody else
// keeps what is there. It lasts until the next Put or Delete of the path.
func (s *Server) For(path, content string, instances ...string) int64 {
	s.t.Helper()
	var version int64
	s.change(func(h *history) { version = h.put(s.path(path), []byte(content), instances) })
	return version
}

// Delete has nothing served at a path any more.
func (s *Server) Delete(path string) {
	s.t.Helper()
	s.change(func(h *history) { h.remove(s.path(path)) })
}

func (s *Server) path(text string) config.Path {
	s.t.Helper()
	p, err := config.ParsePath(text)
	if err == nil {
		err = p.Require(config.LevelConfig)
	}
	if err != nil {
		s.t.Fatalf("clienttest: %v", err)
	}
	return p
}

// change makes one revision.
func (s *Server) change(edit func(*history)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.history.revision++
	edit(&s.history)
	s.tell()
}

// tell wakes whoever waits. The caller holds mu.
func (s *Server) tell() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Stop takes the server down: connections break, new ones too, until Start.
func (s *Server) Stop() {
	s.gate.shut.Store(true)
	s.http.CloseClientConnections()
}

// Start takes the server up again, at the same address and with all it had.
func (s *Server) Start() {
	s.gate.shut.Store(false)
}

// Refuse has every request answered with an error of a kind, Denied for
// instance, and breaks what is connected, until Accept.
func (s *Server) Refuse(kind config.ErrorKind) {
	s.mu.Lock()
	s.refuses, s.refusal = true, kind
	s.mu.Unlock()
	s.http.CloseClientConnections()
}

// Accept ends what Refuse began.
func (s *Server) Accept() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuses = false
}

// Reports returns what instances reported, in the order that it came.
func (s *Server) Reports() []Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.reports)
}

// WaitReport returns the first report, of those that came and come, of which ok
// is true. The error is that of ctx, and says what came.
func (s *Server) WaitReport(ctx context.Context, ok func(Report) bool) (Report, error) {
	for seen := 0; ; {
		s.mu.Lock()
		reports, changed := s.reports, s.changed
		s.mu.Unlock()
		for ; seen < len(reports); seen++ {
			if ok(reports[seen]) {
				return reports[seen], nil
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Report{}, fmt.Errorf("no such report: %w; there were %+v", context.Cause(ctx), reports)
		}
	}
}

// gate is a listener whose connections break at once while it is shut. It keeps
// its port meanwhile, which nobody else can take then.
type gate struct {
	net.Listener
	shut atomic.Bool
}

// Accept implements net.Listener.
func (g *gate) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil || !g.shut.Load() {
			return c, err
		}
		_ = c.Close()
	}
}

// check breaks a request that came in while the gate was being shut.
func (g *gate) check() {
	if g.shut.Load() {
		panic(http.ErrAbortHandler)
	}
}

var _ net.Listener = (*gate)(nil)
