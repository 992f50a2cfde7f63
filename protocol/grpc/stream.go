package grpc

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/setpointhq/setpoint/api/setpointv1"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/fragment"
)

// stream is one open watch. The handler's goroutine receives what the client says,
// until the stream ends; the crew sends, while there is something to send.
type stream struct {
	api     *api
	call    *call
	opened  time.Time
	leaveAt time.Time     // when the client is told to come again; zero for never
	client  config.Client // the receiver's, once it has greeted

	// sending is since when a message is being sent, sent is when the last one was:
	// Unix times in nanoseconds, 0 for never.
	sending, sent atomic.Int64
	told          bool // the sender's: that the node is cut off

	mu       sync.Mutex
	subs     []*subscription
	waiting  []*subscription             // have something to send, each once
	outbox   []*setpointv1.WatchResponse // what goes before
	writing  bool                        // the crew sends, or soon will
	handled  bool                        // the handler is not there any more
	released bool
	ended    bool
	greeted  bool
	leaving  bool          // say good-bye, and end
	recheck  bool          // look whether the credentials are still good
	beat     bool          // say that nothing happened
	every    time.Duration // between beats; 0 for none
	checkAt  time.Time
}

// subscription is one of a stream's. The stream's lock guards it.
type subscription struct {
	stream *stream
	id     uint32
	sort   fragment.Sort
	watch  *center.Watch // nil until it is open
	queued bool          // among those that wait
	ending bool          // the client does not want it any more
}

// mostOutbox is how many small messages wait for a client that does not read.
const mostOutbox = 256

// notify is called from the view's loop.
func (sub *subscription) notify() {
	s := sub.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue(sub)
	s.hasWork()
}

// queue has a subscription looked at; the lock is held.
func (s *stream) queue(sub *subscription) {
	if !sub.queued {
		sub.queued = true
		s.waiting = append(s.waiting, sub)
	}
}

// hasWork sees to it that somebody sends; the lock is held.
func (s *stream) hasWork() {
	if !s.writing && !s.ended {
		s.writing = true
		s.api.crew.Add(s)
	}
}

// post sends a small message before all that waits.
func (s *stream) post(m *setpointv1.WatchResponse) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.outbox) >= mostOutbox {
		return config.Errorf(config.Exhausted, "config.watch", "", "%d answers wait to be read; read before you send more", mostOutbox)
	}
	s.outbox = append(s.outbox, m)
	s.hasWork()
	return nil
}

// finish ends the stream; the first to say how is heard.
func (s *stream) finish(result error) {
	s.mu.Lock()
	first := !s.ended
	s.ended = true
	s.mu.Unlock()
	if first {
		s.call.end(result)
	}
}

// handle says that the handler is about to return.
func (s *stream) handle() {
	s.mu.Lock()
	s.handled = true
	s.mu.Unlock()
	s.release()
}

// add begins to serve a subscription; false if the stream has ended.
func (s *stream) add(sub *subscription, watch *center.Watch) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	sub.watch = watch
	s.subs = append(s.subs, sub)
	s.queue(sub)
	s.hasWork()
	return true
}

// leave has the client told that the node goes away.
func (s *stream) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaving = true
	s.hasWork()
}

// tick looks whether the stream is due for something.
func (s *stream) tick(now time.Time) {
	limits := &s.api.settings
	if since := s.sending.Load(); since != 0 && now.UnixNano()-since > int64(limits.StreamWriteTimeout) {
		s.finish(config.Errorf(config.Timeout, "config.watch", "", "the client took in nothing for %s", limits.StreamWriteTimeout))
		return
	}
	s.mu.Lock()
	late := !s.greeted && now.Sub(s.opened) > limits.HandshakeTimeout
	if s.every > 0 && now.UnixNano()-s.sent.Load() >= int64(s.every) {
		s.beat = true
	}
	if !now.Before(s.checkAt) {
		s.recheck, s.checkAt = true, now.Add(limits.Recheck)
	}
	if !s.leaveAt.IsZero() && now.After(s.leaveAt) {
		s.leaving = true
	}
	if s.beat || s.recheck || s.leaving {
		s.hasWork()
	}
	s.mu.Unlock()
	if late {
		s.finish(config.Errorf(config.Timeout, "config.watch", "", "there was no hello within %s", limits.HandshakeTimeout))
	}
}

