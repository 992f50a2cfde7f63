package grpc

import (
	"context"
	"crypto/x509"
	"net/textproto"
	"time"

	rpc "google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	"github.com/setpointhq/setpoint/config"
)

// wire is the stream of a call, on whichever port.
type wire interface {
	rpc.ServerStream
	// came returns what is known of the call before its first message.
	came() *origin
	// end ends the call from elsewhere, with the status of err: what waits for the
	// client returns, the context is canceled, and what the handler returns is not
	// heard. Of several the first counts.
	end(err error)
}

// origin is what is known of a call before its first message. It is the root of the
// call's context, where it is found again.
type origin struct {
	context.Context
	header  map[string][]string
	http    bool                // the header is written as in HTTP/1
	address string              // of the peer; empty if the context has it
	shown   []*x509.Certificate // by the peer to the HTTP port
}

type originKey struct{}

// Value implements context.Context.
func (o *origin) Value(key any) any {
	if key == (originKey{}) {
		return o
	}
	return o.Context.Value(key)
}

// originOf returns what is known of the call that has the context. Every one
// descends from an origin.
func originOf(ctx context.Context) *origin {
	if o, found := ctx.Value(originKey{}).(*origin); found {
		return o
	}
	return &origin{Context: ctx}
}

// values returns what the client sent under a key, which is in lower case. It must
// not be modified.
func (o *origin) values(key string) []string {
	if o.http {
		key = textproto.CanonicalMIMEHeaderKey(key)
	}
	return o.header[key]
}

// value returns the first value of a key of the metadata, "" if there is none.
func value(ctx context.Context, key string) string {
	if values := originOf(ctx).values(key); len(values) > 0 {
		return values[0]
	}
	return ""
}

// peer returns the address of who is at the other end of the connection.
func (o *origin) peer() string {
	if o.address != "" {
		return o.address
	}
	known, _ := o.connection()
	return known.address
}

// certificates are those that the peer of the connection has shown. What metadata say
// of certificates is never believed.
func (o *origin) certificates() []*x509.Certificate {
	if o.http {
		return o.shown
	}
	known, _ := o.connection()
	return known.certificates
}

// connection returns what is known of the connection; false for one to the HTTP port.
func (o *origin) connection() (connection, bool) {
	if o.http {
		return connection{}, false
	}
	p, found := peer.FromContext(o.Context)
	if !found {
		return connection{}, false
	}
	known, is := p.AuthInfo.(connection)
	return known, is
}

// meet notes what came with each call on the own port.
func meet(ctx context.Context, info *tap.Info) (context.Context, error) {
	return &origin{Context: ctx, header: info.Header}, nil
}

// ownStream is a call on the own port.
type ownStream struct {
	rpc.ServerStream
	*origin
}

// Context implements rpc.ServerStream.
func (s ownStream) Context() context.Context { return s.ServerStream.Context() }

func (s ownStream) came() *origin { return s.origin }

// end does what the library does when a handler returns. That way is offered by the
// stream of its transport, though not by its interface.
func (s ownStream) end(err error) {
	st := status.Convert(err)
	if st == nil {
		st = status.New(codes.OK, "")
	}
	stream, can := rpc.ServerTransportStreamFromContext(s.Context()).(interface{ WriteStatus(*status.Status) error })
	if can {
		_ = stream.WriteStatus(st) // it fails if the client is gone
	}
}

// receive reads a message that must arrive within some time: who sends one byte now
// and then holds no call for ever.
func receive(s wire, m any, within time.Duration) error {
	timer := time.AfterFunc(within, func() { s.end(statusOf(errLate(within), "").Err()) })
	err := s.RecvMsg(m)
	if !timer.Stop() && err != nil {
		return errLate(within)
	}
	return err
}

func errLate(within time.Duration) error {
	return config.Errorf(config.Timeout, "", "", "the message did not arrive within %s (request_timeout)", within)
}

// openStream is the stream of a call that asks nobody who is calling.
type openStream struct {
	wire
	within time.Duration
}

// RecvMsg implements rpc.ServerStream.
func (s openStream) RecvMsg(m any) error { return receive(s.wire, m, s.within) }

var (
	_ wire = ownStream{}
	_ wire = (*httpStream)(nil)
)
