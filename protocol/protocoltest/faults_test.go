package protocoltest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

// verdict is a test that may fail without anybody's test failing.
type verdict struct {
	testing.TB
	mu       sync.Mutex
	failures []string
	cleanups []func()
}

func (v *verdict) Helper() {}

func (v *verdict) Errorf(format string, args ...any) { v.Error(fmt.Sprintf(format, args...)) }

func (v *verdict) Error(args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.failures = append(v.failures, fmt.Sprint(args...))
}

func (v *verdict) Fatalf(format string, args ...any) { v.Fatal(fmt.Sprintf(format, args...)) }

func (v *verdict) Fatal(args ...any) {
	v.Error(args...)
	runtime.Goexit()
}

func (v *verdict) Cleanup(f func()) { v.cleanups = append(v.cleanups, f) }

// judge returns what run finds wrong.
func judge(t *testing.T, run func(testing.TB)) []string {
	v := &verdict{TB: t}
	done := make(chan struct{})
	go func() { // which Fatal may end
		defer close(done)
		run(v)
	}()
	<-done
	for _, cleanup := range slices.Backward(v.cleanups) {
		cleanup()
	}
	return v.failures
}

// find returns a scenario by its group and name.
func find(t *testing.T, place string) scenario {
	t.Helper()
	for _, g := range groups() {
		for _, s := range g.scenarios {
			if g.name+"/"+s.name == place {
				return s
			}
		}
	}
	t.Fatalf("there is no scenario %q", place)
	return scenario{}
}

// broken is a reference with some of its methods replaced.
type broken struct {
	*reference
	get      func(context.Context, Read) (Served, error)
	snapshot func(context.Context, Read) (Snapshot, error)
	publish  func(context.Context, center.Publish) (config.ChangeSet, error)
	watch    func(context.Context, WatchRequest) (Stream, error)
	report   func(context.Context, []center.InstanceReport) error
	listApps func(context.Context, string, center.PageRequest) (config.Page[config.App], error)
}

func (b *broken) Get(ctx context.Context, r Read) (Served, error) { return b.get(ctx, r) }

func (b *broken) Snapshot(ctx context.Context, r Read) (Snapshot, error) { return b.snapshot(ctx, r) }

func (b *broken) Publish(ctx context.Context, p center.Publish) (config.ChangeSet, error) {
	return b.publish(ctx, p)
}

func (b *broken) Watch(ctx context.Context, r WatchRequest) (Stream, error) { return b.watch(ctx, r) }

func (b *broken) Report(ctx context.Context, all []center.InstanceReport) error {
	return b.report(ctx, all)
}

func (b *broken) ListApps(ctx context.Context, tenant string, r center.PageRequest) (config.Page[config.App], error) {
	return b.listApps(ctx, tenant, r)
}

// spoil is the reference, spoilt.
func spoil(edit func(*broken)) Protocol {
	p := Reference()
	p.patience = time.Second
	p.Connect = func(_ testing.TB, n *Node, as Caller) Client {
		r := newReference(n, as)
		b := &broken{reference: r, get: r.Get, snapshot: r.Snapshot, publish: r.Publish, watch: r.Watch, report: r.Report, listApps: r.ListApps}
		edit(b)
		return b
	}
	return p
}

// tampered is a stream whose events are edited; nil are not delivered.
type tampered struct {
	Stream
	edit func(Event) []Event
	rest []Event
}

func (s *tampered) Next(ctx context.Context) (Event, error) {
	for len(s.rest) == 0 {
		e, err := s.Stream.Next(ctx)
		if err != nil {
			return e, err
		}
		s.rest = s.edit(e)
	}
	e := s.rest[0]
	s.rest = s.rest[1:]
	return e, nil
}

func tamper(edit func(Event) []Event) func(*broken) {
	return func(b *broken) {
		b.watch = func(ctx context.Context, r WatchRequest) (Stream, error) {
			s, err := b.reference.Watch(ctx, r)
			if err != nil {
				return nil, err
			}
			return &tampered{Stream: s, edit: edit}, nil
		}
	}
}

