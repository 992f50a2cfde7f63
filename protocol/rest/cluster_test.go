package rest

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

// nodes stand in for a cluster of three and an edge.
type nodes struct {
	mu   sync.Mutex
	acts []string
}

func (n *nodes) note(act, name string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.acts = append(n.acts, act+" "+name)
	if name == "ghost" {
		return config.Errorf(config.NotFound, "", "ghost", "there is no such member")
	}
	return nil
}

func (n *nodes) Status(context.Context) (config.ClusterStatus, error) {
	return config.ClusterStatus{ID: "abc", Leader: "n1", Writable: true, Nodes: []config.Node{
		{Name: "n1", Role: config.Voter, Leader: true, Self: true, Healthy: true}, {Name: "e1", Role: config.Edge},
	}}, nil
}

func (n *nodes) Promote(_ context.Context, name string) error { return n.note("promote", name) }

func (n *nodes) Remove(_ context.Context, name string) error { return n.note("remove", name) }

func (n *nodes) MoveLeader(_ context.Context, to string) error { return n.note("lead", to) }

func (n *nodes) Invitation() (config.Invitation, error) {
	return config.Invitation{Addresses: []string{"h1:7403"}, Fingerprint: strings.Repeat("0f", 32)}, nil
}

func (n *nodes) Receipts(context.Context, config.Path, int64) ([]config.Receipt, []string, error) {
	return nil, nil, nil
}

func (n *nodes) Instances(context.Context, config.InstanceQuery) ([]config.Instance, []string, error) {
	return []config.Instance{{ID: "far", Node: "n2", Watches: []string{"acme/shop/prod"}}}, []string{"n3"}, nil
}

func startCluster(t *testing.T) (*server, *nodes) {
	n := &nodes{}
	return startWith(t, func(o *center.Options) { o.Node, o.Nodes = "n1", n }), n
}

func TestClusterOverHTTP(t *testing.T) {
	s, n := startCluster(t)
	var status config.ClusterStatus
	s.into(http.StatusOK, s.do(request{path: "/v1/cluster"}), &status)
	if status.ID != "abc" || len(status.Nodes) != 2 || !status.Nodes[0].Leader {
		t.Errorf("want the status of the cluster, got %+v", status)
	}
	var members config.Page[config.Node]
	s.into(http.StatusOK, s.do(request{path: "/v1/cluster/members"}), &members)
	if len(members.Items) != 1 || members.Items[0].Name != "n1" {
		t.Errorf("want the members without the edge, got %+v", members)
	}
	for _, q := range []request{
		{method: "POST", path: "/v1/cluster/members/n2/promote"},
		{method: "DELETE", path: "/v1/cluster/members/n3"},
		{method: "POST", path: "/v1/cluster/leader", body: `{}`},
		{method: "POST", path: "/v1/cluster/leader", body: `{"name":"n2"}`},
	} {
		s.into(http.StatusNoContent, s.do(q), nil)
	}
	s.problem(http.StatusNotFound, "not_found", s.do(request{method: "DELETE", path: "/v1/cluster/members/ghost"}))
	want := []string{"promote n2", "remove n3", "lead ", "lead n2", "remove ghost"}
	if diff := cmp.Diff(want, n.acts); diff != "" {
		t.Errorf("acts (-want +got):\n%s", diff)
	}
}

func TestJoinTokensOverHTTP(t *testing.T) {
	s, _ := startCluster(t)
	var made joinOffer
	s.into(http.StatusCreated, s.do(request{method: "POST", path: "/v1/cluster/tokens", body: `{"ttl":"30m","edge":true}`}), &made)
	text, err := config.ParseJoinToken(config.NewSecret(made.Text))
	s.must(err)
	if text.ID != made.ID || !made.Edge || made.ExpiresAt.Sub(made.CreatedAt) != 30*time.Minute || made.Addresses[0] != "h1:7403" {
		t.Errorf("want a token with where to show it, got %+v", made)
	}
	edge, err := s.center.RedeemJoinToken(t.Context(), config.NewSecret(made.Text), "e2", "key")
	if err != nil || !edge {
		t.Errorf("want it good for an edge, got %v, %v", edge, err)
	}
	list := s.do(request{path: "/v1/cluster/tokens"})
	var tokens config.Page[config.JoinToken]
	s.into(http.StatusOK, list, &tokens)
	if len(tokens.Items) != 1 || tokens.Items[0].UsedBy != "e2" || strings.Contains(string(list.body), text.Secret.Reveal()) {
		t.Errorf("want the token without its secret, got %s", list.body)
	}
	s.into(http.StatusNoContent, s.do(request{method: "DELETE", path: "/v1/cluster/tokens/" + made.ID}), nil)
	s.problem(http.StatusNotFound, "not_found", s.do(request{method: "DELETE", path: "/v1/cluster/tokens/" + made.ID}))
	s.problem(http.StatusBadRequest, "invalid", s.do(request{method: "POST", path: "/v1/cluster/tokens", body: `{"ttl":"25h"}`}))
	s.problem(http.StatusBadRequest, "invalid", s.do(request{method: "POST", path: "/v1/cluster/tokens", body: `{"ttl":"-1h"}`}))
}

func TestLoneNodeOverHTTP(t *testing.T) {
	s := start(t)
	var status config.ClusterStatus
	s.into(http.StatusOK, s.do(request{path: "/v1/cluster"}), &status)
	if len(status.Nodes) != 1 || !status.Writable || !status.Nodes[0].Healthy {
		t.Errorf("want one healthy node, got %+v", status)
	}
	p := s.problem(http.StatusNotImplemented, "unsupported", s.do(request{method: "POST", path: "/v1/cluster/tokens", body: `{}`}))
	if !strings.Contains(p.Detail, "--cluster") {
		t.Errorf("want it said how to start a cluster, got %q", p.Detail)
	}
}

// await waits until what other goroutines do has made it so; the test's own
// deadline ends a wait in vain.
func (s *server) await(holds func() bool) {
	s.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-s.t.Context().Done():
			s.t.Fatal("it never came to be")
		}
	}
}
