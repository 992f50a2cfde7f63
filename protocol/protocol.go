// Package protocol defines what speaks to clients: REST, gRPC, WebSocket and
// the others are drivers below it. A protocol decodes, proves who is calling,
// calls package center and encodes the answer; it decides nothing itself and
// never reaches around center to the store.
package protocol

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
)

// Driver is a protocol driver's settings struct, which is its constructor too.
type Driver interface {
	// Defaults fills every field; what the settings file says is decoded over it.
	Defaults()
	// Validate reports what is wrong with the settings before anything is opened.
	Validate() error
	// Open makes the protocol ready to serve and, if it is borne by HTTP,
	// registers its routes with the host. ctx bounds the opening only.
	Open(ctx context.Context, host Host) (Protocol, error)
}

// Protocol is an open protocol. HTTP-borne ones are called through the routes
// that they registered; the others run listeners of their own.
type Protocol interface {
	// Name is the driver's name, "rest".
	Name() string
	// Close ends what is still under way and waits for it, at most until ctx
	// ends, whose error it then returns. Host.Draining is closed before it.
	Close(ctx context.Context) error
}

// Host is what the server lends to a protocol.
type Host struct {
	// Center does the work.
	Center *center.Center
	// Auth proves identities: all authentication drivers in order.
	Auth auth.Chain
	// Log is the protocol's own logger.
	Log *slog.Logger
	// Observer takes measurements.
	Observer Observer
	// MediaType returns the Content-Type of a format, "" for one unknown.
	MediaType func(format string) string
	// Version is the build's version, for answers to people.
	Version string
	// Draining is closed when the server begins to shut down: streams should
	// say good-bye and end, new ones be refused.
	Draining <-chan struct{}
	// TLS is how the HTTP port is secured, for protocols with a listener of their
	// own; nil if it speaks plainly. It must not be changed: clone it.
	TLS *tls.Config
	// Secure is TLS for a port that has files of its own; key is the setting that
	// holds them. It is TLS itself where none are given.
	Secure func(key string, files TLSFiles) (*tls.Config, error)
	// Listen binds an address; key is the setting that holds it. Where TLS is nil it
	// refuses one that other machines reach, unless the settings allow it.
	Listen func(ctx context.Context, key, addr string) (net.Listener, error)
	// Ready reports whether the node should be given work; it is not while it
	// starts. The HTTP port looks by itself.
	Ready func() bool
	// Fail reports that the protocol cannot go on, which ends the node.
	Fail func(err error)
	// HTTP registers a handler with the shared HTTP listener. The pattern is a
	// path, "/openapi.json", or with a final slash everything below one,
	// "/v1/". A pattern taken twice is a programming error and panics.
	HTTP func(pattern string, h http.Handler)
}

// Observer takes measurements of requests and streams. It must be quick, and
// is safe for concurrent use.
type Observer interface {
	// ObserveRequest notes one finished request. op is the operation, "Publish",
	// or "-" if the request named none; code is "ok" or the code of its
	// config.ErrorKind.
	ObserveRequest(protocol, op, code string, took time.Duration)
	// ObserveStreams notes that streams were opened (1) or closed (-1).
	ObserveStreams(protocol string, delta int)
	// ObserveDelivery notes that a stream was sent one delivery, with the bytes
	// that it took and how long encoding and writing lasted.
	ObserveDelivery(protocol string, bytes int, took time.Duration)
}

// NoObserver takes measurements nowhere.
type NoObserver struct{}

// ObserveRequest implements Observer.
func (NoObserver) ObserveRequest(_, _, _ string, _ time.Duration) {}

// ObserveStreams implements Observer.
func (NoObserver) ObserveStreams(string, int) {}

// ObserveDelivery implements Observer.
func (NoObserver) ObserveDelivery(string, int, time.Duration) {}

var _ Observer = NoObserver{}
