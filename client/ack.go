package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/setpointhq/setpoint/config"
)

const (
	maxReports = 256  // of one request
	maxWhy     = 1000 // bytes of a reason

	// ackDelay is how long a report waits for others to go with it.
	ackDelay = 50 * time.Millisecond
	// lastAcks is how long Close lets the last report take.
	lastAcks = 2 * time.Second
	// ackAgain is about how often everything is told again. Behind a proxy the node
	// that was told may be another than the one that is watched, and it remembers
	// for some time only.
	ackAgain = 5 * time.Minute
)

// report is what became of one version of a config here.
type report struct {
	Path    config.Path     `json:"path"`
	Version int64           `json:"version"`
	State   config.AckState `json:"state"`
	Why     string          `json:"why,omitempty"`
}

// acks tells the servers what was applied and what refused: each change at once,
// and everything again after a reconnect and now and then. It never holds up
// anything.
type acks struct {
	c    *Client
	wake chan struct{} // room for one: to be woken twice is to be woken

	mu   sync.Mutex
	held map[config.Path]*ack
}

// ack is what is to be told of one config.
type ack struct {
	applied, refused         int64 // versions; 0 for none
	why                      string
	toldApplied, toldRefused int64 // what the server has taken
}

func newAcks(c *Client) *acks {
	return &acks{c: c, wake: make(chan struct{}, 1), held: map[config.Path]*ack{}}
}

func (a *acks) applied(path config.Path, version int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.apply(path, version)
	a.ring()
}

// appliedAll is applied of a whole state, without some paths.
func (a *acks) appliedAll(state *State, without map[config.Path]int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for path, c := range state.configs {
		if _, not := without[path]; !not {
			a.apply(path, c.Version)
		}
	}
	a.ring()
}

func (a *acks) apply(path config.Path, version int64) {
	k := a.of(path)
	if k.refused != 0 {
		// To the server a refusal holds until something is applied after it.
		k.refused, k.toldRefused, k.why, k.toldApplied = 0, 0, "", 0
	}
	k.applied = version
}

func (a *acks) refused(path config.Path, version int64, why string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	k := a.of(path)
	if k.applied == version {
		k.applied = 0
	}
	k.refused, k.why = version, clipWhy(why)
	a.ring()
}

func (a *acks) of(path config.Path) *ack {
	k := a.held[path]
	if k == nil {
		k = &ack{}
		a.held[path] = k
	}
	return k
}

// prune forgets what a state no longer holds.
func (a *acks) prune(state *State) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for path := range a.held {
		if _, ok := state.Get(path); !ok {
			delete(a.held, path)
		}
	}
}

// again has everything told again.
func (a *acks) again() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, k := range a.held {
		k.toldApplied, k.toldRefused = 0, 0
	}
	a.ring()
}

func (a *acks) ring() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// run tells while a server is there, until ctx ends, and then once more. When
// one is back, again wakes it.
func (a *acks) run(ctx context.Context, connected func() bool) {
	refresh := time.NewTicker(ackAgain - rand.N(ackAgain/4)) //nolint:gosec // spreads load, keeps no secret
	defer refresh.Stop()
	for {
		select {
		case <-a.wake:
		case <-refresh.C:
			a.again()
		case <-ctx.Done():
		}
		if sleep(ctx, ackDelay) == nil && a.tell(ctx, connected) == nil {
			continue
		}
		if connected() {
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastAcks)
			defer cancel()
			_ = a.send(last) // who closes has no more time than this
		}
		return
	}
}

// tell sends what there is, again and again until it arrives or the servers are
// lost. The error is that of ctx.
func (a *acks) tell(ctx context.Context, connected func() bool) error {
	for try := 0; connected(); try++ {
		err := a.send(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if try == 0 {
			a.c.log.Warn("the servers were not told what was applied here: will tell them later", "error", err)
		}
		if err := sleep(ctx, laterThan(err, backoff(try))); err != nil {
			return err
		}
	}
	return nil
}

// send sends what there is. An error is one that trying again may mend.
func (a *acks) send(ctx context.Context) error {
	for {
		batch := a.next()
		if len(batch) == 0 {
			return nil
		}
		in := struct {
			Reports []report `json:"reports"`
		}{batch}
		_, err := a.c.call(ctx, request{method: http.MethodPost, path: "/v1/instances/report", in: in}, nil)
		if err != nil && passing(err) {
			return err
		}
		if err != nil {
			a.c.log.Warn("the servers do not want to know what was applied here", "error", err)
			batch = blamed(batch, err)
		}
		a.told(batch)
	}
}

// blamed returns those reports of a batch for which it was refused as a whole:
// those of the path that the error names, or all.
func blamed(batch []report, err error) []report {
	var e *config.Error
	if !errors.As(err, &e) {
		return batch
	}
	guilty := slices.DeleteFunc(slices.Clone(batch), func(r report) bool { return r.Path.String() != e.Path })
	if len(guilty) == 0 {
		return batch
	}
	return guilty
}

// next returns what the server was not told, and may be told at once.
func (a *acks) next() (batch []report) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, path := range sortedPaths(a.held) {
		if len(batch) > maxReports-2 {
			break
		}
		// In this order: to the server, applying ends a refusal before it.
		k := a.held[path]
		if k.applied != 0 && k.applied != k.toldApplied {
			batch = append(batch, report{Path: path, Version: k.applied, State: config.AckApplied})
		}
		if k.refused != 0 && k.refused != k.toldRefused {
			batch = append(batch, report{Path: path, Version: k.refused, State: config.AckRefused, Why: k.why})
		}
	}
	return batch
}

func (a *acks) told(batch []report) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range batch {
		k := a.held[r.Path]
		switch {
		case k == nil: // deleted meanwhile
		case r.State == config.AckApplied:
			k.toldApplied = r.Version
		default:
			k.toldRefused = r.Version
		}
	}
}

// passing reports whether trying again may mend an error.
func passing(err error) bool {
	switch config.KindOf(err) {
	case config.Unavailable, config.Timeout, config.Throttled, config.Exhausted, config.Internal, config.Canceled:
		return true
	}
	return false
}

// laterThan is a wait that is not over before the server wants to hear again.
func laterThan(err error, wait time.Duration) time.Duration {
	var refused *Refusal
	if errors.As(err, &refused) {
		// Jitter on top: all who were told the same time must not come at once.
		wait = max(wait, refused.RetryAfter+backoff(0))
	}
	return wait
}

// reason is what to tell of an error: its cause, without what the report says
// already.
func reason(err error) string {
	var e *config.Error
	if errors.As(err, &e) {
		return e.Detail()
	}
	return err.Error()
}

// clipWhy shortens a reason; it halves no character.
func clipWhy(s string) string {
	if len(s) <= maxWhy {
		return s
	}
	n := maxWhy
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