// Work implements crew.Job: it sends until there is nothing more to send.
func (s *stream) Work() {
	for s.writes() {
		if err := s.api.guarded(s.call.ctx, s.step); err != nil {
			s.finish(err)
		}
	}
	s.release()
}

// writes tells whether there is something to send. If not, the sender is gone.
func (s *stream) writes() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended && (len(s.outbox) > 0 || s.leaving || s.recheck || len(s.waiting) > 0 || s.beat) {
		return true
	}
	s.waiting, s.outbox = nil, nil // an idle stream keeps no room
	s.writing = false
	return false
}

// step does what the sender does next.
func (s *stream) step() error {
	if do := s.next(); do != nil {
		do()
	}
	return nil
}

// next is what the sender does next; nil if nothing.
func (s *stream) next() func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended:
	case len(s.outbox) > 0:
		m := s.outbox[0]
		s.outbox = s.outbox[1:]
		return func() { s.send(m) }
	case s.leaving:
		return s.goodbye
	case s.recheck:
		s.recheck = false
		return s.prove
	case len(s.waiting) > 0:
		sub := s.waiting[0]
		s.waiting = s.waiting[1:]
		sub.queued = false
		if sub.watch == nil { // it will be queued again
			return nil
		}
		ending := sub.ending
		return func() { s.deliver(sub, ending) }
	case s.beat:
		s.beat = false
		return func() {
			s.send(&setpointv1.WatchResponse{Event: &setpointv1.WatchResponse_Heartbeat{Heartbeat: &setpointv1.WatchHeartbeat{}}})
		}
	}
	return nil
}

// release gives everything back once neither handler nor sender is there. It
// closes subscriptions without the lock, which whoever wakes them wants.
func (s *stream) release() {
	s.mu.Lock()
	if !s.handled || s.writing || s.released {
		s.mu.Unlock()
		return
	}
	s.released = true
	subs := s.subs
	s.subs = nil
	s.mu.Unlock()
	for _, sub := range subs {
		sub.watch.Close()
	}
	s.api.streams.left(s)
	s.api.observer.ObserveStreams(Name, -1)
}

// send sends one message; false if the client is gone.
func (s *stream) send(m any) bool {
	s.sending.Store(time.Now().UnixNano())
	err := s.call.SendMsg(m)
	s.sent.Store(time.Now().UnixNano())
	s.sending.Store(0)
	if err != nil {
		s.finish(config.Errorf(config.Canceled, "config.watch", "", "the client is gone"))
	}
	return err == nil
}

// goodbye is the last that a client hears from a node that goes away.
func (s *stream) goodbye() {
	s.mu.Lock()
	greeted := s.greeted
	s.mu.Unlock()
	if !greeted {
		s.finish(errGoing("config.watch"))
		return
	}
	s.send(&setpointv1.WatchResponse{Event: &setpointv1.WatchResponse_GoingAway{
		GoingAway: &setpointv1.WatchGoingAway{RetryAfter: s.retry()},
	}})
	s.finish(nil)
}

// retry is how long to wait before coming back: another time for each client, so
// that after a restart they do not all come at once.
func (s *stream) retry() *durationpb.Duration {
	return jittered(s.api.settings.StreamRetry, rand.Int64N)
}

// prove looks whether the token or certificate that the stream was opened with is
// still good, and has every subscription look whether its rights are: Next does. A password
// Next looks at as well.
func (s *stream) prove() {
	byCertificate := len(s.call.came().values("authorization")) == 0
	if byCertificate || auth.FromContext(s.call.ctx).TokenID != "" {
		_, err := s.call.identify()
		if kind := config.KindOf(err); err != nil && (kind == config.Unauthenticated || kind == config.Denied) {
			s.finish(err)
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sub := range s.subs {
		s.queue(sub)
	}
}
