package grpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/setpointhq/setpoint/api/setpointv1"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
)

// patterns subscribes to patterns of prod.
func patterns(id uint32, names ...string) *setpointv1.WatchSubscribe {
	s := &setpointv1.WatchSubscribe{Id: id}
	for _, name := range names {
		s.Patterns = append(s.Patterns, prod.Join(name).String())
	}
	return s
}

func unsubscribe(id uint32) *setpointv1.WatchRequest {
	return &setpointv1.WatchRequest{Act: &setpointv1.WatchRequest_Unsubscribe{Unsubscribe: &setpointv1.WatchUnsubscribe{Id: id}}}
}

func acknowledge(reports ...*setpointv1.InstanceReport) *setpointv1.WatchRequest {
	return &setpointv1.WatchRequest{Act: &setpointv1.WatchRequest_Acknowledge{Acknowledge: &setpointv1.WatchAcknowledge{Reports: reports}}}
}

func TestOneStreamCarriesSeveralSubscriptions(t *testing.T) {
	n := start(t)
	n.publish("a.json", "1", "b.json", "2", "c.json", "3")
	w := n.watch(n.app(), nil)
	w.subscribe(patterns(7, "a.json"))
	w.hears(`7: reset current a.json@1="1"`)
	w.subscribe(patterns(8, "b.json", "c.json"))
	w.hears(`8: reset current b.json@1="2" c.json@1="3"`)
	n.publish("a.json", "11")
	w.hears(`7: a.json@2="11"`)
	n.publish("c.json", "33", "b.json", "22")
	w.hears(`8: b.json@2="22" c.json@2="33"`)
	n.must(n.Center.DeleteConfig(n.root, center.DeleteConfig{Path: prod.Join("b.json")}))
	w.hears(`8: -b.json`)

	w.say(unsubscribe(7))
	w.hears("7: ended")
	w.say(unsubscribe(7)) // which has ended: nothing is said
	n.publish("a.json", "111")
	n.publish("c.json", "333")
	w.hears(`8: c.json@3="333"`)
	again := patterns(7, "a.json")
	again.OmitContent = true
	w.subscribe(again)
	w.hears(`7: reset current a.json@3=""`)
}

func TestASubscriptionResumes(t *testing.T) {
	n := start(t)
	n.publish("a.json", "1", "b.json", "1")
	app := n.app()
	first := n.watch(app, nil)
	first.subscribe(patterns(0, "*"))
	revision := first.next().GetChanges().GetRevision()
	n.must(first.CloseSend())
	n.publish("b.json", "2")
	first.hears(`0: b.json@2="2"`) // it goes on, though the client says nothing more

	w := n.watch(app, nil)
	resumed := patterns(1, "*")
	resumed.After = revision
	w.subscribe(resumed)
	w.hears(`1: current b.json@2="2"`)
	bad := patterns(2, "*")
	bad.After = "nonsense"
	w.subscribe(bad)
	w.hears("2: ended: ERROR_KIND_INVALID")
}

// A large delivery comes in parts; only the last of them is a state.
func TestLargeDeliveriesComeInParts(t *testing.T) {
	n := start(t)
	large := `"` + strings.Repeat("x", 600<<10) + `"`
	n.publish("a.json", large, "b.json", large, "c.json", large, "d.json", "4")
	w := n.watch(n.app(), nil)
	w.subscribe(patterns(1, "*"))
	var got []string
	for {
		c := w.next().GetChanges()
		var names []string
		for _, s := range c.GetServed() {
			names = append(names, mustPath(s.GetPath()).Name)
			if len(s.GetContent()) != int(s.GetSize()) {
				t.Errorf("%s: want %d bytes, got %d", s.GetPath(), s.GetSize(), len(s.GetContent()))
			}
		}
		got = append(got, fmt.Sprint(strings.Join(names, " "), c.GetReset_(), c.GetPartial(), c.GetCurrent()))
		if !c.GetPartial() {
			break
		}
	}
	want := []string{"a.jsontrue true false", "b.jsonfalse true false", "c.json d.jsonfalse false true"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("want %q, got %q", want, got)
	}
}

