package grpc

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	rpc "google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/setpointhq/setpoint/api/setpointv1"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/fragment"
)

// The bounds of the heartbeats that a client can ask for.
const (
	leastHeartbeat = time.Second
	mostHeartbeat  = time.Hour
)

// Watch implements setpointv1.DataServiceServer.
func (s *service) Watch(open rpc.BidiStreamingServer[setpointv1.WatchRequest, setpointv1.WatchResponse]) error {
	generic, isGeneric := open.(*rpc.GenericServerStream[setpointv1.WatchRequest, setpointv1.WatchResponse])
	if !isGeneric {
		return errors.New("a watch was not opened by call")
	}
	c, isCall := generic.ServerStream.(*call)
	if !isCall {
		return errors.New("a watch was not opened by call")
	}
	one := &stream{api: s.api, call: c, opened: time.Now()}
	one.checkAt = one.opened.Add(time.Duration(rand.Int64N(int64(s.settings.Recheck)) + 1)) //nolint:gosec // spreads load, guards nothing
	one.leaveAt = s.leaveAt(c.came(), one.opened)
	if err := s.streams.enter(one, s.settings.MaxWatchers); err != nil {
		return err
	}
	s.observer.ObserveStreams(Name, 1)
	c.note(ok) // how long it lasts says nothing of how quick the server is
	one.finish(s.guarded(c.ctx, one.receive))
	one.handle()
	return nil
}

// leaveAt is when a watch is told to come again, elsewhere perhaps; zero for never.
func (a *api) leaveAt(from *origin, opened time.Time) time.Time {
	age := a.settings.MaxAge
	if age <= 0 {
		return time.Time{}
	}
	known, own := from.connection()
	if !own {
		return opened.Add(age + time.Duration(rand.Int64N(int64(age/5)+1)) - age/10) //nolint:gosec // spreads load, guards nothing
	}
	// The library asks for another connection after the age, give or take a tenth, and
	// cuts this one when the grace is over.
	spread := age / 10
	if grace := a.settings.MaxAgeGrace; grace > 0 {
		spread = min(spread, grace/2)
	}
	return known.since.Add(age + age/10 + time.Duration(rand.Int64N(int64(spread)+1))) //nolint:gosec // spreads load, guards nothing
}

// receive takes what the client sends until the stream ends, or the client sends
// what it may not.
func (s *stream) receive() error {
	in := &setpointv1.WatchRequest{}
	for {
		err := s.call.RecvMsg(in)
		switch {
		case err == nil:
			err = s.take(in)
		case errors.Is(err, io.EOF) && s.hasGreeted():
			<-s.call.ctx.Done() // the client has nothing more to say, and listens
			return s.call.ctx.Err()
		case errors.Is(err, io.EOF):
			err = malformed("", "the first message of a watch is a hello; there was none")
		}
		if err != nil {
			return err
		}
	}
}

func (s *stream) hasGreeted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.greeted
}

// take does what a message asks for. An error is that of the whole stream.
func (s *stream) take(in *setpointv1.WatchRequest) error {
	hello, isHello := in.GetAct().(*setpointv1.WatchRequest_Hello)
	if greeted := s.hasGreeted(); isHello && !greeted {
		return s.greet(hello.Hello)
	} else if !greeted {
		return malformed("", "the first message of a watch is a hello")
	}
	switch act := in.GetAct().(type) {
	case *setpointv1.WatchRequest_Subscribe:
		return s.subscribe(act.Subscribe)
	case *setpointv1.WatchRequest_Unsubscribe:
		s.unsubscribe(act.Unsubscribe.GetId())
		return nil
	case *setpointv1.WatchRequest_Acknowledge:
		return s.acknowledge(act.Acknowledge)
	case *setpointv1.WatchRequest_Hello:
		return malformed("hello", "it is the first message of a watch, and only that")
	}
	return malformed("act", "the message asks for nothing that this server knows")
}

func (s *stream) greet(hello *setpointv1.WatchHello) error {
	var q asked
	client := q.client(s.call.ctx, hello.GetClient())
	every := q.span("hello.heartbeat", hello.GetHeartbeat())
	if q.err != nil {
		return q.err
	}
	s.client = client
	welcome := &setpointv1.WatchWelcome{RetryAfter: s.retry()}
	if every > 0 {
		every = min(max(every, leastHeartbeat), mostHeartbeat)
		welcome.Heartbeat = durationpb.New(every)
	}
	s.mu.Lock()
	s.greeted, s.every = true, every
	s.mu.Unlock()
	s.sent.Store(time.Now().UnixNano())
	return s.post(&setpointv1.WatchResponse{Event: &setpointv1.WatchResponse_Welcome{Welcome: welcome}})
}

func (s *stream) subscribe(in *setpointv1.WatchSubscribe) error {
	sub := &subscription{stream: s, id: in.GetId(), sort: fragment.ChangeContent}
	if in.GetOmitContent() {
		sub.sort = fragment.ChangeOnly
	}
	taken, open := s.find(sub.id)
	if taken != nil {
		return malformed("subscribe.id", "a subscription of the stream has this id; give each its own")
	}
	if most := s.api.settings.MaxSubscriptions; open >= most {
		return s.tellEnded(sub.id, config.Errorf(config.Exhausted, "config.watch", "", "a watch carries at most %d subscriptions (max_subscriptions)", most))
	}
	watch, err := s.api.center.Watch(s.call.ctx, center.WatchRequest{
		Patterns: in.GetPatterns(), Client: s.client, After: config.Token(in.GetAfter()), Protocol: Name,
	}, sub.notify)
	if err != nil {
		return s.tellEnded(sub.id, err)
	}
	if !s.add(sub, watch) {
		watch.Close()
	}
	return nil
}

