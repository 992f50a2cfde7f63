package etcd_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
)

// wantKind fails unless an error is of a kind.
func wantKind(tb testing.TB, what string, want config.ErrorKind, err error) {
	tb.Helper()
	if err == nil || config.KindOf(err) != want {
		tb.Errorf("%s: error is %v, want kind %s", what, err, want)
	}
}

// join enters a prepared node as a learner and starts it.
func (c *cluster) join(n *node, by *node) uint64 {
	c.Helper()
	var m store.Member
	c.await(n.name+" is let in", func() bool {
		var err error
		if m, err = by.AddLearner(c.Context(), n.port.Address); err != nil {
			wantKind(c, "add "+n.name, config.Conflict, err)
		}
		return err == nil
	})
	p := c.peering(n, c.members())
	p.Join = true
	if err := n.open(p); err != nil {
		c.Fatal(err)
	}
	return m.ID
}

// promote lets a member vote as soon as it may.
func (c *cluster) promote(by *node, id uint64) {
	c.Helper()
	c.await("the member is promoted", func() bool {
		err := by.Promote(c.Context(), id)
		if err != nil {
			wantKind(c, "promote a member that is catching up", config.Conflict, err)
		}
		return err == nil
	})
}

// What a lone node wrote becomes the data of a cluster, which grows one member at
// a time, and shrinks again.
func TestGrow(t *testing.T) {
	t.Parallel()
	c := &cluster{TB: t, authority: newAuthority(t), nodes: map[string]*node{}}
	n1 := c.prepare("n1")
	if err := n1.open(nil); err != nil {
		t.Fatal(err)
	}
	if err := n1.put("alone"); err != nil {
		t.Fatal(err)
	}
	_, err := n1.AddLearner(t.Context(), "127.0.0.1:1")
	wantKind(t, "add a member to a lone node", config.Unsupported, err)
	alone := n1.status()
	n1.stop()
	if err := n1.open(c.peering(n1, c.members())); err != nil {
		t.Fatal(err)
	}
	if s := n1.status(); s.ClusterID != alone.ClusterID || s.MemberID != alone.MemberID {
		t.Errorf("the member was %+v when alone, is %+v", alone, s)
	}
	first := store.Member{ID: alone.MemberID, Name: "n1", Peer: n1.port.Address, Started: true}
	c.wantMembers(n1, first)

	// A learner takes part in everything but decisions.
	n2 := c.prepare("n2")
	before := n1.status()
	id2 := c.join(n2, n1)
	second := store.Member{ID: id2, Name: "n2", Peer: n2.port.Address, Started: true, Learner: true}
	c.wantMembers(n2, first, second)
	if err := n2.put("by the learner"); err != nil {
		t.Errorf("commit on a learner: %v", err)
	}
	page, err := n2.Range(t.Context(), store.Query{Prefix: true})
	if err != nil || len(page.Entries) != 2 {
		t.Errorf("range on a learner: %d entries, %v, want 2", len(page.Entries), err)
	}
	for batch, err := range n2.Watch(t.Context(), "", 0) {
		if err != nil {
			t.Fatalf("watch on a learner: %v", err)
		}
		if batch.Revision == page.Revision {
			break
		}
	}
	if s := n2.status(); !s.Learner || s.Leader != before.MemberID || s.ClusterID != before.ClusterID {
		t.Errorf("status of the learner: %+v", s)
	}
	_, err = n1.AddLearner(t.Context(), "127.0.0.1:1")
	wantKind(t, "add a second learner", config.Conflict, err)
	_, err = n1.AddLearner(t.Context(), n2.port.Address)
	wantKind(t, "add a member's address again", config.Exists, err)
	wantKind(t, "let a learner lead", config.Conflict, n1.MoveLeader(t.Context(), id2))
	wantKind(t, "promote a voter", config.Conflict, n1.Promote(t.Context(), alone.MemberID))
	wantKind(t, "promote nobody", config.NotFound, n1.Promote(t.Context(), 7))
	c.promote(n1, id2)
	second.Learner = false
	c.wantMembers(n1, first, second)

	// One that never started cannot be promoted. Two voters that have just met do
	// not let anybody in at once.
	n3 := c.prepare("n3")
	var third store.Member
	c.await("a third member is let in", func() bool {
		third, err = n1.AddLearner(t.Context(), n3.port.Address)
		if err != nil {
			wantKind(t, "add a third member", config.Conflict, err)
		}
		return err == nil
	})
	wantKind(t, "promote a member that never started", config.Conflict, n1.Promote(t.Context(), third.ID))
	if err := n2.Remove(t.Context(), third.ID); err != nil {
		t.Errorf("remove a member that never started: %v", err)
	}
	wantKind(t, "remove nobody", config.NotFound, n1.Remove(t.Context(), 7))
	id3 := c.join(n3, n1)
	c.promote(n1, id3)

	wantKind(t, "move the leadership from elsewhere", config.Conflict, n2.MoveLeader(t.Context(), id2))
	if err := n1.MoveLeader(t.Context(), id3); err != nil {
		t.Errorf("move the leadership: %v", err)
	}
	if s := n1.status(); s.Leader != id3 {
		t.Errorf("%x leads, want %x", s.Leader, id3)
	}
	if err := n3.MoveLeader(t.Context(), alone.MemberID); err != nil {
		t.Errorf("move the leadership back: %v", err)
	}
	c.removed(n3, n1, id3)
	c.wantMembers(n2, first, second)
}

// removed takes a member out, and looks what becomes of it.
func (c *cluster) removed(n, by *node, id uint64) {
	c.Helper()
	c.await("the member may be removed", func() bool {
		err := by.Remove(c.Context(), id)
		if err != nil {
			wantKind(c, "remove a member", config.Conflict, err)
		}
		return err == nil
	})
	<-n.Done()
	if err := n.Err(); config.KindOf(err) != config.Unavailable || !strings.Contains(err.Error(), "was removed from the cluster") {
		c.Errorf("a removed member ended with %v", err)
	}
	if err := n.put("gone"); err == nil || !strings.Contains(err.Error(), "was removed from the cluster") {
		c.Errorf("commit on a removed member: error is %v", err)
	}
	_, err := n.EngineStatus(c.Context())
	wantKind(c, "status of a removed member", config.Unavailable, err)
	_ = n.Close() // it has died already, and says so
	n.Store = nil
	if err := n.open(c.peering(n, c.members())); err == nil || !strings.Contains(err.Error(), "was removed from the cluster") {
		c.Errorf("start of a removed member: error is %v", err)
	}
}

func (c *cluster) wantMembers(as *node, want ...store.Member) {
	c.Helper()
	got, err := as.Members(c.Context())
	if err != nil {
		c.Fatalf("members: %v", err)
	}
	byName := cmpopts.SortSlices(func(a, b store.Member) bool { return a.Name < b.Name })
	if diff := cmp.Diff(want, got, byName); diff != "" {
		c.Errorf("members (-want +got):\n%s", diff)
	}
}
