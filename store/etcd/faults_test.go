package etcd_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
	"github.com/setpointhq/setpoint/store/etcd"
)

// isolate cuts a member off from all others, edges included.
func (c *cluster) isolate(name string) {
	for other, n := range c.nodes {
		n.port.KeepOut(func(caller string) bool { return other == name || caller == name })
	}
}

// heal lets everybody speak with everybody again.
func (c *cluster) heal() {
	for _, n := range c.nodes {
		n.port.KeepOut(func(string) bool { return false })
	}
}

// await waits until something is so.
func (c *cluster) await(what string, so func() bool) {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			c.Fatalf("waited in vain until %s", what)
		}
	}
}

// leader waits until a member of those leads, and returns it.
func (c *cluster) leader(among ...string) *node {
	c.Helper()
	var leader *node
	c.await("one of "+strings.Join(among, ", ")+" leads", func() bool {
		for _, name := range among {
			if n := c.nodes[name]; n.Store != nil {
				if s := n.status(); s.Leader == s.MemberID && s.Leader != 0 {
					leader = n
				}
			}
		}
		return leader != nil
	})
	return leader
}

// others are the names of all members but one.
func (c *cluster) others(but *node) []string {
	var names []string
	for name := range c.nodes {
		if name != but.name {
			names = append(names, name)
		}
	}
	return names
}

func (n *node) status() store.EngineStatus {
	n.cluster.Helper()
	s, err := n.EngineStatus(n.cluster.Context())
	if err != nil {
		n.cluster.Fatalf("status of %s: %v", n.name, err)
	}
	return s
}

// load commits to stores one after the other, each under a key of its own, until
// it is ended, and knows what was acknowledged.
type load struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
	mu     sync.Mutex
	acked  map[string]int64
	failed []error
}

func startLoad(tb testing.TB, stores map[string]store.Store) *load {
	ctx, cancel := context.WithCancel(tb.Context())
	l := &load{cancel: cancel, acked: map[string]int64{}}
	for name, s := range stores {
		l.done.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				key := fmt.Sprintf("load/%s/%06d", name, i)
				// Not with the load's ctx: a commit's outcome must be known.
				rev, err := s.Commit(tb.Context(), store.Txn{
					Conds:  []store.Cond{{Key: key}},
					Writes: []store.Write{{Key: key, Value: []byte(name)}},
				})
				l.mu.Lock()
				if err == nil {
					l.acked[key] = rev
				} else {
					l.failed = append(l.failed, err)
				}
				l.mu.Unlock()
			}
		})
	}
	return l
}

// end stops the load and checks what was promised: all acknowledged is there, and
// errors left the outcome open; none was a conflict, as every key is new.
func (l *load) end(tb testing.TB, s store.Store) {
	tb.Helper()
	l.cancel()
	l.done.Wait()
	page, err := s.Range(tb.Context(), store.Query{Key: "load/", Prefix: true, KeysOnly: true})
	if err != nil {
		tb.Fatal(err)
	}
	there := map[string]int64{}
	for _, e := range page.Entries {
		there[e.Key] = e.Revision
	}
	for key, rev := range l.acked {
		if there[key] != rev {
			tb.Errorf("%s was acknowledged at %d, is there at %d", key, rev, there[key])
		}
	}
	if len(there) > len(l.acked)+len(l.failed) {
		tb.Errorf("%d keys are there, %d commits were acknowledged and %d failed", len(there), len(l.acked), len(l.failed))
	}
	for _, err := range l.failed {
		if config.KindOf(err) != config.Unavailable {
			tb.Errorf("a commit failed as %v, want kind unavailable", err)
		}
	}
	tb.Logf("%d acknowledged, %d failed", len(l.acked), len(l.failed))
}

// progress waits until a number of further commits was acknowledged for each store.
func (l *load) progress(c *cluster, stores map[string]store.Store) {
	c.Helper()
	count := func(name string) (n int) {
		l.mu.Lock()
		defer l.mu.Unlock()
		for key := range l.acked {
			if strings.HasPrefix(key, "load/"+name+"/") {
				n++
			}
		}
		return n
	}
	for name := range stores {
		before := count(name)
		c.await("commits of "+name+" are acknowledged", func() bool { return count(name) >= before+20 })
	}
}

