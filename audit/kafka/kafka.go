package kafka

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/config"
)

// Sink produces to one topic. Its client, and the goroutines of that, end with
// Close, or with a failure: then nothing is left in it that could arrive later,
// in the midst of what comes again.
type Sink struct {
	options []kgo.Opt
	timeout time.Duration

	mu     sync.Mutex  // over all below
	client *kgo.Client // nil while there is none
	closed bool
}

// Write produces the records and waits until all replicas in sync have them.
func (s *Sink) Write(ctx context.Context, records []audit.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return config.Errorf(config.Unavailable, "write", place, "the sink is closed")
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return failed(err)
	}
	encoded, bad := audit.Encode(records)
	if len(encoded) == 0 {
		return bad
	}
	if s.client == nil {
		client, err := kgo.NewClient(s.options...)
		if err != nil {
			return failed(err)
		}
		s.client = client
	}
	rejected := []error{bad}
	for _, result := range s.produce(ctx, messages(encoded)) {
		switch err := result.Err; {
		case err == nil:
		case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.InvalidRecord):
			rejected = append(rejected, config.Errorf(config.Invalid, "write", place, "record %s can never be taken: %w", result.Record.Headers[0].Value, err))
		default:
			s.drop()
			if ctx.Err() != nil { // why the client was ended
				err = ctx.Err()
			}
			return failed(err)
		}
	}
	return errors.Join(rejected...)
}

// produce is ProduceSync, but for a broker that does not answer: the client
// would wait for it longer than ctx lasts, as its records may have arrived.
func (s *Sink) produce(ctx context.Context, messages []*kgo.Record) kgo.ProduceResults {
	client, done := s.client, make(chan kgo.ProduceResults, 1)
	go func() { done <- client.ProduceSync(ctx, messages...) }()
	select {
	case results := <-done:
		return results
	case <-ctx.Done():
		s.drop()
		return <-done
	}
}

func messages(records []audit.Encoded) []*kgo.Record {
	all := make([]*kgo.Record, len(records))
	for i, r := range records {
		all[i] = &kgo.Record{
			Key: []byte(r.Path.Tenant), Value: r.JSON, Timestamp: r.Time,
			Headers: []kgo.RecordHeader{{Key: "id", Value: []byte(r.ID)}},
		}
	}
	return all
}

// failed makes an error after which the records come again: what the brokers or
// the network say is Unavailable.
func failed(err error) error {
	kind := config.KindOf(err)
	if kind == config.Internal {
		kind = config.Unavailable
	}
	return &config.Error{Op: "write", Kind: kind, Path: place, Err: err}
}

func (s *Sink) drop() {
	if s.client != nil {
		s.client.Close()
	}
	s.client = nil
}

// Close ends the sink. Nothing is left to flush.
func (s *Sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop()
	s.closed = true
	return nil
}

var _ audit.Sink = (*Sink)(nil)
