package otel

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	"google.golang.org/protobuf/proto"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/config"
)

// Sink posts to one collector. The connections of its client end with Close.
type Sink struct {
	settings      Settings
	client        *http.Client
	now           func() time.Time
	node, version string
	closed        atomic.Bool
}

// mostBody is the size at which a batch is sent in parts, in bytes; collectors
// take 4 MiB or more.
const mostBody = 2 << 20

// Write sends the records. Those that the collector says it has refused are not
// to be sent again, says the protocol: the error is config.Invalid then.
func (s *Sink) Write(ctx context.Context, records []audit.Record) error {
	if s.closed.Load() {
		return config.Errorf(config.Unavailable, "write", place, "the sink is closed")
	}
	encoded, bad := audit.Encode(records)
	rejected := []error{bad}
	for len(encoded) > 0 {
		n := fitting(encoded)
		err := s.post(ctx, encoded[:n])
		if err != nil && config.KindOf(err) != config.Invalid {
			return err
		}
		rejected = append(rejected, err)
		encoded = encoded[n:]
	}
	return errors.Join(rejected...)
}

// fitting returns how many of the records go into one request, at least one.
func fitting(records []audit.Encoded) int {
	const attributes = 1 << 10 // roughly, beside the text
	size := 0
	for i, r := range records {
		if size += len(r.JSON) + attributes; size > mostBody && i > 0 {
			return i
		}
	}
	return len(records)
}

// post makes one request, and halves it if the collector can never take all of
// it. An error other than Invalid means that all are to be sent again.
func (s *Sink) post(ctx context.Context, records []audit.Encoded) error {
	code, answer, err := s.exchange(ctx, records)
	switch {
	case err != nil:
		return err
	case code >= 200 && code < 300:
		var response collector.ExportLogsServiceResponse
		if err := proto.Unmarshal(answer, &response); err != nil { // taken, all the same
			return nil //nolint:nilerr // the status says what became of the records
		}
		if n := response.GetPartialSuccess().GetRejectedLogRecords(); n > 0 {
			return config.Errorf(config.Invalid, "write", place, "the collector refuses %d of %d records from %s on: %.200q",
				n, len(records), records[0].ID, response.GetPartialSuccess().GetErrorMessage())
		}
		return nil
	case code == http.StatusBadRequest, code == http.StatusRequestEntityTooLarge, code == http.StatusUnprocessableEntity:
		if len(records) == 1 {
			return config.Errorf(config.Invalid, "write", place, "the collector refuses record %s for ever: %d %s", records[0].ID, code, http.StatusText(code))
		}
		half := len(records) / 2
		first := s.post(ctx, records[:half])
		if first != nil && config.KindOf(first) != config.Invalid {
			return first
		}
		second := s.post(ctx, records[half:])
		if second != nil && config.KindOf(second) != config.Invalid {
			return second
		}
		return errors.Join(first, second)
	default:
		return config.Errorf(config.Unavailable, "write", place, "the collector answered %d %s", code, http.StatusText(code))
	}
}

// exchange sends a request and reads the answer, as much of it as matters.
func (s *Sink) exchange(ctx context.Context, records []audit.Encoded) (code int, answer []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.settings.Timeout)
	defer cancel()
	body, err := proto.Marshal(s.request(records))
	if err != nil {
		return 0, nil, config.Errorf(config.Unavailable, "write", place, "%w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.settings.URL, bytes.NewReader(body))
	if err != nil {
		return 0, nil, failed(err)
	}
	request.Header.Set("Content-Type", "application/x-protobuf")
	request.Header.Set("User-Agent", "setpoint/"+s.version)
	if s.settings.Header != "" {
		request.Header.Set(s.settings.Header, s.settings.HeaderValue.Reveal())
	}
	response, err := s.client.Do(request)
	if err != nil {
		return 0, nil, failed(err)
	}
	defer response.Body.Close()
	const enough = 64 << 10
	answer, err = io.ReadAll(io.LimitReader(response.Body, enough))
	if err != nil {
		return 0, nil, failed(err)
	}
	return response.StatusCode, answer, nil
}

// failed makes an error after which the records come again. It leaves out the
// address, which may hold a secret; what the network says is Unavailable.
func failed(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	kind := config.KindOf(err)
	if kind == config.Internal {
		kind = config.Unavailable
	}
	return &config.Error{Op: "write", Kind: kind, Path: place, Err: err}
}

// Close ends the sink. Nothing is left to flush.
func (s *Sink) Close() error {
	s.closed.Store(true)
	s.client.CloseIdleConnections()
	return nil
}

var _ audit.Sink = (*Sink)(nil)
