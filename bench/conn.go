package bench

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

const (
	dialTimeout = 30 * time.Second
	// dialing is how many handshakes are under way at a time: a few more than
	// processors, so that thousands of connections do not time each other out.
	dialing = 32
	// patience is how long an answer may take beyond the end of a round.
	patience = 30 * time.Second
	// excerpt is how much of an unexpected answer an error shows.
	excerpt = 300
)

// server is where requests go. Every connection is TLS 1.3, whatever is asked.
type server struct {
	addr string // host:port
	host string // of the Host header
	base string // that every path begins with
	tls  *tls.Config
}

// conn is a persistent connection that carries one request at a time.
type conn struct {
	net.Conn
	in *reader
}

// agent is how the load generator names itself.
const agent = "setpoint-bench"

// The names of HTTP's versions in a TLS handshake.
const (
	alpnHTTP1 = "http/1.1"
	alpnHTTP2 = "h2"
)

func (s server) dial(ctx context.Context) (*conn, error) { return s.dialFor(ctx, alpnHTTP1) }

// dialFor opens a connection for the protocol.
func (s server) dialFor(ctx context.Context, protocol string) (*conn, error) {
	return s.dialFrom(ctx, nil, protocol)
}

// dialFrom opens a connection from an address, nil for any.
func (s server) dialFrom(ctx context.Context, from net.Addr, protocol string) (*conn, error) {
	conf := s.tls.Clone()
	conf.MinVersion = tls.VersionTLS13
	conf.NextProtos = []string{protocol}
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: dialTimeout, LocalAddr: from}, Config: conf}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	c, err := d.DialContext(ctx, "tcp", s.addr)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", s.addr, err)
	}
	return &conn{Conn: c, in: newReader(c)}, nil
}

// connections are opened together, and closed together.
type connections []*conn

func (s server) dialMany(ctx context.Context, n int) (connections, error) {
	all := make(connections, n)
	err := atOnce(ctx, n, func(ctx context.Context, i int) (err error) {
		all[i], err = s.dial(ctx)
		return err
	})
	if err != nil {
		all.close()
		return nil, err
	}
	return all, nil
}

func (all connections) close() {
	for _, c := range all {
		if c != nil {
			_ = c.Close() // nothing is left to be told
		}
	}
}

// bound ends whatever is still under way when a round of this length must be
// over, or when ctx ends. The connections are of no use after that.
func (all connections) bound(ctx context.Context, d time.Duration) (release func() bool) {
	for _, c := range all {
		_ = c.SetDeadline(time.Now().Add(d + patience)) // a connection that is gone fails by itself
	}
	return context.AfterFunc(ctx, all.close)
}

// atOnce calls each for 0 to n-1, a number of them at a time, until one fails.
func atOnce(ctx context.Context, n int, each func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(n, dialing) {
		workers.Go(func() {
			for i := range next {
				if err := each(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
feed:
	for i := range n {
		select {
		case next <- i:
		case <-ctx.Done():
			break feed
		}
	}
	close(next)
	workers.Wait()
	return context.Cause(ctx)
}

// exchange sends a request as it is and takes in the answer, which must have
// the status.
func (c *conn) exchange(request []byte, status int) error {
	if _, err := c.Write(request); err != nil {
		return err
	}
	head, err := c.in.head()
	if err != nil {
		return err
	}
	if head.status != status {
		return c.unexpected(head)
	}
	if head.last {
		return errors.New("the server closes the connection after an answer")
	}
	return c.in.body(head, discard)
}

// patiently bounds the time of each exchange that do makes.
func (c *conn) patiently(do func() error) func() error {
	return func() error {
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		return do()
	}
}

func discard([]byte) error { return nil }

// unexpected makes an error of an answer, with the beginning of its body.
func (c *conn) unexpected(head response) error {
	var text []byte
	full := errors.New("enough")
	err := c.in.body(head, func(piece []byte) error {
		text = append(text, piece[:min(len(piece), excerpt-len(text))]...)
		if len(text) == excerpt {
			return full
		}
		return nil
	})
	if err != nil && !errors.Is(err, full) {
		return err
	}
	return fmt.Errorf("the server answered %d: %s", head.status, bytes.ToValidUTF8(bytes.TrimSpace(text), []byte("?")))
}

// request renders a request with an authorization, further header lines each
// ended by CRLF, and a body if there is one.
func (s server) request(method, path, authorization, lines string, body []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\n", method, s.base+path, s.host, agent)
	if authorization != "" {
		fmt.Fprintf(&b, "Authorization: %s\r\n", authorization)
	}
	b.WriteString(lines)
	if body != nil {
		fmt.Fprintf(&b, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}
