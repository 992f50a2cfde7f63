package clusters

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/test/program"
)

// TestLoneNodeBecomesACluster starts a node as people first do, fills it, and
// makes a cluster of three of it, step by step, with all that it had.
func TestLoneNodeBecomesACluster(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	n1 := h.node("n1")
	n1.process.Args = []string{"serve"}
	n1.restart()
	h.certs = filepath.Join(n1.data, "tls") // where a lone node has what vouches for it
	h.copy(filepath.Join(h.certs, "cert.pem"), filepath.Join(h.certs, "ca.pem"))
	h.login(n1)
	program.Envs(t, n1.root(), "acme/shop/prod")
	n1.write(app, "v: 1\n")
	set := n1.write(app, "v: 2\n")
	n1.stop()

	h.foundedWithout(n1)

	n1.process.Args = []string{"serve", "--name", "n1", "--cluster", "n1=" + n1.peer}
	n1.client = nil
	n1.restart()
	h.certs = filepath.Join(n1.data, "cluster")
	n1.reads(app, "v: 2\n", set.Revision)
	n1.loginAsTold(n1.loginLine())
	for _, name := range []string{"n2", "n3"} {
		n := h.joins(name, n1)
		n.ready()
		n.loginAsTold(n.loginLine())
		n.reads(app, "v: 2\n", set.Revision)
		releases, err := program.Collect(n.root().Releases(h.Context(), program.Path(t, app)))
		if err != nil || len(releases) != 2 {
			t.Errorf("want both releases on %s, got %v, %v", name, releases, err)
		}
	}
	h.roles(n1, voters("n1", "n2", "n3"))

	// The settings that founded it do no harm, and no more is needed.
	n1.process.Args = []string{"serve", "--name", "n1", "--cluster-addr", n1.peer}
	n1.stop()
	n1.restart()
	h.roles(n1, voters("n1", "n2", "n3"))
}

// foundedWithout starts the node, which has data, as one of three, when the other
// two have founded a cluster already, of which its data is not. It does not
// become a second cluster beside theirs.
func (h *house) foundedWithout(n *node) {
	h.Helper()
	certs := h.TempDir()
	h.must("cert", "init", "--dir", certs)
	others := []*node{h.node("n2"), h.node("n3")}
	members := "n1=" + n.peer + ",n2=" + others[0].peer + ",n3=" + others[1].peer
	h.must("cert", "issue", "n1", "n2", "n3", "--dir", certs)
	for _, o := range others {
		o.args("--cluster", members, "--cert-dir", certs)
		o.launch()
	}
	for _, o := range others {
		o.ready()
	}
	n.process.Args = []string{"serve", "--name", "n1", "--cluster", members, "--cert-dir", certs}
	wantText(h, "cluster: start "+n.data+": invalid: is the data directory of another cluster (…) than that of the node n2 at "+others[0].peer+" (…), which was founded without it. "+
		"To go on with this data, stop the others and empty their data directories, start this node alone ('--cluster n1="+n.peer+"'), and let the others join", n.refused())
	for _, o := range append(others, n) {
		o.process.Troubled = true // etcd complains of whom it does not know
	}
	for _, o := range others {
		o.stop()
	}
}

// TestDataDirectoryOfAnother starts nodes on data that is not theirs, or that
// they do not understand, and at last on their own.
func TestDataDirectoryOfAnother(t *testing.T) {
	t.Parallel()
	h, nodes := foundedBy(t, "n1")
	n1, n2 := nodes[0], h.node("n2")
	h.must("cert", "issue", "n2", "--dir", h.certs, "--out", n2.certs)
	own := []string{"serve", "--name", "n2", "--cluster", "n2=" + n2.peer, "--cert-dir", n2.certs}
	n2.process.Args = own
	n2.restart()
	n2.stop()
	for _, tc := range []struct {
		name string
		args []string
		set  string
		want string
	}{
		{"another name", []string{"--name", "n5", "--cluster", "n5=" + n2.peer}, "",
			"start cluster.name: invalid: is n5, but " + n2.data + " is the data directory of the node n2; set the name back, or give this node a data_dir of its own"},
		{"another cluster, by its members", []string{"--name", "n2", "--cluster", "n1=" + n1.peer + ",n2=" + n2.peer, "--cert-dir", n2.certs}, "",
			"start " + n2.data + ": invalid: is the data directory of another cluster (…) than that of the node n1 at " + n1.peer + " (…); mend data_dir or the addresses, or join with an empty data_dir"},
		{"another cluster, joining", []string{"--name", "n2", "--join", n1.peer, "--advertise", n2.peer, "--cert-dir", n2.certs}, "",
			"start " + n2.data + ": invalid: is the data directory of another cluster (…) than that of the node n1 at " + n1.peer + " (…); mend data_dir or the addresses, or join with an empty data_dir"},
		{"another cluster token", own[1:], "CLUSTER_TOKEN=staging",
			`start cluster.token: invalid: is "staging", but ` + n2.data + ` is the data directory of a node of the cluster "setpoint"; set the token back, or give this node an empty data_dir`},
		{"an edge", []string{"--name", "n2", "--edge", "--join", n1.peer, "--cert-dir", n2.certs}, "",
			"start cluster.edge: invalid: is true, but " + n2.data + " is the data directory of a member; give the edge an empty data_dir"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			env := n2.process.Env
			defer func() { n2.process.Env = env }()
			n2.process.Args = append([]string{"serve"}, tc.args...)
			if tc.set != "" {
				n2.set(tc.set)
			}
			wantText(t, tc.want, n2.refused())
		})
	}
	n2.process.Args = own

	// Data that a newer program has laid out; and, once it is put right, its own.
	layout(t, n2.data, "99")
	wantText(t, fmt.Sprintf("start: unsupported: the data was written by a newer Setpoint (layout 99; this program knows up to %d): start that version or a later one", record.Format), n2.refused())
	layout(t, n2.data, "1")
	n2.restart()
	h.login(n2)
	h.roles(n2, voters("n2"))
}
