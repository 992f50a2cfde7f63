package webhook

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/config"
)

// Sink posts to one address. The connections of its client end with Close.
type Sink struct {
	url     string
	secret  config.Secret
	timeout time.Duration
	client  *http.Client
	now     func() time.Time
	agent   string
	closed  atomic.Bool
}

// mostBody is the size at which a batch is posted in parts, in bytes; a single
// record may be larger.
const mostBody = 1 << 20

// Write posts the records. If the receiver says that it can never take a batch,
// the batch is halved until the records it means are found; those are left out,
// and the error is config.Invalid.
func (s *Sink) Write(ctx context.Context, records []audit.Record) error {
	if s.closed.Load() {
		return config.Errorf(config.Unavailable, "write", place, "the sink is closed")
	}
	encoded, bad := audit.Encode(records)
	rejected := []error{bad}
	for len(encoded) > 0 {
		n := fitting(encoded)
		never, err := s.deliver(ctx, encoded[:n])
		if err != nil {
			return err
		}
		rejected = append(rejected, never)
		encoded = encoded[n:]
	}
	return errors.Join(rejected...)
}

// fitting returns how many of the records go into one request, at least one.
func fitting(records []audit.Encoded) int {
	size := 0
	for i, r := range records {
		if size += len(r.JSON) + 1; size > mostBody && i > 0 {
			return i
		}
	}
	return len(records)
}

// deliver posts the records, in halves if need be. never is about those that
// can never be taken; after err, all are to be tried again.
func (s *Sink) deliver(ctx context.Context, records []audit.Encoded) (never, err error) {
	err = s.post(ctx, records)
	if config.KindOf(err) != config.Invalid || err == nil {
		return nil, err
	}
	if len(records) == 1 {
		return err, nil
	}
	half := len(records) / 2
	first, err := s.deliver(ctx, records[:half])
	if err != nil {
		return nil, err
	}
	second, err := s.deliver(ctx, records[half:])
	return errors.Join(first, second), err
}

// post makes one request. The error is Invalid if the receiver says that it can
// never take the body.
func (s *Sink) post(ctx context.Context, records []audit.Encoded) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	body := document(records)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return config.Errorf(config.Unavailable, "write", place, "%w", withoutURL(err))
	}
	first, last := records[0].ID, records[len(records)-1].ID
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", s.agent)
	request.Header.Set(SignatureHeader, Sign(s.secret, s.now(), body))
	request.Header.Set(IdempotencyHeader, url.QueryEscape(first)+"."+url.QueryEscape(last))
	response, err := s.client.Do(request)
	if err != nil {
		return config.Errorf(kindOf(err), "write", place, "%w", withoutURL(err))
	}
	defer response.Body.Close()
	const enough = 64 << 10 // to use the connection again
	_, _ = io.CopyN(io.Discard, response.Body, enough)
	switch code := response.StatusCode; {
	case code >= 200 && code < 300:
		return nil
	case code == http.StatusBadRequest, code == http.StatusRequestEntityTooLarge, code == http.StatusUnprocessableEntity:
		return config.Errorf(config.Invalid, "write", place, "the receiver refuses record %s for ever: %d %s", first, code, http.StatusText(code))
	case code >= 300 && code < 400:
		return config.Errorf(config.Unavailable, "write", place, "the receiver redirects (%d), which is not followed; set the address that it redirects to", code)
	default:
		return config.Errorf(config.Unavailable, "write", place, "the receiver answered %d %s", code, http.StatusText(code))
	}
}

// document returns {"records":[…]}.
func document(records []audit.Encoded) []byte {
	var b bytes.Buffer
	b.WriteString(`{"records":[`)
	for i, r := range records {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(r.JSON)
	}
	b.WriteString("]}")
	return b.Bytes()
}

// kindOf is KindOf, but what the network says is Unavailable.
func kindOf(err error) config.ErrorKind {
	if kind := config.KindOf(err); kind != config.Internal {
		return kind
	}
	return config.Unavailable
}

// withoutURL leaves the address out of the error, as it may hold a secret.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// Close ends the sink. Nothing is left to flush.
func (s *Sink) Close() error {
	s.closed.Store(true)
	s.client.CloseIdleConnections()
	return nil
}

var _ audit.Sink = (*Sink)(nil)