// Commits resume on the other members and on edges when the leader goes, whether
// it says good-bye or not, and nothing that was acknowledged is lost.
func TestLeaderGoes(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(*cluster, *node){
		"in good order": func(_ *cluster, n *node) { n.stop() },
		"cut off":       func(c *cluster, n *node) { c.isolate(n.name) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, "n1", "n2", "n3")
			leader := c.leader("n1", "n2", "n3")
			edge := c.edge(t, func(*etcd.Settings) {})
			defer edge.Close()
			stores := map[string]store.Store{"edge": edge}
			for _, other := range c.others(leader) {
				stores[other] = c.nodes[other].Store
			}
			l := startLoad(t, stores)
			l.progress(c, stores)
			leave(c, leader)
			c.leader(c.others(leader)...)
			l.progress(c, stores)
			c.heal()
			l.progress(c, stores)
			l.end(t, edge)
		})
	}
}

// A member that is cut off from the majority says so instead of waiting, goes on
// answering what needs no majority, and catches up when it is back.
func TestMinority(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "n1", "n2", "n3")
	alone := c.leader("n1", "n2", "n3")
	if err := alone.put("before"); err != nil {
		t.Fatal(err)
	}
	c.isolate(alone.name)
	// It still believes that it leads, and writes to its own log.
	err := alone.put("lost")
	told := err != nil && (strings.Contains(err.Error(), "is not known") || strings.Contains(err.Error(), "nothing was written"))
	if config.KindOf(err) != config.Unavailable || !told {
		t.Errorf("commit under way when the member was cut off: error is %v, want unavailable, and what became of it", err)
	}
	if err := alone.put("refused"); config.KindOf(err) != config.Unavailable || !strings.Contains(err.Error(), "cut off") || !strings.Contains(err.Error(), "nothing was written") {
		t.Errorf("commit on a member that is cut off: error is %v, want unavailable, and that nothing was written", err)
	}
	if _, err := alone.Range(t.Context(), store.Query{Key: "before"}); config.KindOf(err) != config.Unavailable || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("range on a member that is cut off: error is %v, want unavailable", err)
	}
	var page store.Page
	page, err = alone.Range(t.Context(), store.Query{Key: "before", Stale: true})
	if err != nil || len(page.Entries) != 1 {
		t.Errorf("stale range on a member that is cut off: %+v, %v, want one entry", page, err)
	}
	if s := alone.status(); s.Leader != 0 {
		t.Errorf("a member that is cut off follows %x, want nobody", s.Leader)
	}
	majority := c.nodes[c.others(alone)[0]]
	c.await("the majority writes", func() bool { return majority.put("after") == nil })
	c.heal()
	c.await("the member is back", func() bool { return alone.put("back") == nil })
	page, err = alone.Range(t.Context(), store.Query{Prefix: true, KeysOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, e := range page.Entries {
		keys = append(keys, e.Key)
	}
	if got := strings.Join(keys, " "); got != "after back before" {
		t.Errorf("keys are %q, want those that were acknowledged", got)
	}
}

// A watch on an edge goes on without gap or repetition when the members that it
// could ask go one after the other.
func TestEdgeWatchSurvives(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "n1", "n2", "n3")
	edge := c.edge(t, func(*etcd.Settings) {})
	defer edge.Close()
	const each = 20
	watched := make(chan error, 1)
	go func() {
		n := 0
		for batch, err := range edge.Watch(t.Context(), "k/", 0) {
			if err != nil {
				watched <- err
				return
			}
			for _, ev := range batch.Events {
				if want := fmt.Sprintf("k/%03d", n); ev.Key != want {
					watched <- fmt.Errorf("event of %s, want %s", ev.Key, want)
					return
				}
				if n++; n == 3*each {
					watched <- nil
					return
				}
			}
		}
		watched <- errors.New("the watch ended")
	}()
	members := c.members()
	for round, name := range []string{"n1", "n2", "n3"} {
		for i := range each {
			if err := put(t, edge, fmt.Sprintf("k/%03d", round*each+i)); err != nil {
				t.Fatal(err)
			}
		}
		n := c.nodes[name]
		n.stop()
		c.await("the edge is served without "+name, func() bool { return put(t, edge, "other") == nil })
		if err := n.open(c.peering(n, members)); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-watched; err != nil {
		t.Error(err)
	}
}

// put writes one key.
func put(tb testing.TB, s store.Store, key string) error {
	_, err := s.Commit(tb.Context(), store.Txn{Writes: []store.Write{{Key: key, Value: []byte("v")}}})
	return err
}