// blame edits the errors of publishes and reads.
func blame(edit func(*config.Error)) func(*broken) {
	edited := func(err error) error {
		if err == nil {
			return nil
		}
		e := *config.AsError(err)
		e.Problems = slices.Clone(e.Problems)
		edit(&e)
		return &e
	}
	return func(b *broken) {
		b.get = func(ctx context.Context, r Read) (Served, error) {
			s, err := b.reference.Get(ctx, r)
			return s, edited(err)
		}
		b.publish = func(ctx context.Context, p center.Publish) (config.ChangeSet, error) {
			s, err := b.reference.Publish(ctx, p)
			return s, edited(err)
		}
	}
}

// TestFaultsAreFound spoils the reference in one way at a time, and wants the
// scenario that is about it to fail.
func TestFaultsAreFound(t *testing.T) {
	for _, c := range []struct {
		fault string
		place string
		edit  func(*broken)
	}{
		{"errors lose their kind", "errors/every kind of a read", blame(func(e *config.Error) { e.Kind = config.Internal })},
		{"errors lose their kind", "errors/every kind of a publish", blame(func(e *config.Error) { e.Kind = config.Internal })},
		{"one kind becomes another", "errors/every kind of a read", blame(func(e *config.Error) {
			if e.Kind == config.Exhausted {
				e.Kind = config.Throttled
			}
		})},
		{"the cause of a defect is told", "errors/the cause of a defect stays inside", blame(func(e *config.Error) {
			if e.Kind == config.Internal {
				e.Err = errors.New("the password of the engine is xyzzy")
			}
		})},
		{"conflicts lose the version", "releases/a conditional publish, and the version of its conflict", blame(func(e *config.Error) { e.Current = 0 })},
		{"a version goes through a float", "errors/every kind of a publish", blame(func(e *config.Error) { e.Current = int64(float64(e.Current)) })},
		{"problems lose their place", "releases/a change set is all or nothing, with every problem", blame(func(e *config.Error) {
			for i := range e.Problems {
				e.Problems[i].Column = 0
			}
		})},
		{"only the first problem is told", "releases/a change set is all or nothing, with every problem", blame(func(e *config.Error) { e.Problems = e.Problems[:min(1, len(e.Problems))] })},
		{"a watch loses a change", "watches/a change set at once", tamper(func(e Event) []Event {
			if len(e.Changes) > 2 && !e.Reset {
				e.Changes = e.Changes[1:]
			}
			return []Event{e}
		})},
		{"a change set comes in pieces", "watches/a change set at once", tamper(func(e Event) (all []Event) {
			if e.Reset || len(e.Changes) == 0 {
				return []Event{e}
			}
			for _, c := range e.Changes {
				all = append(all, Event{Revision: e.Revision, Changes: []Change{c}})
			}
			return all
		})},
		{"deletions are not told", "watches/deleted and brought back", tamper(func(e Event) []Event {
			e.Changes = slices.DeleteFunc(e.Changes, func(c Change) bool { return c.Deleted })
			return []Event{e}
		})},
		{"there is no marker", "watches/a snapshot, then the marker", tamper(func(e Event) []Event {
			e.Current = false
			return []Event{e}
		})},
		{"snapshots do not say so", "watches/a snapshot, then the marker", tamper(func(e Event) []Event {
			e.Reset = false
			return []Event{e}
		})},
		{"watches begin anew", "resuming/what changed meanwhile, and the marker", anew},
		{"watches begin anew", "resuming/by a token of another protocol, and back", anew},
		{"tokens are believed whatever they are", "resuming/from where nobody can resume", tamper(func(e Event) []Event {
			e.Reset = false
			return []Event{e}
		})},
		{"a watch reads ahead", "watches/a slow one gets the latest", ahead},
		{"a watch outlives its token", "watches/ended by a revoked token", func(b *broken) {
			b.watch = func(ctx context.Context, r WatchRequest) (Stream, error) {
				root := newReference(b.node, b.node.admin)
				return root.Watch(ctx, r)
			}
		}},
		{"a watch is of everybody", "rollouts/each client watches what it is resolved to", func(b *broken) { b.caller.Instance = config.Client{} }},
		{"a read is of everybody", "rollouts/each client reads what it is resolved to", func(b *broken) { b.caller.Instance = config.Client{} }},
		{"slots are not sent", "rollouts/slots by name and by switch", func(b *broken) { b.caller.Instance.Slot = "" }},
		{"an env is read piece by piece", "reads/an env is as of one revision", piecemeal},
		{"content is sent whatever the client has", "reads/not modified", func(b *broken) {
			b.get = func(ctx context.Context, r Read) (Served, error) {
				r.Have = ""
				return b.reference.Get(ctx, r)
			}
		}},
		{"reads are as old as they like", "reads/one's own writes, and the newest", func(b *broken) {
			b.get = func(ctx context.Context, r Read) (Served, error) {
				r.MinRevision, r.Strong = "", false
				return b.reference.Get(ctx, r)
			}
		}},
		{"line ends are mended", "content/published byte for byte", publishing(func(text string) string { return strings.ReplaceAll(text, "\r\n", "\n") })},
		{"the byte order mark is lost", "content/published byte for byte", publishing(func(text string) string { return strings.TrimPrefix(text, "\ufeff") })},
		{"what is no text is replaced", "content/bytes that are no text", publishing(func(text string) string { return strings.ToValidUTF8(text, "\ufffd") })},
		{"a change set is published item by item", "releases/a change set is all or nothing, with every problem", oneByOne},
		{"who may not is told what there is", "authorization/whoever may not learns nothing of reads", talkative},
		{"a page is all there is", "scopes/listed page by page", func(b *broken) {
			b.listApps = func(ctx context.Context, tenant string, _ center.PageRequest) (config.Page[config.App], error) {
				return b.reference.ListApps(ctx, tenant, center.PageRequest{})
			}
		}},
		{"reports are thrown away", "instances/reports are noted", func(b *broken) {
			b.report = func(context.Context, []center.InstanceReport) error { return nil }
		}},
	} {
		t.Run(c.fault, func(t *testing.T) {
			s := find(t, c.place)
			node := Start(t, nil)
			if found := judge(t, func(tb testing.TB) { s.run(newStage(tb, Reference(), node)) }); len(found) > 0 {
				t.Fatalf("%s fails on a fresh node without the fault: %s", c.place, found[0])
			}
			if found := judge(t, func(tb testing.TB) { s.run(newStage(tb, spoil(c.edit), node)) }); len(found) == 0 {
				t.Errorf("%s does not find it", c.place)
			}
		})
	}
}

