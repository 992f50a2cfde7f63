package clusters

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/test/program"
)

const app = "acme/shop/prod/app.yaml"

// TestClusterGrowsAndShrinks follows one cluster from three members to six, and
// back, with what an operator does and what can be done wrong on the way.
func TestClusterGrowsAndShrinks(t *testing.T) {
	t.Parallel()
	h, nodes := foundedBy(t, "n1", "n2", "n3")
	n1, n2, n3 := nodes[0], nodes[1], nodes[2]
	program.Envs(t, n1.root(), "acme/shop/prod")
	set := n2.write(app, "v: 1\n")
	n3.reads(app, "v: 1\n", set.Revision)

	// A fourth joins by a token, and is made a voter by the others.
	n4 := h.joins("n4", n1)
	n4.ready()
	h.roles(n2, voters("n1", "n2", "n3", "n4"))
	n4.reads(app, "v: 1\n", set.Revision)

	// Who has no key of the authority says so, and who to ask.
	lost := h.node("n9")
	lost.args("--join", n2.peer, "--advertise", lost.peer, "--token-file", h.invite(n1, clientToken))
	wantText(t, "join "+n2.peer+": unsupported: the node n2 does not have the authority's key (cluster.ca_key_file); ask a node that has it", lost.refused())

	// Two at a time take turns.
	n5, n6 := h.joins("n5", n1), h.joins("n6", n1)
	n5.ready()
	n6.ready()
	h.roles(n1, voters("n1", "n2", "n3", "n4", "n5", "n6"))
	set = n6.write(app, "v: 2\n")
	n5.reads(app, "v: 2\n", set.Revision)

	// A follower goes, then the leader; each ends by itself and says why.
	all := []*node{n1, n2, n3, n4, n5, n6}
	leader := h.leader(n1, all...)
	for _, gone := range []*node{n6, n5} {
		if gone == leader {
			h.move(n1, n4)
		}
		h.removed(n1, gone)
	}
	h.move(n1, n4)
	h.removed(n2, n4)
	h.roles(n1, voters("n1", "n2", "n3"))
	wantText(t, "start "+n4.data+": conflict: n4 is no member of the cluster any more: it was removed. Its data is of no use; let it join anew with an empty data_dir ('setpoint cluster add')", n4.refused())

	// A member that lost its disk does not come back under its old name.
	n3.stop()
	if err := os.RemoveAll(n3.data); err != nil {
		t.Fatal(err)
	}
	wantText(t, "start "+n3.data+": conflict: the cluster knows n3 as a member that has run before, but the data directory is empty; a member must not come back empty under its old name. "+
		"Put the data back or, if it is lost, remove the member ('setpoint cluster remove n3') and let it join anew ('setpoint cluster add')", n3.refused())
	out, text, err := n1.command("cluster", "remove", "n3", "--yes")
	if err != nil || !strings.Contains(text+out, "removed n3") {
		t.Errorf("remove n3: %v\n%s%s", err, out, text)
	}
	n3.process.Args = []string{"serve", "--name", "n3", "--join", n1.peer, "--advertise", n3.peer, "--token-file", h.invite(n1, clientToken)}
	n3.restart()
	h.roles(n2, voters("n1", "n2", "n3"))

	// All at once, and one by one.
	for _, n := range []*node{n1, n2, n3} {
		n.kill9()
	}
	for _, n := range []*node{n1, n2, n3} {
		n.launch()
	}
	for _, n := range []*node{n1, n2, n3} {
		n.ready()
		n.reads(app, "v: 2\n", set.Revision)
	}
	for i, n := range []*node{n1, n2, n3} {
		n.stop()
		set = []*node{n2, n3, n1}[i].write(app, "v: 3"+n.name+"\n")
		n.restart()
		n.reads(app, "v: 3"+n.name+"\n", set.Revision)
	}
}

// voters are members that have arrived.
func voters(names ...string) map[string]config.Role {
	all := map[string]config.Role{}
	for _, name := range names {
		all[name] = config.Voter
	}
	return all
}

// move hands the leadership to a member.
func (h *house) move(by, to *node) {
	h.Helper()
	if out, text, err := by.command("cluster", "move-leader", to.name); err != nil {
		h.Fatalf("move the leadership to %s: %v\n%s%s", to.name, err, out, text)
	}
	h.await(to.name+" to lead", func() bool {
		s, err := by.root().Cluster(h.Context())
		return err == nil && s.Leader == to.name
	})
}

// removed takes a member out and wants it to end by itself, with a word on why.
func (h *house) removed(by, n *node) {
	h.Helper()
	if out, text, err := by.command("cluster", "remove", n.name, "--yes"); err != nil {
		h.Fatalf("remove %s: %v\n%s%s", n.name, err, out, text)
	}
	if err := n.process.Wait(patience); err == nil || strings.Contains(err.Error(), "does not end") {
		h.Errorf("want %s to end, with an exit code that tells that this was not its own wish, got %v", n.name, err)
	}
	n.process.Troubled = true // it says so as an error
	wantText(h, "store: the engine stopped: unavailable: this node was removed from the cluster; to let it join again, empty its data_dir and make a token with 'setpoint cluster add'",
		n.words(0))
}

// wantText compares what a program says with what it should.
func wantText(t testing.TB, want, got string) {
	t.Helper()
	pattern := "^" + strings.ReplaceAll(regexp.QuoteMeta("setpoint: "+want), "…", ".+") + "$"
	if !regexp.MustCompile(pattern).MatchString(got) {
		t.Errorf("want  setpoint: %s\ngot   %s", want, got)
	}
}