// unsubscribe ends a subscription. One that is not there has ended by itself
// while the client said so.
func (s *stream) unsubscribe(id uint32) {
	sub, _ := s.find(id)
	if sub == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sub.ending = true
	s.queue(sub)
	s.hasWork()
}

// find returns the subscription with an id, nil if there is none, and how many
// there are.
func (s *stream) find(id uint32) (found *subscription, open int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sub := range s.subs {
		if sub.id == id {
			found = sub
		}
	}
	return found, len(s.subs)
}

func (s *stream) acknowledge(in *setpointv1.WatchAcknowledge) error {
	err := s.api.report(s.call.ctx, s.client, in.GetReports())
	if err == nil {
		return nil
	}
	return s.post(&setpointv1.WatchResponse{Event: &setpointv1.WatchResponse_ReportsRefused{
		ReportsRefused: &setpointv1.WatchReportsRefused{Error: s.detail(err), Reports: in.GetReports()},
	}})
}

// tellEnded says that nothing more comes for a subscription; err is nil if the
// client wanted it so.
func (s *stream) tellEnded(id uint32, err error) error { return s.post(s.endedMessage(id, err)) }

func (s *stream) endedMessage(id uint32, err error) *setpointv1.WatchResponse {
	ended := &setpointv1.WatchSubscriptionEnded{}
	if err != nil {
		ended.Error = s.detail(err)
	}
	return &setpointv1.WatchResponse{SubscriptionId: id, Event: &setpointv1.WatchResponse_SubscriptionEnded{SubscriptionEnded: ended}}
}

// detail renders an error that is not the stream's end.
func (s *stream) detail(err error) *setpointv1.ErrorDetail {
	id := auth.RequestFrom(s.call.ctx).ID
	if config.KindOf(err) == config.Internal {
		s.api.log.ErrorContext(s.call.ctx, "watch failed", "request_id", id, "error", err)
	}
	return detailOf(err, id, messageRoom)
}

// deliver sends what is new of a subscription. It is the sender's.
func (s *stream) deliver(sub *subscription, ending bool) {
	if ending {
		s.drop(sub, nil)
		return
	}
	if !s.tellStale() {
		return
	}
	began := time.Now()
	d, more, err := sub.watch.Next()
	switch {
	case err != nil && config.KindOf(err) == config.Unauthenticated:
		s.finish(err) // which goes for all subscriptions
		return
	case err != nil:
		s.drop(sub, err)
		return
	case !more:
		return
	}
	sent, err := s.sendDelivery(s.call.ctx, sub, &d)
	if err != nil {
		s.drop(sub, err)
		return
	}
	s.api.observer.ObserveDelivery(Name, sent, time.Since(began))
}

// drop ends a subscription: its id is free, and its last message is sent.
func (s *stream) drop(sub *subscription, err error) {
	sub.watch.Close()
	s.mu.Lock()
	s.subs = slices.DeleteFunc(s.subs, func(other *subscription) bool { return other == sub })
	s.mu.Unlock()
	s.send(s.endedMessage(sub.id, err))
}

// sendDelivery sends a delivery in as many messages as it takes. The error is
// that of a content which cannot be had; a client that is gone is none.
func (s *stream) sendDelivery(ctx context.Context, sub *subscription, d *center.Delivery) (sent int, err error) {
	if fragment.Size(d, sub.sort) <= fragment.Whole {
		m, err := s.api.message(ctx, sub, d)
		if err == nil {
			s.send(m)
			sent = m.parts.Len()
		}
		return sent, err
	}
	message := changes{revision: string(d.Revision), reset: d.Reset}
	flush := func() bool {
		m, size := message.encode(sub.id)
		message.clear()
		sent += size
		return s.send(m)
	}
	for i := range d.Changes {
		part, err := s.api.part(ctx, sub, d.Changes[i].Release)
		if err != nil {
			return sent, err
		}
		if message.size > 0 && message.size+len(part) > fullMessage {
			message.partial = true
			if !flush() {
				return sent, nil
			}
		}
		message.add(d.Changes[i].Path, part)
	}
	message.current = d.Current
	flush()
	return sent, nil
}

// part returns what is told of a release, encoded; nil if there is none.
func (a *api) part(ctx context.Context, sub *subscription, r *config.Release) ([]byte, error) {
	if r == nil {
		return nil, nil
	}
	return a.fragments.Get(ctx, r, sub.sort, sub.watch.Content)
}

// message returns a whole delivery as all are sent it who are told the same.
func (a *api) message(ctx context.Context, sub *subscription, d *center.Delivery) (*encoded, error) {
	var scratch [256]byte
	key := fragment.AppendKey(binary.AppendUvarint(scratch[:0], uint64(sub.id)), d, sub.sort)
	return a.messages.Get(ctx, key, func() (*encoded, error) {
		message := changes{revision: string(d.Revision), reset: d.Reset, current: d.Current}
		for i := range d.Changes {
			part, err := a.part(ctx, sub, d.Changes[i].Release)
			if err != nil {
				return nil, err
			}
			message.add(d.Changes[i].Path, part)
		}
		m, _ := message.encode(sub.id)
		return m.joined(), nil
	})
}

// tellStale tells the client that the node is cut off, or no longer is, if that
// has changed since it was last told; false if the client is gone.
func (s *stream) tellStale() bool {
	stale := s.api.center.Staleness()
	if (stale > 0) == s.told {
		return true
	}
	s.told = stale > 0
	return s.send(&setpointv1.WatchResponse{Event: &setpointv1.WatchResponse_Stale{
		Stale: &setpointv1.WatchStale{Stale: durationpb.New(stale)},
	}})
}