func anew(b *broken) {
	b.watch = func(ctx context.Context, r WatchRequest) (Stream, error) {
		r.After = ""
		return b.reference.Watch(ctx, r)
	}
}

// publishing edits contents on their way.
func publishing(edit func(string) string) func(*broken) {
	return func(b *broken) {
		b.publish = func(ctx context.Context, p center.Publish) (config.ChangeSet, error) {
			for i := range p.Items {
				p.Items[i].Content = []byte(edit(string(p.Items[i].Content)))
			}
			return b.reference.Publish(ctx, p)
		}
	}
}

func oneByOne(b *broken) {
	b.publish = func(ctx context.Context, p center.Publish) (set config.ChangeSet, err error) {
		items := p.Items
		for i := range items {
			p.Items = items[i : i+1]
			_, failed := b.reference.Publish(ctx, p)
			err = errors.Join(err, failed)
		}
		return set, err
	}
}

// piecemeal reads one config after the other, and lets what is published meanwhile
// come between them.
func piecemeal(b *broken) {
	const patience = 1000
	b.snapshot = func(ctx context.Context, r Read) (Snapshot, error) {
		s, err := b.reference.Snapshot(ctx, r)
		for i := range s.Configs {
			c := &s.Configs[i]
			one, err := b.reference.Get(ctx, Read{Path: c.Path})
			for try := 0; err == nil && i > 0 && one.Version == s.Configs[0].Version && try < patience; try++ {
				runtime.Gosched()
				one, err = b.reference.Get(ctx, Read{Path: c.Path})
			}
			if err != nil {
				return s, err
			}
			c.Version, c.Content = one.Version, one.Content
		}
		return s, err
	}
}

// talkative looks whether a config is there before it asks who asks.
func talkative(b *broken) {
	b.get = func(ctx context.Context, r Read) (Served, error) {
		if _, err := newReference(b.node, b.node.admin).Get(ctx, r); err != nil {
			return Served{}, err
		}
		return b.reference.Get(ctx, r)
	}
}

