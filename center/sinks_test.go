package center_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
	"github.com/setpointhq/setpoint/store/memory"
)

// sink keeps what it is told, once fail has nothing against it.
type sink struct {
	mu   sync.Mutex
	told []audit.Record
	fail func(ctx context.Context, records []audit.Record) error
}

func (s *sink) Write(ctx context.Context, records []audit.Record) error {
	s.mu.Lock()
	fail := s.fail
	s.mu.Unlock()
	if fail != nil {
		if err := fail(ctx, records); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, records...)
	return nil
}

func (*sink) Close() error { return nil }

func (s *sink) ids() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for _, r := range s.told {
		ids = append(ids, r.ID)
	}
	return ids
}

func into(s *sink) func(*center.Options) {
	return func(o *center.Options) { o.Sinks = append(o.Sinks, center.AuditSink{Name: "test", Sink: s}) }
}

// sealedIDs are the records' ids in the order in which they were sealed.
func (n *node) sealedIDs() []string {
	n.t.Helper()
	var ids []string
	for _, e := range n.entries(record.SealedPrefix()) {
		list, err := record.DecodeSealed(e.Value)
		n.must(err)
		for _, sealed := range list {
			_, id := record.SplitAudit(sealed.Key)
			ids = append(ids, id)
		}
	}
	return ids
}

func TestASinkIsToldEverythingInOrder(t *testing.T) {
	s := &sink{}
	sealing(t, func(t *testing.T, n *node) {
		for i := range 20 {
			n.publish("acme/shop/dev/app.json", fmt.Sprintf(`{"i":%d}`, i))
		}
		after(3 * time.Second)
		n.publish("acme/shop/dev/app.json", `{"last":true}`)
		after(3 * time.Second)
		if diff := cmp.Diff(n.sealedIDs(), s.ids()); diff != "" || len(s.ids()) < 22 {
			t.Errorf("told %d (-sealed +told):\n%s", len(s.ids()), diff)
		}
		last := s.told[len(s.told)-1]
		if last.Action != "config.publish" || last.Actor.Subject != "admin" || last.Revision == "" {
			t.Errorf("want the whole record, got %+v", last)
		}
	}, into(s))
}

func TestASinkThatFailsMissesNothing(t *testing.T) {
	failures := 0
	s := &sink{fail: func(context.Context, []audit.Record) error {
		if failures++; failures%3 != 0 {
			return errors.New("not now")
		}
		return nil
	}}
	sealing(t, func(t *testing.T, n *node) {
		for i := range 10 {
			n.publish("acme/shop/dev/app.json", fmt.Sprintf(`{"i":%d}`, i))
			after(2 * time.Second)
		}
		after(time.Minute)
		if diff := cmp.Diff(n.sealedIDs(), s.ids()); diff != "" || failures < 10 {
			t.Errorf("after %d tries (-sealed +told):\n%s", failures, diff)
		}
	}, into(s))
}

func TestRecordsThatASinkCanNeverTakeAreSkipped(t *testing.T) {
	s := &sink{fail: func(_ context.Context, records []audit.Record) error {
		for _, r := range records {
			if r.Comment == "poison" {
				return config.Errorf(config.Invalid, "", "", "cannot be taken")
			}
		}
		return nil
	}}
	sealing(t, func(t *testing.T, n *node) {
		after(2 * time.Second)
		_, err := n.Publish(n.admin(), center.Publish{
			Tenant: "acme", Comment: "poison",
			Items: []center.PublishItem{{Path: path(t, "acme/shop/dev/app.json"), Content: []byte(`{}`)}},
		})
		n.must(err)
		after(2 * time.Second)
		n.publish("acme/shop/dev/app.json", `{"good":1}`)
		after(2 * time.Second)
		if want, got := len(n.sealedIDs())-1, len(s.ids()); want != got {
			t.Errorf("want all but one told, %d, got %d", want, got)
		}
	}, into(s))
}

func TestASinkThatHangsHoldsNobodyUp(t *testing.T) {
	s := &sink{fail: func(ctx context.Context, _ []audit.Record) error {
		<-ctx.Done()
		return ctx.Err()
	}}
	other := &sink{}
	sealing(t, func(t *testing.T, n *node) {
		for i := range 5 {
			n.publish("acme/shop/dev/app.json", fmt.Sprintf(`{"i":%d}`, i))
		}
		after(3 * time.Second)
		if diff := cmp.Diff(n.sealedIDs(), other.ids()); diff != "" || len(other.ids()) < 6 {
			t.Errorf("the other sink (-sealed +told):\n%s", diff)
		}
	}, into(s), func(o *center.Options) {
		o.Sinks = append(o.Sinks, center.AuditSink{Name: "other", Sink: other})
	})
}

// mortal is an elector whose terms end, and with which nobody is elected again,
// once over is closed.
type mortal struct {
	store.Elector
	over chan struct{}
}

type mortalTerm struct {
	store.Term
	over chan struct{}
}

func (m mortalTerm) Done() <-chan struct{} { return m.over }

func (m mortal) Campaign(ctx context.Context, office, candidate string) (store.Term, error) {
	select {
	case <-m.over:
		<-ctx.Done()
		return nil, ctx.Err()
	default:
	}
	term, err := m.Elector.Campaign(ctx, office, candidate)
	return mortalTerm{term, m.over}, err
}

func TestAnotherNodeGoesOnWhereASinkWasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		t.Cleanup(func() { s.Close() })
		if _, _, err := center.Bootstrap(t.Context(), s, plainHasher{}, config.Secret{}, time.Now()); err != nil {
			t.Fatal(err)
		}
		first, second, over := &sink{}, &sink{}, make(chan struct{})
		n := joinWith(t, s, func(o *center.Options) { o.Elector = mortal{s, over}; into(first)(o) })
		n.house()
		n.publish("acme/shop/dev/app.json", `{"i":1}`)
		after(3 * time.Second)
		before := len(first.ids())
		close(over)
		joinWith(t, s, func(o *center.Options) { o.Elector = s; into(second)(o) })
		n.publish("acme/shop/dev/app.json", `{"i":2}`)
		after(time.Minute)
		all := n.sealedIDs()
		if diff := cmp.Diff(all[:before], first.ids()); diff != "" || before < 3 {
			t.Errorf("the first node (-sealed +told):\n%s", diff)
		}
		if diff := cmp.Diff(all[before:], second.ids()); diff != "" || len(second.ids()) == 0 {
			t.Errorf("the second (-sealed +told):\n%s", diff)
		}
	})
}

func TestASinkIsToldThatItMissedWhatWasDropped(t *testing.T) {
	s := &sink{fail: func(context.Context, []audit.Record) error { return errors.New("down") }}
	sealing(t, func(t *testing.T, n *node) {
		after(3 * time.Second)
		after(30 * time.Hour) // what there was is deleted by then
		s.mu.Lock()
		s.fail = nil
		s.mu.Unlock()
		n.publish("acme/shop/dev/app.json", `{"i":2}`)
		after(5 * time.Minute)
		all := n.sealedIDs()
		if got := s.ids(); len(got) == 0 || len(all) == 0 || got[len(got)-1] != all[len(all)-1] {
			t.Errorf("want it to go on with what is kept, %v, got %v", all, got)
		}
	}, into(s), func(o *center.Options) { o.Limits.AuditRetention = 24 * time.Hour })
}
