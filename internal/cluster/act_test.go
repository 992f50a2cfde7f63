package cluster

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/freeport"
	"github.com/setpointhq/setpoint/store"
)

func TestActionsAreRefusedWithWhatHelps(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		prepare func(e *engine)
		act     func(c *Cluster) error
		kind    config.ErrorKind
		want    string
	}{
		{"promoting nobody", nil, func(c *Cluster) error { return c.promote(t.Context(), "n9") }, config.NotFound, "no node is called n9"},
		{"removing nobody", nil, func(c *Cluster) error { return c.remove(t.Context(), "n9") }, config.NotFound, "no node is called n9"},
		{"removing the only one that votes", func(e *engine) { e.members[1].Learner = true },
			func(c *Cluster) error { return c.remove(t.Context(), "n1") }, config.Conflict, "n1 is the only member that votes"},
		{"a leader that does not vote", func(e *engine) { e.members[1].Learner = true },
			func(c *Cluster) error { return c.moveLeader(t.Context(), "n2", false) }, config.Conflict, "n2 does not vote yet"},
		{"a leader that is no member", nil,
			func(c *Cluster) error { return c.moveLeader(t.Context(), "n9", false) }, config.NotFound, "no member is called n9"},
		{"a leader, while there is none", func(e *engine) { e.status.Leader = 0 },
			func(c *Cluster) error { return c.moveLeader(t.Context(), "n2", false) }, config.Unavailable, "there is no leader at the moment"},
		{"a leader that is another one by now", func(e *engine) { e.status.Leader = 2 },
			func(c *Cluster) error { return c.moveLeader(t.Context(), "n2", true) }, config.Conflict, "the leadership has just moved"},
		{"any other leader, of none", func(e *engine) { e.members = e.members[:1] },
			func(c *Cluster) error { return c.moveLeader(t.Context(), "", false) }, config.Conflict, "no other member that votes is well enough to lead"},
		{"what the engine refuses", func(e *engine) { e.members[1].Learner = true },
			func(c *Cluster) error {
				c.upkeep.Lock()
				defer c.upkeep.Unlock()
				return c.defragment(t.Context())
			}, config.Conflict, "is defragmenting its data already"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c, e := tended(t)
			if tc.prepare != nil {
				e.set(tc.prepare)
			}
			err := tc.act(c)
			if config.KindOf(err) != tc.kind || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("want %s: %q, got %v", tc.kind, tc.want, err)
			}
			if acts := e.done(); len(acts) > 0 {
				t.Errorf("want nothing done, got %v", acts)
			}
		})
	}
}

func TestALeaderHandsOverBeforeItIsRemoved(t *testing.T) {
	t.Parallel()
	c, e := tended(t)
	if err := c.Remove(t.Context(), "n1"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"lead 2", "remove 1"}, e.done()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAnEdgeThatStoppedIsForgotten(t *testing.T) {
	t.Parallel()
	c, _ := tended(t)
	if err := c.others.put(from("e1", "a", "u"), time.Now().Add(-silentAfter-time.Second)); err != nil {
		t.Fatal(err)
	}
	s, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if e1 := nodeOf(s, "e1"); e1.Healthy || len(e1.Problems) != 1 || !strings.HasPrefix(e1.Problems[0], "it has said nothing for ") {
		t.Errorf("got %+v", e1)
	}
	if err := c.Remove(t.Context(), "e1"); err != nil {
		t.Fatal(err)
	}
	if _, known := c.others.get("e1"); known {
		t.Error("want it forgotten")
	}
}

func TestNodesSpeakForThemselvesAlone(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	c := o.openOnly(o.settings("n1", freeport.For(t)), filepath.Join(o.dir, "n1"))
	addr := c.settings.Advertise
	liar := newCaller(keeper(t, o.files("e7")).Dial)
	defer liar.close()
	say := hello{Report: report{Boot: "b", Node: config.Node{Name: "e8", Role: config.Edge}}}
	for path, body := range map[string]any{"/node/hello": &say, "/node/answers/x?node=e8": &clients{}} {
		err := liar.post(t.Context(), addr, path, body, &nothing{})
		if config.KindOf(err) != config.Denied || !strings.Contains(err.Error(), "the certificate is that of the node e7, not of e8") {
			t.Errorf("%s: want it denied, got %v", path, err)
		}
	}
	say.Report.Node.Name = "e7"
	if err := liar.post(t.Context(), addr, "/node/hello", &say, &nothing{}); err != nil {
		t.Error(err)
	}
}

func TestANodeThatIsStillStartingSaysSo(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	c := o.openOnly(o.settings("n1", freeport.For(t)), filepath.Join(o.dir, "n1"))
	calls := newCaller(keeper(t, o.files("n2")).Dial)
	defer calls.close()
	for _, path := range []string{"/node/status", "/node/instances"} {
		if err := calls.get(t.Context(), c.settings.Advertise, path, &nothing{}); config.KindOf(err) != config.Unavailable || silent(err) {
			t.Errorf("%s: got %v", path, err)
		}
	}
	if _, err := c.Status(t.Context()); config.KindOf(err) != config.Unavailable {
		t.Errorf("got %v", err)
	}
	if err := c.Run(t.Context()); err == nil {
		t.Error("want Run to need its parts")
	}
	var id identity
	if err := calls.get(t.Context(), c.settings.Advertise, "/node/identity", &id); err != nil || id.Formed || id.Name != "n1" {
		t.Errorf("got %+v, %v", id, err)
	}
	o.withEngine(c, store.Member{ID: 1, Name: "n1", Peer: c.settings.Advertise, Started: true})
	if err := calls.get(t.Context(), c.settings.Advertise, "/node/identity", &id); err != nil || !id.Formed || id.Cluster != "c1" {
		t.Errorf("got %+v, %v", id, err)
	}
}
