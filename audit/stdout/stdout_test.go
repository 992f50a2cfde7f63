package stdout_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/audit/audittest"
	"github.com/setpointhq/setpoint/audit/stdout"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stream takes writes, can be broken so that it takes only a part of each, and
// can be stopped.
type stream struct {
	mu      sync.Mutex
	text    bytes.Buffer
	broken  bool
	reached chan struct{} // not nil: closed by the next Write, which then waits
	goOn    chan struct{}
}

func (s *stream) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reached != nil {
		close(s.reached)
		<-s.goOn
		s.reached = nil
	}
	if s.broken {
		n, _ := s.text.Write(b[:len(b)/3])
		return n, io.ErrShortWrite
	}
	return s.text.Write(b)
}

// records returns those of whole lines.
func (s *stream) records(t *testing.T) []audit.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	var records []audit.Record
	lines := bufio.NewScanner(bytes.NewReader(s.text.Bytes()))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		if bytes.HasSuffix(lines.Bytes(), []byte("}")) && bytes.HasPrefix(lines.Bytes(), []byte(`{"id"`)) {
			records = append(records, audittest.Decode(t, lines.Bytes()))
		}
	}
	return records
}

func TestConformance(t *testing.T) {
	audittest.Sink(t, func(t *testing.T) audittest.Peer {
		to := &stream{goOn: make(chan struct{})}
		t.Cleanup(func() { close(to.goOn) })
		set := func(broken bool) func(*testing.T) {
			return func(*testing.T) {
				to.mu.Lock()
				defer to.mu.Unlock()
				to.broken = broken
			}
		}
		return audittest.Peer{
			Sink:    stdout.To(to),
			Arrived: func(t *testing.T, _ int) []audit.Record { return to.records(t) },
			Reopen:  func(*testing.T) audit.Sink { return stdout.To(to) },
			Break:   set(true), Mend: set(false),
			Hang: func(*testing.T) <-chan struct{} {
				to.reached = make(chan struct{})
				return to.reached
			},
		}
	})
}

func TestItIsTheStandardOutput(t *testing.T) {
	from, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	before := os.Stdout
	os.Stdout = to
	defer func() { os.Stdout = before }()
	var s stdout.Settings
	s.Defaults()
	sink, err := s.Open(t.Context(), audit.Env{})
	if err != nil {
		t.Fatal(err)
	}
	want := audittest.Records(1, 1)
	err = errors.Join(sink.Write(t.Context(), want), sink.Close(), to.Close())
	if err != nil {
		t.Fatal(err)
	}
	line, err := io.ReadAll(from)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, []audit.Record{audittest.Decode(t, line)}); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestWhatWasBegunComesBeforeWhatFollows(t *testing.T) {
	to := &stream{goOn: make(chan struct{}), reached: make(chan struct{})}
	sink, reached := stdout.To(to), to.reached
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- sink.Write(ctx, audittest.Records(1, 1)) }()
	<-reached
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("want it canceled, got %v", err)
	}
	close(to.goOn)
	if err := sink.Write(t.Context(), audittest.Records(2, 1)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(audittest.Records(1, 2), to.records(t)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
