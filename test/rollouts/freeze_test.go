package rollouts

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

// TestScheduledAndFrozen has a release begin by itself when its time has come,
// and freezes the env: what releases is refused, what takes back is not, and who
// may manage the env can do the former nevertheless, which the audit tells.
func TestScheduledAndFrozen(t *testing.T) {
	h := newHouse(t, shop)
	limits, other := shop+"/limits.json", shop+"/other.json"
	h.publish(limits+`={"n": 1}`, other+`={}`)
	f := newFleet(h, named("pod", 20), nil, shop)

	set := h.release(client.Publish{ReleaseOptions: client.ReleaseOptions{BeginsAt: time.Now().Add(2 * time.Second)}}, limits+`={"n": 2}`)
	l := *set.Launch
	f.reach(h.path(other), h.publish(other + `={}`).Items[0].Version)
	before := f.versions(h.path(limits))
	if l = h.look(l.ID); l.State == config.LaunchScheduled { // or the machine was very slow
		h.wantAll(before, 1)
	}
	l = h.awaitState(l.ID, config.LaunchPromoted)
	if l.BegunAt.Before(l.BeginsAt) {
		t.Errorf("it began at %s, and was to begin at %s", l.BegunAt, l.BeginsAt)
	}
	if diff := cmp.Diff([]string{"scheduled by admin", "begun by system", "promoted by system"}, history(l)); diff != "" {
		t.Errorf("the scheduled release: -want +got\n%s", diff)
	}
	f.reach(h.path(limits), 2)
	h.wantAll(f.versions(h.path(limits)), 2)

	// A canary is under way when the env is frozen.
	c := h.launch(client.NewRollout{Strategy: canary(config.FullShare)}, limits+`={"n": 3}`)
	f.reach(h.path(limits), 3)
	_, err := h.admin.FreezeEnv(t.Context(), h.path(shop), config.Freeze{Name: "year-end", Reason: "shops are busy", To: time.Now().Add(time.Hour)})
	h.must(err)
	ref := client.LaunchAct{LaunchRef: client.LaunchRef{Tenant: "acme", ID: c.ID}}
	_, published := h.admin.Publish(t.Context(), h.releasing(client.Publish{}, other+`={"n": 1}`))
	_, promoted := h.admin.PromoteLaunch(t.Context(), ref)
	for what, err := range map[string]error{"publish": published, "promote": promoted} {
		if config.KindOf(err) != config.Conflict || !strings.Contains(err.Error(), "shops are busy") || !strings.Contains(err.Error(), "frozen until") {
			t.Errorf("%s in a frozen env: want a conflict that says until when and why, got %v", what, err)
		}
	}
	c, err = h.admin.AbortLaunch(t.Context(), ref)
	h.must(err)
	if c.State != config.LaunchAborted {
		t.Errorf("want the launch aborted, it is %s", c.State)
	}

	over := h.release(client.Publish{Comment: "the prices are wrong", ReleaseOptions: client.ReleaseOptions{OverrideFreeze: true}}, other+`={"n": 2}`)
	f.reach(h.path(other), over.Items[0].Version)
	h.wantAll(f.versions(h.path(limits)), 2)
	told := h.records("config.publish")[0]
	if want := shop + ":year-end"; told.Detail["overridden_freeze"] != want || told.Comment != "the prices are wrong" {
		t.Errorf("want the audit to say that %s was overridden, and why; got %+v", want, told)
	}
}

// wantAll wants each instance to have a version.
func (h *house) wantAll(versions map[string]int64, want int64) {
	h.Helper()
	for id, got := range versions {
		if got != want {
			h.Errorf("%s: want version %d, got %d", id, want, got)
		}
	}
}
