package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/setpointhq/setpoint/config"
)

const (
	// neverReaders is how many subscribers do not read, and how many do beside
	// them: enough to tell what one takes up.
	neverReaders = 100
	// neverBytes is the size of what is published to them, so that what systems
	// hold for a connection is soon full.
	neverBytes = 64 << 10
)

// neverReader is a way not to read.
type neverReader struct {
	protocol, how string
	window        bool // the connection is read, but nothing is asked for: HTTP/2's way
}

func neverReaderKinds() []neverReader {
	return []neverReader{
		{overSSE, "the socket is not read", false},
		{overWS, "the socket is not read", false},
		{overGRPC, "the application does not read, its library does: no window is opened", true},
		{overGRPC, "the socket is not read", false},
		{overGRPCHTTP, "the application does not read, its library does: no window is opened", true},
		{overGraphQL, "the socket is not read", false},
	}
}

// neverReading measures what subscribers cost who read nothing for a while in which
// what they watch is published again and again, over each protocol: the memory that
// the server and the kernel keep for them, what others notice of it, and whether they
// are then brought to the latest state.
func (r *run) neverReading(ctx context.Context) ([]Result, error) {
	var out []Result
	for _, kind := range neverReaderKinds() {
		result, err := r.stall(ctx, kind)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", kind.protocol, err)
		}
		out = append(out, result)
	}
	return out, nil
}

// stalling is one way not to read on its server.
type stalling struct {
	*run
	voice   voice
	path    config.Path
	n       int
	gate    *gate
	send    sender
	readers *audience
	never   *audience
}

func (r *run) stall(ctx context.Context, kind neverReader) (_ Result, err error) {
	r, end, err := r.fresh(ctx, scenarioNever+"-"+kind.protocol)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, end()) }()
	s := &stalling{run: r, voice: r.target.over(kind.protocol), n: min(neverReaders, r.Subscribers), gate: newGate()}
	paths, err := r.target.seed(ctx, scenarioNever, 1)
	if err != nil {
		return Result{}, err
	}
	s.path = paths[0]
	c := contest{
		scenario: scenarioNever, subscribers: s.n,
		title: fmt.Sprintf("%d subscribers over %s of a config of %d KiB that is published %.0f times a second; %d others read nothing for %s (%s)",
			s.n, s.voice.title, neverBytes>>10, float64(time.Second)/float64(spacing), s.n, r.Stall, kind.how),
	}
	r.note("%s: %s", c.scenario, c.title)
	conn, err := r.target.server.dial(ctx)
	if err != nil {
		return Result{}, err
	}
	defer conn.Close()
	w, err := r.target.writerOf(conn, s.path, neverBytes)
	if err != nil {
		return Result{}, err
	}
	s.send = sender{next: func() string { return mark(w.next + 1) }, send: conn.patiently(w.publish)}
	if err := conn.patiently(w.publish)(); err != nil { // which makes the content as large as it will be
		return Result{}, err
	}
	defer s.close()
	return s.measure(ctx, c, kind)
}

func (s *stalling) close() {
	s.gate.open()
	for _, a := range []*audience{s.readers, s.never} {
		if a != nil {
			a.close()
		}
	}
}