// ahead takes in all that there is as soon as it comes.
func ahead(b *broken) {
	b.watch = func(ctx context.Context, r WatchRequest) (Stream, error) {
		s, err := b.reference.Watch(ctx, r)
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithCancel(ctx)
		a := &reading{Stream: s, cancel: cancel, done: make(chan struct{}), more: make(chan struct{}, 1)}
		go a.run(ctx)
		return a, nil
	}
}

// reading is a stream that reads without an end.
type reading struct {
	Stream
	cancel context.CancelFunc
	done   chan struct{}
	more   chan struct{}
	mu     sync.Mutex
	events []Event
}

func (a *reading) run(ctx context.Context) {
	defer close(a.done)
	for {
		e, err := a.Stream.Next(ctx)
		if err != nil {
			return
		}
		a.mu.Lock()
		a.events = append(a.events, e)
		a.mu.Unlock()
		select {
		case a.more <- struct{}{}:
		default:
		}
	}
}

func (a *reading) Next(ctx context.Context) (Event, error) {
	for {
		a.mu.Lock()
		if len(a.events) > 0 {
			e := a.events[0]
			a.events = a.events[1:]
			a.mu.Unlock()
			return e, nil
		}
		a.mu.Unlock()
		select {
		case <-a.more:
		case <-ctx.Done():
			return Event{}, config.AsError(ctx.Err())
		}
	}
}

func (a *reading) Close() {
	a.cancel()
	<-a.done
	a.Stream.Close()
}

// partial is a client of one part.
type partial struct{ r *reference }

func (p partial) Close() { p.r.Close() }

func (p partial) Report(ctx context.Context, all []center.InstanceReport) error {
	return p.r.Report(ctx, all)
}

func TestDeclarationsAreTrue(t *testing.T) {
	lacking := map[Part]string{}
	for part := range interfaceKinds {
		if part != PartReports {
			lacking[part] = "not yet"
		}
	}
	edited := func(edit func(map[Part]string)) map[Part]string {
		lacks := map[Part]string{}
		for part, why := range lacking {
			lacks[part] = why
		}
		edit(lacks)
		return lacks
	}
	for _, c := range []struct {
		name  string
		lacks map[Part]string
		want  string
	}{
		{"true", lacking, ""},
		{"a part is missing and not declared", edited(func(l map[Part]string) { delete(l, PartReads) }), "does not offer reads"},
		{"a part is declared and there", edited(func(l map[Part]string) { l[PartReports] = "x" }), "offers reports"},
		{"no reason", edited(func(l map[Part]string) { l[PartReads] = "" }), "say why"},
		{"no such part", edited(func(l map[Part]string) { l["raeds"] = "x" }), `no part "raeds"`},
		{"within what is lacking", edited(func(l map[Part]string) { l[PartFreshness] = "x" }), "leave it out"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := Reference()
			p.Lacks = c.lacks
			p.Connect = func(_ testing.TB, n *Node, as Caller) Client { return partial{newReference(n, as)} }
			found := strings.Join(judge(t, func(tb testing.TB) { declaration(tb, p) }), "\n")
			if !strings.Contains(found, c.want) || c.want == "" && found != "" {
				t.Errorf("want %q, got %q", c.want, found)
			}
		})
	}
}

func TestNativeFormsAreTotal(t *testing.T) {
	for _, c := range []struct {
		name   string
		native func(*config.Error) (string, error)
		want   string
	}{
		{"total", Reference().Native, ""},
		{"one is missing", func(e *config.Error) (string, error) {
			return strings.TrimPrefix(e.Kind.String(), config.Compacted.String()), e
		}, "no native form"},
		{"two are one", func(e *config.Error) (string, error) { return fmt.Sprint(e.Kind > config.Invalid), e }, "have one native form"},
		{"one comes back as another", func(e *config.Error) (string, error) {
			back := *e
			if e.Kind == config.Timeout {
				back.Kind = config.Unavailable
			}
			return e.Kind.String(), &back
		}, "come back as itself"},
		{"one comes back as none", func(e *config.Error) (string, error) { return e.Kind.String(), nil }, "come back as itself"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := Reference()
			p.Native = c.native
			found := strings.Join(judge(t, func(tb testing.TB) { nativeForms(tb, p) }), "\n")
			if !strings.Contains(found, c.want) || c.want == "" && found != "" {
				t.Errorf("want %q, got %q", c.want, found)
			}
		})
	}
}