func TestAcknowledging(t *testing.T) {
	n := start(t)
	n.publish("a.json", "1")
	app := n.app()
	w := n.watch(app, &setpointv1.WatchHello{Client: app.identity})
	w.subscribe(patterns(1, "a.json"))
	w.hears(`1: reset current a.json@1="1"`)
	applied := &setpointv1.InstanceReport{Path: prod.Join("a.json").String(), Version: 1, State: setpointv1.AckState_ACK_STATE_APPLIED}
	w.say(acknowledge(applied))
	w.say(acknowledge(applied, &setpointv1.InstanceReport{Path: "acme/shop/dev/x.json", Version: 1, State: setpointv1.AckState_ACK_STATE_APPLIED}))
	w.hears("refused 2: ERROR_KIND_DENIED")
	w.say(acknowledge(&setpointv1.InstanceReport{Path: "nowhere", State: 77}))
	w.hears("refused 1: ERROR_KIND_INVALID")
	list, err := n.Center.Instances(n.root, center.InstanceRequest{Path: prod.Join("a.json")})
	n.must(err)
	if len(list.Items) != 1 || !list.Items[0].Connected || list.Items[0].Protocol != Name || list.Items[0].Holds[0].Applied != 1 ||
		!strings.HasPrefix(list.Items[0].Agent, "grpc-go/") {
		t.Errorf("want one instance that applied version 1, got %+v", list.Items)
	}
}

