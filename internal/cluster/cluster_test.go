package cluster

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/config"
)

func status(t *testing.T, n *node) config.ClusterStatus {
	t.Helper()
	s, err := n.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func names(s config.ClusterStatus, want func(config.Node) bool) []string {
	var out []string
	for _, n := range s.Nodes {
		if want(n) {
			out = append(out, n.Name)
		}
	}
	return out
}

func healthy(n config.Node) bool { return n.Healthy }

func TestThreeFoundersFormACluster(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	nodes := o.found("n1", "n2", "n3")
	var s config.ClusterStatus
	await(t, "all are well", func() bool {
		s = status(t, nodes[1])
		return len(names(s, healthy)) == 3 && s.Writable
	})
	t.Logf("%+v", s)
	if diff := cmp.Diff([]string{"n2"}, names(s, func(n config.Node) bool { return n.Self })); diff != "" {
		t.Error(diff)
	}
	_ = filepath.Join
}
