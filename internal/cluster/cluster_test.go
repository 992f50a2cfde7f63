package cluster

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/freeport"
	"github.com/setpointhq/setpoint/store"
)

func status(tb testing.TB, n *node) config.ClusterStatus {
	tb.Helper()
	s, err := n.Status(tb.Context())
	if err != nil {
		tb.Fatal(err)
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

func nodeOf(s config.ClusterStatus, name string) config.Node {
	for _, n := range s.Nodes {
		if n.Name == name {
			return n
		}
	}
	return config.Node{}
}

func healthy(n config.Node) bool { return n.Healthy }

func voting(n config.Node) bool { return n.Role == config.Voter }

func byName(nodes []*node, name string) (found *node, others []*node) {
	for _, n := range nodes {
		if n.settings.Name == name {
			found = n
		} else {
			others = append(others, n)
		}
	}
	return found, others
}

func TestFoundersServeUntilTheirMajorityIsGone(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	nodes := o.found("n1", "n2", "n3")
	var s config.ClusterStatus
	await(t, "all are well", func() bool {
		s = status(t, nodes[1])
		return len(names(s, healthy)) == 3
	})
	if !s.Writable || s.ID != "installation" || len(s.Problems) > 0 || s.Leader == "" {
		t.Errorf("want a cluster that is well, got %+v", s)
	}
	if diff := cmp.Diff([]string{"n2"}, names(s, func(n config.Node) bool { return n.Self })); diff != "" {
		t.Errorf("the node that answers (-want +got):\n%s", diff)
	}

	t.Run("the leadership moves to the named one, wherever it is asked for", func(t *testing.T) {
		for _, name := range []string{"n1", "n2", "n3", "n3"} {
			if err := nodes[0].MoveLeader(t.Context(), name); err != nil {
				t.Fatal(err)
			}
			await(t, name+" leads", func() bool { return status(t, nodes[0]).Leader == name })
		}
		if err := nodes[0].MoveLeader(t.Context(), "n9"); config.KindOf(err) != config.NotFound {
			t.Errorf("want n9 not found, got %v", err)
		}
		if err := nodes[1].MoveLeader(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		await(t, "another one leads", func() bool { l := status(t, nodes[1]).Leader; return l != "" && l != "n3" })
	})

	t.Run("a member defragments its data", func(t *testing.T) {
		for _, n := range nodes[:2] { // as the holder of the office does
			err := nodes[0].calls.post(t.Context(), n.settings.Advertise, "/node/defragment", nil, &nothing{})
			if err != nil {
				t.Error(err)
			}
		}
	})

	t.Run("one is down", func(t *testing.T) {
		nodes[2].stop()
		await(t, "the others notice", func() bool {
			s = status(t, nodes[0])
			return s.Writable && len(names(s, healthy)) == 2
		})
		if diff := cmp.Diff([]string{"2 of 3 voting members answer: if one more fails, changes are refused"}, s.Problems); diff != "" {
			t.Errorf("problems (-want +got):\n%s", diff)
		}
		n3 := nodeOf(s, "n3")
		if want := []string{"it does not answer: nothing listens there; is the node running?"}; !slices.Equal(want, n3.Problems) {
			t.Errorf("want %q, got %q", want, n3.Problems)
		}
		if n3.Version != "1.0.0" || n3.URL != "https://n3" {
			t.Errorf("want it described as it was, got %+v", n3)
		}
		_, silent, err := nodes[0].Instances(t.Context(), config.InstanceQuery{})
		if err != nil || !slices.Equal([]string{"n3"}, silent) {
			t.Errorf("want n3 silent, got %v, %v", silent, err)
		}
	})

	t.Run("the majority is gone", func(t *testing.T) {
		nodes[1].stop()
		await(t, "it is told", func() bool { s = status(t, nodes[0]); return s.Leader == "" })
		if s.Writable || !strings.HasPrefix(strings.Join(s.Problems, "\n"), "there is no leader: changes are refused until a majority of the members (2 of 3) reach each other") {
			t.Errorf("want no changes taken, got %+v", s)
		}
		if got := nodeOf(s, "n1").Problems; len(got) != 1 || !strings.HasPrefix(got[0], "it knows no leader") {
			t.Errorf("want n1 to say that it knows no leader, got %q", got)
		}
	})
}

func TestNodesJoinOneAfterTheOther(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	dir := func(name string) string { return filepath.Join(o.dir, "data-"+name) }
	n1 := o.mustStart(bare("n1", freeport.For(t)), dir("n1"))
	invited, err := n1.Invitation()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{n1.settings.Advertise}, invited.Addresses); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
	joiner := func(name string) Settings {
		s := bare(name, freeport.For(t))
		s.Join, s.JoinToken = invited.Addresses, o.token(invited.Fingerprint, name, false)
		return s
	}

	// Both at once: one of them has to wait until the other one votes.
	settings := map[string]Settings{"n2": joiner("n2"), "n3": joiner("n3")}
	joined := make(chan *node, 2)
	var joining sync.WaitGroup
	for name, s := range settings {
		joining.Go(func() {
			n, err := o.start(s, dir(name))
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			joined <- n
		})
	}
	joining.Wait()
	nodes := []*node{n1, <-joined, <-joined}
	if t.Failed() {
		t.FailNow()
	}
	await(t, "all three vote", func() bool { return len(names(status(t, n1), voting)) == 3 && len(names(status(t, n1), healthy)) == 3 })

	edge := func(name string) (*node, error) {
		s := bare(name, "")
		s.Edge, s.Join, s.JoinToken = true, invited.Addresses, o.token(invited.Fingerprint, name, true)
		return o.start(s, dir(name))
	}
	e1, err := edge("e1")
	if err != nil {
		t.Fatal(err)
	}
	e2, err := edge("e2")
	if err != nil {
		t.Fatal(err)
	}
	all := []string{"n1", "n2", "n3", "e1", "e2"}
	slices.Sort(all)

	t.Run("every node sees every node", func(t *testing.T) {
		for _, n := range append(slices.Clone(nodes), e1, e2) {
			await(t, n.settings.Name+" sees all", func() bool {
				got := names(status(t, n), healthy)
				slices.Sort(got)
				return slices.Equal(all, got)
			})
			if s := status(t, n); !s.Writable || nodeOf(s, "e1").Role != config.Edge || !nodeOf(s, n.settings.Name).Self {
				t.Errorf("%s: %+v", n.settings.Name, s)
			}
		}
	})

	t.Run("instances are gathered from every other node", func(t *testing.T) {
		for _, n := range append(slices.Clone(nodes), e1, e2) {
			found, silent, err := n.Instances(t.Context(), config.InstanceQuery{Path: config.Path{Tenant: "acme"}})
			if err != nil || len(silent) > 0 {
				t.Errorf("%s: %v, silent %v", n.settings.Name, err, silent)
			}
			var got []string
			for _, i := range found {
				got = append(got, i.Node)
			}
			slices.Sort(got)
			want := slices.DeleteFunc(slices.Clone(all), func(name string) bool { return name == n.settings.Name })
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("as %s sees it (-want +got):\n%s", n.settings.Name, diff)
			}
		}
	})

	t.Run("so are receipts, by the clock of who asks", func(t *testing.T) {
		for _, n := range append(slices.Clone(nodes), e1, e2) {
			found, silent, err := n.Receipts(t.Context(), config.Path{Tenant: "acme", App: "shop", Env: "prod", Name: "app.yaml"}, 7)
			if err != nil || len(silent) > 0 {
				t.Errorf("%s: %v, silent %v", n.settings.Name, err, silent)
			}
			var got []string
			shared := 0
			for _, r := range found {
				ago := time.Since(time.UnixMilli(r.Seen))
				switch {
				case r.Instance == 1 && r.State == config.AckApplied && ago < 30*time.Second:
					shared++
				case r.Instance == 7 && r.State == config.AckRefused && r.Why == "acme/shop/prod/app.yaml" && ago > 30*time.Second:
					got = append(got, strings.TrimPrefix(r.ID, "client-of-"))
				default:
					t.Errorf("%s: got %+v", n.settings.Name, r)
				}
			}
			slices.Sort(got)
			want := slices.DeleteFunc(slices.Clone(all), func(name string) bool { return name == n.settings.Name })
			if diff := cmp.Diff(want, got); diff != "" || shared != len(want) {
				t.Errorf("as %s sees it, with %d of the shared one (-want +got):\n%s", n.settings.Name, shared, diff)
			}
		}
	})

	t.Run("an edge has members act", func(t *testing.T) {
		if err := e1.MoveLeader(t.Context(), "n2"); err != nil {
			t.Error(err)
		}
		await(t, "n2 leads", func() bool { return status(t, e1).Leader == "n2" })
		if err := e1.Promote(t.Context(), "n2"); err != nil {
			t.Errorf("want nothing to do for one that votes, got %v", err)
		}
		if err := e1.Promote(t.Context(), "n9"); config.KindOf(err) != config.NotFound {
			t.Errorf("want n9 not found, got %v", err)
		}
	})

	t.Run("an edge that stops is gone", func(t *testing.T) {
		if err := n1.Remove(t.Context(), "e2"); config.KindOf(err) != config.Conflict || !strings.Contains(err.Error(), "stop it") {
			t.Errorf("want it refused while it runs, got %v", err)
		}
		e2.stop()
		for _, n := range nodes {
			if got := nodeOf(status(t, n), "e2"); got.Name != "" {
				t.Errorf("want it gone, got %+v", got)
			}
		}
	})

	t.Run("nodes come back without a token", func(t *testing.T) {
		n3, _ := byName(nodes, "n3")
		n3.stop()
		e1.stop()
		s := settings["n3"]
		s.JoinToken = config.Secret{}
		o.mustStart(s, dir("n3"))
		again := bare("e1", "")
		again.Edge, again.Join = true, []string{freeport.For(t)} // not needed any more
		e1 = o.mustStart(again, dir("e1"))
		await(t, "all are well", func() bool { return len(names(status(t, e1), healthy)) == 4 })
	})
}

func TestALeaderIsRemovedAndCannotComeBackAsItWas(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	nodes := o.found("n1", "n2", "n3")
	n1, n3 := nodes[0], nodes[2]
	if err := n1.MoveLeader(t.Context(), "n3"); err != nil {
		t.Fatal(err)
	}
	await(t, "n3 leads and is removed", func() bool { // members must have been connected for a while
		err := n1.Remove(t.Context(), "n3")
		if err != nil && config.KindOf(err) != config.Conflict {
			t.Fatal(err)
		}
		return err == nil
	})
	await(t, "another one leads", func() bool { l := status(t, n1).Leader; return l != "" && l != "n3" })
	if got := len(status(t, n1).Nodes); got != 2 {
		t.Errorf("want two nodes left, got %d", got)
	}
	<-n3.store.(store.Liveness).Done()
	n3.stop()
	_, err := o.start(n3.options.Settings, n3.options.DataDir)
	if want := "n3 is no member of the cluster any more"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("want %q, got %v", want, err)
	}
	s := n3.options.Settings
	_, err = o.start(s, filepath.Join(o.dir, "empty"))
	if want := "the cluster was founded without n3; let it join"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("want %q, got %v", want, err)
	}
}

