package etcd

import (
	"context"
	"errors"
	"iter"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/metadata"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
)

const (
	// A watch that is behind a revision which the store has shown waits a moment,
	// because its events are mostly on the way already, then asks etcd how far it
	// is, again and again until it knows.
	askAfter = 2 * time.Millisecond
	askAgain = 20 * time.Millisecond
	// askPatience bounds one question, during which no events are delivered.
	askPatience = 100 * time.Millisecond

	// A watch that etcd ended is started anew after a pause that doubles.
	minPause = 50 * time.Millisecond
	maxPause = 2 * time.Second
)

// position is the largest revision that the store has shown to anybody, and
// who wants to know that it has grown.
type position struct {
	shown atomic.Int64
	ids   atomic.Int64

	mu    sync.Mutex
	wakes map[chan struct{}]struct{}
}

// advance notes that a revision was shown, and wakes the watches.
func (p *position) advance(revision int64) {
	for {
		shown := p.shown.Load()
		if revision <= shown {
			return
		}
		if p.shown.CompareAndSwap(shown, revision) {
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for wake := range p.wakes {
		select {
		case wake <- struct{}{}:
		default: // it has not yet looked since the last time
		}
	}
}

// subscribe returns a channel that has a token whenever the position has grown.
func (p *position) subscribe() (wake chan struct{}, cancel func()) {
	wake = make(chan struct{}, 1)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wakes == nil {
		p.wakes = map[chan struct{}]struct{}{}
	}
	p.wakes[wake] = struct{}{}
	return wake, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.wakes, wake)
	}
}

// watch is one run of Store.Watch.
type watch struct {
	store  *Store
	prefix string
	pos    int64 // everything up to it was delivered
	yield  func(store.Batch, error) bool
}

// How one etcd watch ends that did not fail.
var (
	errLeft   = errors.New("the caller left")
	errBehind = errors.New("the caller is too far behind")
)

// Watch implements store.Store.
func (s *Store) Watch(ctx context.Context, prefix string, after int64) iter.Seq2[store.Batch, error] {
	return func(yield func(store.Batch, error) bool) {
		if after < 0 {
			yield(store.Batch{}, config.Errorf(config.Invalid, "watch", prefix, "revision %d is negative", after))
			return
		}
		w := &watch{store: s, prefix: prefix, pos: after, yield: yield}
		if err := w.run(ctx); !errors.Is(err, errLeft) {
			yield(store.Batch{}, err)
		}
	}
}

// run watches until there is no going on, over as many etcd watches as it takes.
// etcd's client resumes by itself after a lost connection; it gives up where the
// member that it is connected to has no leader, for instance.
func (w *watch) run(ctx context.Context) error {
	ctx, cancel := w.store.bind(ctx)
	defer cancel()
	wake, unsubscribe := w.store.position.subscribe()
	defer unsubscribe()
	pause := minPause
	for {
		began := w.pos
		err := w.once(ctx, wake)
		switch {
		case errors.Is(err, errLeft):
			return err
		case errors.Is(err, errBehind):
			continue
		case w.store.life.Err() != nil:
			return context.Cause(w.store.life)
		case ctx.Err() != nil:
			return ended(ctx, "watch")
		case err != nil && !passing(err):
			return translate("watch", err)
		}
		if w.pos > began {
			pause = minPause
		}
		w.store.log.Warn("the watch of the store was interrupted and goes on", "after", w.pos, "pause", pause, "error", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ended(ctx, "watch")
		}
		pause = min(2*pause, maxPause)
	}
}

