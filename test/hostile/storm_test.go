package hostile

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// TestReconnectStorm has a thousand watchers come back at once, as soon as their
// node is there again and not when they are asked to. It wants all of them to be
// served, to be told each change, and none to be told of what was before. The
// hints when to come back, which they do not take, must not be alike.
func TestReconnectStorm(t *testing.T) {
	const (
		crowd   = 1000
		configs = 5
	)
	n := start(t)
	st := &storm{n: n, want: map[string]int64{}, back: make(chan struct{})}
	for i := range configs {
		st.publish(fmt.Sprintf("%s/c-%d.yaml", env, i))
	}
	var group sync.WaitGroup
	for i := range crowd {
		r := &refugee{storm: st, dialect: &dialects[i%len(dialects)], knocks: i%8 < 4, known: map[string]int64{}}
		st.crowd = append(st.crowd, r)
		group.Go(r.run)
	}
	n.until("all are there", func() bool { return st.caughtUp() == crowd })
	n.must(n.process.Stop(patience))
	n.must(n.process.Launch())
	n.awaitReady()
	close(st.back)
	for i := range configs {
		st.publish(fmt.Sprintf("%s/c-%d.yaml", env, i))
	}
	st.publish(env + "/new.yaml")
	begun := time.Now()
	err := n.process.Until("all are back, and know everything", 2*patience, func() bool { return st.caughtUp() == crowd })
	t.Logf("%d of %d were back after %s and %d attempts", st.caughtUp(), crowd, time.Since(begun).Round(time.Millisecond), st.attempts.Load())
	st.over.Store(true)
	for _, r := range st.crowd {
		r.hangUp()
	}
	group.Wait()
	n.must(err)
	st.judgeHints(t)
}

// storm is a crowd of watchers that come back all at once.
type storm struct {
	n        *node
	crowd    []*refugee
	back     chan struct{} // closed when the node is there again
	over     atomic.Bool
	attempts atomic.Int64

	mu   sync.Mutex
	want map[string]int64 // version, by path
}

func (st *storm) publish(path string) {
	st.n.t.Helper()
	version := st.n.publish(path, fmt.Sprintf("at: %s\n", time.Now()))
	st.mu.Lock()
	defer st.mu.Unlock()
	st.want[path] = version
}

// caughtUp is how many know all that was published.
func (st *storm) caughtUp() (count int) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, r := range st.crowd {
		if r.knows(st.want) {
			count++
		}
	}
	return count
}

// judgeHints wants the hints of each dialect to be spread over the time that the
// settings name, from one second to two.
func (st *storm) judgeHints(t *testing.T) {
	hints := map[string]map[time.Duration]int{}
	watchers := map[string]int{}
	for _, r := range st.crowd {
		name := r.dialect.name
		watchers[name]++
		if hints[name] == nil {
			hints[name] = map[time.Duration]int{}
		}
		for _, hint := range r.hints {
			hints[name][hint]++
			if hint < time.Second || hint > 2*time.Second {
				t.Errorf("%s: want a hint from 1s to 2s, got %s", name, hint)
			}
		}
	}
	for name, count := range watchers {
		if got := len(hints[name]); got < count/2 {
			t.Errorf("%s: want %d watchers told to come back at different times, got %d", name, count, got)
		}
	}
}

// refugee is one of the crowd.
type refugee struct {
	storm   *storm
	dialect *dialect
	knocks  bool // again and again, in place of waiting until the node is there

	mu    sync.Mutex
	conn  net.Conn
	after config.Token
	known map[string]int64 // version, by path
	hints []time.Duration
}

func (r *refugee) knows(want map[string]int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Equal(r.known, want)
}

func (r *refugee) hangUp() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conn != nil {
		r.conn.Close()
	}
}

// run watches, and comes back whenever that ends, until the storm is over.
func (r *refugee) run() {
	retry := time.NewTicker(500 * time.Millisecond)
	defer retry.Stop()
	for !r.storm.over.Load() {
		if err := r.watch(); err != nil {
			r.storm.n.t.Errorf("%s: %v", r.dialect.name, err)
			return
		}
		if r.knocks {
			<-retry.C
			continue
		}
		select {
		case <-r.storm.back:
			<-retry.C // it was not let in at once
		default:
			<-r.storm.back
		}
	}
}

// watch watches until the connection ends. The error is what must not be.
func (r *refugee) watch() error {
	r.storm.attempts.Add(1)
	c, err := r.storm.n.dial(r.dialect.addr(r.storm.n), r.dialect.alpn)
	if err != nil {
		return nil // it is not there yet
	}
	defer c.Close()
	r.mu.Lock()
	r.conn = c
	w := wish{token: r.storm.n.token.Reveal(), paths: []string{env}, after: r.after}
	r.mu.Unlock()
	s, err := r.dialect.watch(c, w)
	for err == nil {
		var got news
		if got, err = s.next(); err == nil {
			err = errors.Join(deadline(c), r.take(got))
		}
	}
	var wrong *wrongNews
	if errors.As(err, &wrong) {
		return err
	}
	var no *refusal
	if errors.As(err, &no) && no.hint > 0 {
		return r.take(news{hint: no.hint})
	}
	if r.storm.over.Load() {
		return nil // it hung up
	}
	if errors.As(err, &no) && no.code != "unavailable" && no.code != "" {
		return err
	}
	return nil
}

// wrongNews is what nobody may be told.
type wrongNews struct{ what string }

func (w *wrongNews) Error() string { return w.what }

// take takes in what the server tells.
func (r *refugee) take(got news) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if got.hint > 0 {
		r.hints = append(r.hints, got.hint)
	}
	for path, version := range got.versions {
		// A node that has just started may not know what was before, and tell all anew.
		if version < r.known[path] || version == r.known[path] && !got.reset {
			return &wrongNews{fmt.Sprintf("%s: version %d after %d", path, version, r.known[path])}
		}
		r.known[path] = version
	}
	if got.revision != "" {
		r.after = got.revision
	}
	return nil
}