func TestCertificateOfAJoinedNodeIsRenewed(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	n1 := o.mustStart(bare("n1", freeport.For(t)), filepath.Join(o.dir, "n1"))
	invited, err := n1.Invitation()
	if err != nil {
		t.Fatal(err)
	}
	s := bare("e1", "")
	s.Edge, s.Join, s.JoinToken = true, invited.Addresses, o.token(invited.Fingerprint, "e1", true)
	e1 := o.mustStart(s, filepath.Join(o.dir, "e1"))
	await(t, "n1 knows e1", func() bool { return nodeOf(status(t, n1), "e1").Healthy })
	for _, n := range []*node{n1, e1} {
		before := n.keeper.Certificate()
		if err := n.renewNow(t.Context()); err != nil {
			t.Fatal(err)
		}
		after := n.keeper.Certificate()
		if before.Equal(after) || after.Subject.CommonName != n.settings.Name {
			t.Errorf("%s: want a new certificate of the same name, got %s", n.settings.Name, after.Subject)
		}
	}
	n1.others.drop("e1")
	if err := e1.renewNow(t.Context()); err == nil && !nodeOf(status(t, n1), "e1").Healthy {
		t.Error("want a node refused that nobody knows")
	}
}

func TestAJoinThatBrokeOffGoesOn(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	n1 := o.mustStart(bare("n1", freeport.For(t)), filepath.Join(o.dir, "n1"))
	invited, err := n1.Invitation()
	if err != nil {
		t.Fatal(err)
	}
	s, dir := bare("n2", freeport.For(t)), filepath.Join(o.dir, "n2")
	s.Join, s.JoinToken = invited.Addresses, o.token(invited.Fingerprint, "n2", false)
	token := s.JoinToken

	// It was added, and crashed before its engine ran; once with its certificate
	// on disk, and once before.
	for _, lost := range []string{"", "node.pem"} {
		c, err := Open(t.Context(), options(t, s, dir))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		s.JoinToken = config.Secret{} // not needed with a certificate
		if lost != "" {
			if err := os.Remove(filepath.Join(dir, folder, lost)); err != nil {
				t.Fatal(err)
			}
			s.JoinToken = o.token(invited.Fingerprint, "again", false)
		}
	}
	n2 := o.mustStart(s, dir)
	await(t, "n2 votes", func() bool { return len(names(status(t, n2), voting)) == 2 })

	t.Run("the token lets nobody else in", func(t *testing.T) {
		s := bare("n4", freeport.For(t))
		s.Join, s.JoinToken = invited.Addresses, token
		_, err := o.start(s, filepath.Join(o.dir, "n4"))
		if config.KindOf(err) != config.Denied {
			t.Errorf("want it denied, got %v", err)
		}
	})
	if got := time.Until(n2.keeper.Certificate().NotAfter); got < 24*time.Hour {
		t.Errorf("want a certificate that lasts, got %s", got)
	}
}

func TestAFounderThatMovesVouchesForItselfAnew(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	dir, addr := filepath.Join(o.dir, "n1"), freeport.For(t)
	first, err := o.tryOpen(bare("n1", addr), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	moved := bare("n1", addr)
	moved.Advertise = strings.Replace(addr, "127.0.0.1", "192.0.2.1", 1)
	second := o.openOnly(moved, dir)
	if err := second.keeper.Certificate().VerifyHostname("192.0.2.1"); err != nil {
		t.Error(err)
	}
	if first.keeper.Fingerprint() != second.keeper.Fingerprint() {
		t.Error("want the same authority")
	}
}