// once delivers what one etcd watch yields until it ends.
func (w *watch) once(outer context.Context, wake <-chan struct{}) error {
	ctx, cancel := context.WithCancel(outer)
	// etcd's client puts watches with the same metadata on one stream, and a
	// stream answers how far it is only when all its watches have caught up.
	ctx = metadata.AppendToOutgoingContext(ctx, "setpoint-watch", strconv.FormatInt(w.store.position.ids.Add(1), 10))
	opts := []clientv3.OpOption{clientv3.WithRev(w.pos + 1), clientv3.WithPrefix()}
	if w.store.engine == nil {
		// Fragments keep a large catch-up under the limit on messages; etcd's client
		// puts them together again. Progress keeps an idle watch from falling out of
		// the history that is kept.
		ctx = clientv3.WithRequireLeader(ctx)
		opts = append(opts, clientv3.WithFragment(), clientv3.WithProgressNotify())
	}
	responses := newBacklog(w.store.backlog)
	var filling sync.WaitGroup
	filling.Go(func() { responses.fill(w.store.client.Watch(ctx, w.store.data+w.prefix, opts...), cancel) })
	defer filling.Wait()
	defer cancel()
	ask := newQuestion(w)
	defer ask.timer.Stop()
	ask.consider()
	for {
		select {
		case <-responses.ready:
			if ended, err := w.drain(responses); ended {
				return err
			}
		case <-wake:
			ask.consider()
		case <-ask.timer.C:
			ask.due(ctx)
		case <-outer.Done():
			return outer.Err()
		}
	}
}

// drain delivers what is there, and says whether and why nothing more comes.
func (w *watch) drain(responses *backlog) (ended bool, err error) {
	for {
		resp, ok, ended := responses.next()
		switch {
		case ended && responses.overflowed():
			return true, errBehind
		case !ok:
			return ended, nil
		}
		if err := resp.Err(); err != nil {
			return true, err
		}
		if !w.deliver(resp) {
			return true, errLeft
		}
	}
}

// deliver yields the batches of one response; false means that the caller left.
func (w *watch) deliver(resp clientv3.WatchResponse) bool {
	events := resp.Events
	for len(events) > 0 {
		revision, n := events[0].Kv.ModRevision, 1
		for n < len(events) && events[n].Kv.ModRevision == revision {
			n++
		}
		if revision > w.pos { // always, unless etcd repeats itself
			w.pos = revision
			if !w.yield(w.batch(revision, events[:n]), nil) {
				return false
			}
		}
		events = events[n:]
	}
	if resp.IsProgressNotify() && resp.Header.Revision > w.pos {
		w.pos = resp.Header.Revision
		return w.yield(store.Batch{Revision: w.pos}, nil)
	}
	return true
}

// batch translates the events of one revision.
func (w *watch) batch(revision int64, events []*clientv3.Event) store.Batch {
	b := store.Batch{Revision: revision, Events: make([]store.Event, len(events))}
	for i, ev := range events {
		b.Events[i] = store.Event{Entry: w.store.entry(ev.Kv), Deleted: ev.Type == mvccpb.Event_DELETE}
	}
	return b
}

// question is when a watch next asks etcd how far it is.
type question struct {
	watch  *watch
	timer  *time.Timer
	armed  bool
	target int64 // the revision that the watch should have reached by then
}

func newQuestion(w *watch) *question {
	q := &question{watch: w, timer: time.NewTimer(time.Hour)}
	q.timer.Stop()
	return q
}

// consider plans a question if the watch is behind and none is planned.
func (q *question) consider() {
	if !q.armed {
		q.plan(askAfter)
	}
}

// plan sets the timer if the watch is behind.
func (q *question) plan(after time.Duration) {
	q.target = q.watch.store.position.shown.Load()
	if q.armed = q.target > q.watch.pos; q.armed {
		q.timer.Reset(after)
	}
}

// due asks, if the watch has not reached the target by itself.
func (q *question) due(ctx context.Context) {
	if q.watch.pos >= q.target {
		q.plan(askAfter)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	// Its error is no answer, after which it is asked again; the answer comes with
	// the events.
	_ = q.watch.store.client.RequestProgress(ctx)
	q.plan(askAgain)
}
