// Package harness runs a whole node in the process of a test or benchmark: the
// standard drivers, real TLS, by default the embedded engine, on ports of its
// own and in a folder of its own.
package harness

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/server"
	"github.com/setpointhq/setpoint/standard"
)

// Options say how the node differs from the usual one.
type Options struct {
	// Store is the driver: "etcd", which is embedded, or "memory". Empty is etcd.
	Store string
	// DataDir is kept; empty is a folder that goes away with the server.
	DataDir string
	// Durable has the engine flush to disk, as it does outside of tests.
	Durable bool
	// Settings go over all others, by key: "limits.config_size".
	Settings map[string]string
	// AdminPassword is what the folder's admin already has, after a restart.
	AdminPassword config.Secret
	// Log takes the node's log; nil discards it.
	Log io.Writer
	// Drivers are those of the build; nil means the standard ones.
	Drivers *server.Drivers
}

// Server is a node that is running.
type Server struct {
	server.Started
	// AdminPassword is that of the user admin.
	AdminPassword config.Secret
	// DataDir is the node's folder.
	DataDir string

	options Options
	cancel  context.CancelFunc
	done    chan struct{}
	err     error // what Run returned, once done is closed
	remove  func() error
	stop    func() error
}

// Start runs a node until the test ends.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	var log bytes.Buffer
	shown := &guarded{w: &log}
	if o.Log == nil {
		o.Log = shown
	}
	s, err := Run(o)
	if err != nil {
		t.Fatalf("start a node: %v\n%s", err, shown.text(&log))
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("stop the node: %v", err)
		}
		if t.Failed() {
			t.Logf("the node's log:\n%s", shown.text(&log))
		}
	})
	return s
}

// Run runs a node until Stop is called. It returns when the node is ready.
func Run(o Options) (*Server, error) {
	s := &Server{options: o, DataDir: o.DataDir, AdminPassword: o.AdminPassword, done: make(chan struct{})}
	s.remove = func() error { return nil }
	if s.DataDir == "" {
		dir, err := os.MkdirTemp("", "setpoint-test-")
		if err != nil {
			return nil, err
		}
		s.DataDir, s.remove = dir, func() error { return os.RemoveAll(dir) }
	}
	settings, err := s.settings()
	if err != nil {
		return nil, errors.Join(err, s.remove())
	}
	log := slog.New(slog.DiscardHandler)
	if o.Log != nil {
		log = server.NewLog(o.Log, settings.Log)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel, s.stop = cancel, sync.OnceValue(s.end)
	ready := make(chan server.Started, 1)
	go func() {
		defer close(s.done)
		s.err = server.Run(ctx, settings, server.Options{
			Version: "test", Log: log,
			AdminPassword: func(p config.Secret) error { s.AdminPassword = p; return nil },
			Ready:         func(n server.Started) { ready <- n },
		})
	}()
	select {
	case s.Started = <-ready:
		return s, nil
	case <-s.done:
		return nil, s.Stop()
	}
}

// settings are those of a node that is quick and meets no other.
func (s *Server) settings() (*server.Settings, error) {
	o := s.options
	from := server.Sources{}
	set := func(key, value string) {
		from.Flags = append(from.Flags, server.Flag{Name: "harness", Key: key, Value: value})
	}
	set("data_dir", s.DataDir)
	set("http.addr", "127.0.0.1:0")
	set("admin.addr", "127.0.0.1:0")
	set("log.level", "debug")
	// The cheapest hash that is allowed: tests log in often.
	set("auth.basic.memory", "7MiB")
	set("auth.basic.time", "5")
	switch {
	case o.Store == "memory":
		set("store", "memory")
	case !o.Durable:
		set("store.etcd.unsafe_no_fsync", "true")
	}
	for _, key := range slices.Sorted(maps.Keys(o.Settings)) { // a choice of drivers before their settings
		value := o.Settings[key]
		from.Flags = slices.DeleteFunc(from.Flags, func(f server.Flag) bool { return f.Key == key })
		set(key, value)
	}
	if o.Drivers == nil {
		o.Drivers = standard.Drivers()
	}
	return server.LoadSettings(o.Drivers, from)
}

// Stop ends the node in order, waits for it and returns what it ended with. It
// may be called more than once.
func (s *Server) Stop() error { return s.stop() }

func (s *Server) end() error {
	s.cancel()
	<-s.done
	return errors.Join(s.err, s.remove())
}

// BeginStop asks the node to end and does not wait.
func (s *Server) BeginStop() { s.cancel() }

// Done is closed once the node has ended.
func (s *Server) Done() <-chan struct{} { return s.done }

// Options returns how to reach the node as its admin.
func (s *Server) Options() client.Options {
	return client.Options{
		Endpoints: []string{s.URL}, TLS: client.TLS{Fingerprint: s.Fingerprint},
		Username: center.AdminUser, Password: s.AdminPassword,
	}
}

// Client returns a client that is logged in as admin until the test ends.
func (s *Server) Client(t testing.TB) *client.Client {
	t.Helper()
	c, err := client.New(s.Options())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	session, err := c.Login(context.Background(), center.AdminUser, s.AdminPassword, 0)
	if err != nil {
		t.Fatalf("log in: %v", err)
	}
	o := s.Options()
	o.Username, o.Password, o.Token = "", config.Secret{}, session.Token
	known, err := client.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(known.Close)
	return known
}

// HTTP returns a plain HTTP client that trusts the node.
func (s *Server) HTTP(t testing.TB) *http.Client {
	t.Helper()
	transport, err := trusting(s.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}
