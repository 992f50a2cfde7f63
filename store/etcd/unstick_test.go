package etcd_test

import (
	"testing"
	"time"
)

// A member that gets everything by a snapshot is ready, and can be written
// through, though nobody else writes anything.
func TestJoinAnIdleClusterWithALongHistory(t *testing.T) {
	t.Parallel()
	c := &cluster{TB: t, authority: newAuthority(t), nodes: map[string]*node{}}
	n1 := c.prepare("n1")
	if err := n1.open(c.peering(n1, c.members())); err != nil {
		t.Fatal(err)
	}
	const entries = 8_000 // more than etcd keeps for members that are behind
	for n1.status().Applied < entries {
		if err := n1.put("history"); err != nil {
			t.Fatal(err)
		}
	}
	n2 := c.prepare("n2")
	n2.timeout = 20 * time.Second
	c.join(n2, n1)
	if err := n2.put("by the learner"); err != nil {
		t.Error(err)
	}
}
