// Package stdout writes audit records to the standard output, one line of JSON
// each, for whoever collects the output of processes.
package stdout

import (
	"bytes"
	"context"
	"io"
	"os"
	"sync"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/config"
)

// Name of the driver, in settings.
const Name = "stdout"

const place = "audit." + Name

// Settings of the stdout driver: there is nothing to set.
type Settings struct{}

// Defaults fills every field.
func (*Settings) Defaults() {}

// Validate checks the settings.
func (*Settings) Validate() error { return nil }

// Open returns the working sink.
func (*Settings) Open(context.Context, audit.Env) (audit.Sink, error) { return To(os.Stdout), nil }

// Sink writes to a stream.
type Sink struct {
	to     io.Writer
	turn   chan struct{} // holds one token: whose turn it is to write
	done   chan struct{} // closed by Close
	close  sync.Once
	broken bool // the last write ended in the middle; whose turn it is has it
}

// To returns a sink that writes to a stream, which it does not close.
func To(stream io.Writer) *Sink {
	s := &Sink{to: stream, turn: make(chan struct{}, 1), done: make(chan struct{})}
	s.turn <- struct{}{}
	return s
}

// Write writes the records. A stream that nobody reads holds it up until ctx
// ends; what was begun is then written when the stream goes on, before anything
// else.
func (s *Sink) Write(ctx context.Context, records []audit.Record) error {
	encoded, bad := audit.Encode(records)
	select {
	case <-s.done:
		return config.Errorf(config.Unavailable, "write", place, "the sink is closed")
	case <-ctx.Done():
		return interrupted(ctx)
	default:
	}
	select {
	case <-s.turn:
	case <-ctx.Done():
		return interrupted(ctx)
	}
	result := make(chan error, 1) // room for the one value, as nobody may be there to take it
	go func() {
		err := s.write(encoded)
		s.turn <- struct{}{}
		result <- err
	}()
	select {
	case err := <-result:
		if err != nil {
			return config.Errorf(config.Unavailable, "write", place, "%w", err)
		}
		return bad
	case <-ctx.Done():
		return interrupted(ctx)
	}
}

func interrupted(ctx context.Context) error {
	return config.Errorf(config.KindOf(ctx.Err()), "write", place, "%w", ctx.Err())
}

func (s *Sink) write(records []audit.Encoded) error {
	var text bytes.Buffer
	if s.broken {
		text.WriteByte('\n')
	}
	for _, r := range records {
		text.Write(r.JSON)
		text.WriteByte('\n')
	}
	if text.Len() == 0 {
		return nil
	}
	n, err := s.to.Write(text.Bytes())
	s.broken = n > 0 && text.Bytes()[n-1] != '\n' || n == 0 && s.broken
	return err
}

// Close ends the sink. It does not wait for a stream that nobody reads.
func (s *Sink) Close() error {
	s.close.Do(func() { close(s.done) })
	return nil
}

var (
	_ audit.Driver = (*Settings)(nil)
	_ audit.Sink   = (*Sink)(nil)
)