// measure lets those who read do so alone, and then beside those who do not.
func (s *stalling) measure(ctx context.Context, c contest, kind neverReader) (Result, error) {
	request := s.voice.speech.subscription(s.voice.server, s.target.authorization, s.path)
	readers, took, err := s.gatherAround(ctx, s.voice.server, s.target.measured(), alike(s.n, s.voice.speech, request))
	if err != nil {
		return Result{}, err
	}
	s.readers = readers
	c.add("others, while some do not read", s.target.pids, fanoutFor(readers, s.send), took)
	c.add("others, alone", s.target.pids, fanoutFor(readers, s.send), took)
	tallies := make([]tally, 2)
	if err := tallies[1].add(ctx, c.subjects[1], effort{duration: s.Duration}); err != nil {
		return Result{}, err
	}
	if err := s.gatherNever(ctx, kind); err != nil {
		return Result{}, err
	}
	s.gate.shut()
	if err := tallies[0].add(ctx, c.subjects[0], effort{duration: s.Stall}); err != nil {
		return Result{}, err
	}
	stalled, err := s.memory(ctx)
	if err != nil {
		return Result{}, err
	}
	outcome, err := s.release(ctx)
	if err != nil {
		return Result{}, err
	}
	if err := pause(ctx, min(gathered, s.Duration)); err != nil {
		return Result{}, err
	}
	// What is published takes up memory too, so it is compared with what is there
	// when all of it has been published.
	settled, err := s.memory(ctx)
	result := c.result(tallies)
	result.Notes = []string{stalled.over(settled, s.n), outcome}
	return result, err
}

// gatherNever connects those who are not going to read.
func (s *stalling) gatherNever(ctx context.Context, kind neverReader) (err error) {
	g := gathering{n: s.n, speech: s.voice.speech, gate: s.gate}
	if kind.window {
		g.speech, g.gate = grpc{s.gate}, nil
	}
	request := g.speech.subscription(s.voice.server, s.target.authorization, s.path)
	g.request = func(int) [][]byte { return request }
	if s.never, err = gather(ctx, s.voice.server, g); err != nil {
		return err
	}
	return pause(ctx, min(gathered, s.Duration))
}

// release lets everybody read again, and tells what became of them.
func (s *stalling) release(ctx context.Context) (string, error) {
	w := s.never.expect(s.send.next())
	if _, err := s.readers.send(ctx, s.send.next(), s.send.send); err != nil {
		return "", err
	}
	start := time.Now()
	s.gate.open()
	for time.Since(start) < wavePatience && w.missing.Load() > s.never.lost.Load() {
		if err := pause(ctx, time.Millisecond); err != nil {
			return "", err
		}
	}
	took, shed := time.Since(start), s.never.lost.Load()
	reached := int64(s.n) - w.missing.Load()
	outcome := fmt.Sprintf("let read again, %d of %d had the latest version, the last after %.1f ms", reached, s.n, milliseconds(took))
	if shed > 0 {
		outcome += fmt.Sprintf("; %d had been shed, one with: %s", shed, <-s.never.failed)
	}
	if missing := int64(s.n) - reached - shed; missing > 0 {
		return "", fmt.Errorf("%d of those who had not read were neither shed nor had the latest version after %s", missing, wavePatience)
	}
	return outcome, nil
}

// fanoutFor has a round publish for as long as it is to take.
func fanoutFor(a receivers, s sender) round {
	return func(ctx context.Context, e effort) (sample, error) {
		total := sample{}
		for start := time.Now(); total.ops == 0 || time.Since(start) < e.duration; {
			one, err := fanoutRound(a, s)(ctx, effort{publishes: 1})
			if err != nil {
				return total, err
			}
			total.ops += one.ops
			total.elapsed += one.elapsed
			merge(&total.latency, one.latency)
			merge(&total.last, one.last)
			merge(&total.request, one.request)
		}
		return total, nil
	}
}

// footprint is the memory that there is for a server's connections.
type footprint struct{ held, kernel int64 }

func (s *stalling) memory(ctx context.Context) (footprint, error) {
	held, err := s.target.held(ctx)
	return footprint{held, socketMemory()}, err
}

// over tells what was taken up beyond what is once n have read.
func (f footprint) over(settled footprint, n int) string {
	per := func(more, than int64) string { return fmt.Sprintf("%.1f KiB", float64(more-than)/1024/float64(n)) }
	return fmt.Sprintf("one that did not read took up, beside what it takes up once it has: %s of what the server holds, %s of the kernel's for sockets (the whole machine's)",
		per(f.held, settled.held), per(f.kernel, settled.kernel))
}
