package cluster

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/pki"
)

// answerPatience is how long another node may take to say how it is.
const answerPatience = time.Second

// caller asks other nodes over their peer ports.
type caller struct{ client *http.Client }

// dial makes a TLS connection on which HTTP/1.1 is spoken.
type dial func(ctx context.Context, network, addr string) (net.Conn, error)

// newCaller makes a caller that connects as dial does.
func newCaller(to dial) *caller {
	return &caller{&http.Client{
		Transport: &http.Transport{
			DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				ctx, cancel := context.WithTimeout(ctx, handshakePatience)
				defer cancel()
				return to(ctx, network, addr)
			},
			MaxIdleConnsPerHost: 4,
			IdleConnTimeout:     30 * time.Second,
			DisableCompression:  true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// close gives idle connections up. Calls under way go on until their ctx ends.
func (c *caller) close() { c.client.CloseIdleConnections() }

// get asks the node at an address.
func (c *caller) get(ctx context.Context, addr, path string, out checked) error {
	return c.call(ctx, http.MethodGet, addr, path, nil, out)
}

// post tells the node at an address.
func (c *caller) post(ctx context.Context, addr, path string, in any, out checked) error {
	return c.call(ctx, http.MethodPost, addr, path, in, out)
}

func (c *caller) call(ctx context.Context, method, addr, path string, in any, out checked) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	if in == nil {
		body = nil
	}
	r, err := http.NewRequestWithContext(ctx, method, "https://"+addr+path, bytes.NewReader(body))
	if err != nil {
		return config.Errorf(config.Invalid, "ask", addr, "%w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := c.client.Do(r)
	if err != nil {
		return silence(ctx, addr, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return refusal(addr, resp)
	}
	most := int64(maxBody)
	if _, large := out.(*clients); large {
		most = maxClients
	}
	if err := decode(resp.Body, most, out); err != nil {
		return config.Errorf(config.Unavailable, "ask", addr, "this is no answer of a node: %w", err)
	}
	return nil
}

// silent reports whether an error of a call means that no node answered.
func silent(err error) bool {
	e, ok := errors.AsType[*config.Error](err)
	return ok && e.Op == "ask"
}

// silence is the error for a node that could not be asked.
func silence(ctx context.Context, addr string, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return &config.Error{Op: "ask", Path: addr, Kind: config.Canceled, Err: ctx.Err()}
	case ctx.Err() != nil:
		return config.Errorf(config.Timeout, "ask", addr, "it does not answer")
	}
	return &config.Error{Op: "ask", Path: addr, Kind: config.Unavailable, Err: explained{err}}
}

// explained is an error of a connection in words for a person.
type explained struct{ cause error }

func (e explained) Error() string { return pki.Explain(e.cause) }
func (e explained) Unwrap() error { return e.cause }

// untrusted reports whether an error of a call means that one of the two ends
// does not take the other for a node of its cluster: waiting does not mend that.
func untrusted(err error) bool {
	var unverified *tls.CertificateVerificationError
	var pin *pki.PinError
	var names *pki.NotAllowedError
	var remote *net.OpError
	return errors.As(err, &unverified) || errors.As(err, &pin) || errors.As(err, &names) ||
		errors.As(err, &remote) && remote.Op == "remote error" || config.KindOf(err) == config.Denied
}

// refusal is the error that a node answered with.
func refusal(addr string, resp *http.Response) error {
	var p problem
	if err := decode(resp.Body, maxBody, &p); err != nil || p.Kind == "" {
		return config.Errorf(config.Unavailable, "ask", addr, "what answers there is no node: it says %s", resp.Status)
	}
	e := config.Errorf(config.ParseErrorKind(p.Kind), "", "", "%s", p.Text)
	if p.Retry {
		return passing{e}
	}
	return e
}
