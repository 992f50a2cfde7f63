package center_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

// isolate runs fn with a node whose store can be cut off, in a bubble of time.
func isolate(t *testing.T, limit time.Duration, fn func(n *node, s *faulty)) {
	synctest.Test(t, func(t *testing.T) {
		s := &faulty{Store: prepared(t)}
		n := joinWith(t, s, func(o *center.Options) { o.Limits.MaxStaleness = limit })
		n.house()
		n.publish("acme/shop/prod/app.json", `{}`)
		fn(n, s)
	})
}

// pass lets time go by in the bubble, and everything that is then due be done.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

var errCutOff = config.Errorf(config.Unavailable, "", "", "no leader")

func TestNodeKnowsHowOldItsPictureIs(t *testing.T) {
	isolate(t, 0, func(n *node, s *faulty) {
		pass(time.Hour)
		if got := n.Staleness(); got != 0 {
			t.Errorf("in touch: want 0, got %s", got)
		}
		s.fail(errCutOff)
		pass(2500 * time.Millisecond)
		if got := n.Staleness(); got != 0 {
			t.Errorf("just cut off: want 0, got %s", got)
		}
		pass(10 * time.Second)
		if got := n.Staleness(); got < 12*time.Second || got > 14*time.Second {
			t.Errorf("cut off: want about 13s, got %s", got)
		}
		// Without a limit it goes on serving, and says of itself how old that is.
		if content, _ := n.served("acme/shop/prod/app.json"); content != `{}` {
			t.Errorf("want what it knows, got %q", content)
		}
		if self := n.Self(t.Context()); self.Stale < 12 || self.Stale > 14 {
			t.Errorf("want it said how stale it is, got %v", self.Stale)
		}
		wantKind(t, config.Unavailable, second(n.Get(n.admin(), center.Read{Path: path(t, "acme/shop/prod/app.json"), Freshness: center.Freshness{Strong: true}})))
		status, err := n.ClusterStatus(n.admin())
		n.must(err)
		if status.Writable || status.Leader != "" || len(status.Problems) != 1 || !strings.Contains(status.Problems[0], "no leader") {
			t.Errorf("want it known that nothing can be written, got %+v", status)
		}
		s.fail(nil)
		pass(time.Second)
		if got := n.Staleness(); got != 0 {
			t.Errorf("in touch again: want 0, got %s", got)
		}
	})
}

// A strong read is as good as a probe.
func TestStrongReadsConfirmThePicture(t *testing.T) {
	isolate(t, 0, func(n *node, s *faulty) {
		s.fail(errCutOff)
		pass(10500 * time.Millisecond)
		s.fail(nil)
		if n.Staleness() == 0 {
			t.Fatal("want it stale until somebody asks")
		}
		n.must(second(n.Get(n.admin(), center.Read{Path: path(t, "acme/shop/prod/app.json"), Freshness: center.Freshness{Strong: true}})))
		if got := n.Staleness(); got != 0 {
			t.Errorf("want 0, got %s", got)
		}
	})
}

func TestMaxStaleness(t *testing.T) {
	isolate(t, 10*time.Second, func(n *node, s *faulty) {
		var woken atomic.Int64
		w, err := n.Watch(n.admin(), center.WatchRequest{Patterns: []string{"acme/shop/prod"}}, func() { woken.Add(1) })
		n.must(err)
		defer w.Close()
		_, _, err = w.Next()
		n.must(err)
		read := func() error {
			return second(n.Get(n.admin(), center.Read{Path: path(t, "acme/shop/prod/app.json")}))
		}
		synctest.Wait() // the view may be about to tell of what was delivered already
		before := woken.Load()
		s.fail(errCutOff)
		pass(8 * time.Second)
		n.must(read())
		_, _, err = w.Next()
		n.must(err)
		if got := woken.Load() - before; got != 1 {
			t.Errorf("want the watch woken as the node is cut off, got %d times", got)
		}
		pass(4 * time.Second)
		if got := woken.Load() - before; got != 2 {
			t.Errorf("want the watch woken as the limit is passed, got %d times", got)
		}
		_, _, ended := w.Next()
		_, opened := n.Watch(n.admin(), center.WatchRequest{Patterns: []string{"acme/shop/prod"}}, func() {})
		for name, err := range map[string]error{
			"read": read(), "watch": ended, "open": opened,
			"list":      second(n.Tenants(n.admin(), pages)),
			"instances": second(n.Instances(n.admin(), center.InstanceRequest{Path: path(t, "acme")})),
		} {
			if e := wantKind(t, config.Unavailable, err); !strings.Contains(e.Error(), "cut off from the others for 1") {
				t.Errorf("%s: want it said for how long, got %v", name, err)
			}
		}
		// How the cluster is doing is told all the same.
		n.must(second(n.ClusterStatus(n.admin())))
		s.fail(nil)
		pass(time.Second)
		n.must(read())
		if got := woken.Load() - before; got != 3 {
			t.Errorf("want the watch woken as the node is in touch again, got %d times", got)
		}
	})
}

func TestLimitOfStalenessIsNotBelowWhatCanBeKnown(t *testing.T) {
	var limits center.Limits
	limits.Defaults()
	for span, good := range map[time.Duration]bool{0: true, 3 * time.Second: true, time.Second: false, -1: false} {
		limits.MaxStaleness = span
		if err := limits.Validate(); (err == nil) != good {
			t.Errorf("%s: want good %v, got %v", span, good, err)
		}
	}
}