func TestStreamsThatGoWrong(t *testing.T) {
	n := start(t, func(s *Settings) { s.MaxSubscriptions = 2 })
	n.publish("a.json", "1")
	app := n.app()
	hello := &setpointv1.WatchRequest{Act: &setpointv1.WatchRequest_Hello{}}
	subscribe := &setpointv1.WatchRequest{Act: &setpointv1.WatchRequest_Subscribe{Subscribe: patterns(1, "a.json")}}
	for name, says := range map[string][]*setpointv1.WatchRequest{
		"no hello":                  {subscribe},
		"nothing":                   {{}},
		"nothing at all":            {},
		"hello twice":               {hello, hello},
		"an id twice":               {hello, subscribe, subscribe},
		"nothing after the hello":   {hello, {}},
		"a name that is too long":   {{Act: &setpointv1.WatchRequest_Hello{Hello: &setpointv1.WatchHello{Client: &setpointv1.ClientIdentity{Id: strings.Repeat("x", 300)}}}}},
		"a heartbeat in the past":   {{Act: &setpointv1.WatchRequest_Hello{Hello: &setpointv1.WatchHello{Heartbeat: durationpb.New(-time.Second)}}}},
		"a heartbeat without sense": {{Act: &setpointv1.WatchRequest_Hello{Hello: &setpointv1.WatchHello{Heartbeat: &durationpb.Duration{Seconds: 1, Nanos: -1}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			w := n.open(app)
			for _, m := range says {
				w.say(m)
			}
			n.must(w.CloseSend())
			if detail := refused(t, name, codes.InvalidArgument, w.end()); detail.GetMessage() == "" {
				t.Errorf("want a reason, got %v", detail)
			}
		})
	}
	t.Run("what is refused alone", func(t *testing.T) {
		w := n.watch(app, nil)
		w.subscribe(&setpointv1.WatchSubscribe{Id: 1, Patterns: []string{"acme/shop/dev"}})
		w.hears("1: ended: ERROR_KIND_DENIED")
		w.subscribe(&setpointv1.WatchSubscribe{Id: 1})
		w.hears("1: ended: ERROR_KIND_INVALID")
		w.subscribe(patterns(1, "a.json"))
		w.hears(`1: reset current a.json@1="1"`)
		w.subscribe(patterns(2, "a.json"))
		w.hears(`2: reset current a.json@1="1"`)
		w.subscribe(patterns(3, "a.json"))
		w.hears("3: ended: ERROR_KIND_LIMIT_EXCEEDED")
	})
}

// end reads until the stream ends, and returns why; nil if all is well.
func (w *watching) end() error {
	for {
		if _, err := w.Recv(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func TestRightsAreLookedAtAgain(t *testing.T) {
	n := start(t)
	n.publish("a.json", "1")
	app := n.app()
	w := n.watch(app, nil)
	w.subscribe(patterns(1, "a.json"))
	w.hears(`1: reset current a.json@1="1"`)
	bindings, err := n.Center.Bindings(n.root, center.BindingsRequest{User: "app"})
	n.must(err)
	n.must(n.Center.DeleteBinding(n.root, bindings.Items[0].ID))
	w.hears("1: ended: ERROR_KIND_DENIED") // without anything having changed
	n.must(n.Center.DeleteUser(n.root, "app", ""))
	refused(t, "the stream", codes.Unauthenticated, w.end())
}

func TestHeartbeats(t *testing.T) {
	n := start(t)
	w := n.open(n.app())
	w.say(&setpointv1.WatchRequest{Act: &setpointv1.WatchRequest_Hello{Hello: &setpointv1.WatchHello{Heartbeat: durationpb.New(time.Millisecond)}}})
	if got := w.next().GetWelcome().GetHeartbeat().AsDuration(); got != leastHeartbeat {
		t.Errorf("want beats every %s, got %s", leastHeartbeat, got)
	}
	w.hears("heartbeat", "heartbeat")
}

func TestWatchesAreBounded(t *testing.T) {
	n := start(t, func(s *Settings) { s.MaxWatchers = 1 })
	app := n.app()
	w := n.watch(app, nil)
	refused(t, "one watch more", codes.Unavailable, n.open(app).end())
	n.must(w.CloseSend())
	w.subscribeAfterClose(t)
}

// subscribeAfterClose shows that a side that is closed stays so.
func (w *watching) subscribeAfterClose(t *testing.T) {
	t.Helper()
	if err := w.Send(&setpointv1.WatchRequest{}); err == nil {
		t.Error("want no more to be sent")
	}
}

func TestWithoutAHello(t *testing.T) {
	n := start(t, func(s *Settings) { s.HandshakeTimeout = 2 * time.Second })
	refused(t, "a watch without a hello", codes.DeadlineExceeded, n.open(n.app()).end())
}

// A client that reads nothing holds up nobody, and is shed.
func TestAClientThatDoesNotRead(t *testing.T) {
	n := start(t, func(s *Settings) { s.StreamWriteTimeout = 300 * time.Millisecond })
	content := `"` + strings.Repeat("x", 900<<10) + `"`
	app := n.app()
	stuck := n.watch(app, nil)
	stuck.subscribe(patterns(1, "*"))
	reader := n.user("reader", auth.Grant{Role: auth.RoleClient, Scope: prod})
	w := n.watch(reader, nil)
	w.subscribe(patterns(1, "*"))
	w.next()
	for i := range 4 {
		n.publish("a.json", content)
		if got := w.next().GetChanges().GetServed()[0].GetVersion(); got != int64(i+1) {
			t.Fatalf("want version %d, got %d", i+1, got)
		}
	}
	n.eventually("the client that does not read to be shed", func() bool { return len(n.api.streams.list()) == 1 })
}

// eventually waits for something that happens by itself.
func (n *node) eventually(what string, holds func() bool) {
	n.t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	for !holds() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			n.t.Fatalf("want %s", what)
		}
	}
}

func TestTheNodeGoesAway(t *testing.T) {
	n := start(t)
	n.publish("a.json", "1")
	app := n.app()
	w := n.watch(app, nil)
	w.subscribe(patterns(1, "a.json"))
	w.hears(`1: reset current a.json@1="1"`)
	unheard := n.open(app)
	closed := make(chan error, 1)
	go func() { closed <- n.Opened.Close(n.ctx()) }()
	m := w.next()
	if wait := m.GetGoingAway().GetRetryAfter().AsDuration(); wait < time.Second || wait > 2*time.Second {
		t.Errorf("want to be told when to come back, got %v", m)
	}
	if err := w.end(); err != nil {
		t.Errorf("want the stream to end well, got %v", err)
	}
	refused(t, "a watch without a hello", codes.Unavailable, unheard.end())
	n.must(<-closed)
}

// What is left of a stream that the client breaks off is nothing.
func TestClientsThatGo(t *testing.T) {
	n := start(t)
	n.publish("a.json", "1")
	app := n.app()
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		open, err := app.data.Watch(ctx)
		n.must(err)
		w := &watching{n, open}
		w.say(&setpointv1.WatchRequest{Act: &setpointv1.WatchRequest_Hello{}})
		w.subscribe(patterns(1, "*"))
		w.next()
		cancel()
	}
	n.eventually("all streams to be gone", func() bool { return len(n.api.streams.list()) == 0 })
}

// What many are told alike is encoded once; another id of the subscription, or
// contents left out, are another message.
func TestWatchersShareMessages(t *testing.T) {
	n := start(t)
	n.publish("a.json", "1")
	app := n.app()
	var all []*watching
	for range 4 {
		w := n.watch(app, nil)
		w.subscribe(patterns(1, "a.json"))
		w.hears(`1: reset current a.json@1="1"`)
		all = append(all, w)
	}
	if got := n.api.messages.Len(); got != 1 {
		t.Errorf("want one message for all, got %d", got)
	}
	all[0].subscribe(patterns(2, "a.json"))
	all[0].hears(`2: reset current a.json@1="1"`)
	brief := patterns(3, "a.json")
	brief.OmitContent = true
	all[0].subscribe(brief)
	all[0].hears(`3: reset current a.json@1=""`)
	n.publish("a.json", "2")
	for _, w := range all[1:] {
		w.hears(`1: a.json@2="2"`)
	}
}
