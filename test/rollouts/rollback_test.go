package rollouts

import (
	"strconv"
	"strings"
	"testing"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

// TestRollbackAtThreeInTheMorning types what the guide says, in an env that is
// frozen and protected, while a launch of two configs is under way.
func TestRollbackAtThreeInTheMorning(t *testing.T) {
	h := newHouse(t, "acme/shop/dev")
	h.mustCLI("env", "create", shop, "--protected")
	app, site := shop+"/app.yaml", shop+"/site.yaml"
	n := func(n string) string { return h.file(n+".yaml", "n: "+n+"\n") }
	pod := h.as(config.Client{ID: "pod-1"})
	served := func(want string) {
		t.Helper()
		got, err := pod.Get(t.Context(), h.path(app), client.ReadOptions{})
		h.must(err)
		if string(got.Content) != "n: "+want+"\n" {
			t.Errorf("want n: %s served, got version %d, %q", want, got.Version, got.Content)
		}
	}
	for _, v := range []string{"1", "2"} {
		h.mustCLI("publish", app+"="+n(v), site+"="+n(v), "-m", "release "+v)
	}
	h.mustCLI("publish", app+"="+n("3"), site+"="+n("3"), "--percent", "100", "-m", "new limits")
	served("3")
	h.mustCLI("env", "freeze", shop, "night", "--to", "8h", "--reason", "people sleep")
	h.refusedCLI([]string{"conflict", "frozen until", `"night"`, "people sleep"}, "publish", app, "-f", n("4"), "-m", "one more")
	h.refusedCLI([]string{"frozen until"}, "rollout", "promote", app, "-m", "it is fine")
	served("3")

	// A launch is under way: it is what goes, as a whole, and no release is made.
	h.mustCLI("rollback", app, "-m", "errors since 02:50")
	served("2")
	for _, path := range []string{app, site} {
		if got := h.versions(path); got != "3 2 1" {
			t.Errorf("%s: want no new release, got %s", path, got)
		}
		r, err := h.admin.Rollout(t.Context(), h.path(path))
		h.must(err)
		if r.Stable.Version != 2 || len(r.Candidates) != 0 {
			t.Errorf("%s: want release 2 for everybody, got %+v", path, r)
		}
	}
	for l, err := range h.admin.Launches(t.Context(), client.LaunchFilter{Path: h.path(shop), All: true}) {
		h.must(err)
		if l.State != config.LaunchAborted || l.EndedBy != "admin" || len(l.Items) != 2 {
			t.Errorf("want the launch of both configs aborted, it is %s by %s: %+v", l.State, l.EndedBy, l.Items)
		}
	}
	if ended := h.records("config.rollback"); len(ended) != 1 || ended[0].Comment != "errors since 02:50" {
		t.Errorf("the audit has of the rollback: %+v", ended)
	}
	// None is: what was stable before comes back, as a new version.
	h.mustCLI("rollback", app, "-m", "still errors")
	served("1")
	if got := h.versions(app); got != "4 3 2 1" {
		t.Errorf("want the old content as version 4, got %s", got)
	}
	// To undo a rollback would bring the trouble back.
	h.refusedCLI([]string{"conflict", "rollback", "version"}, "rollback", app, "-m", "and again")
	served("1")
	// A version that is named is what is meant, whatever it was.
	h.mustCLI("rollback", app, "--to", "3", "-m", "it was not that")
	served("3")
	if got := h.versions(app); got != "5 4 3 2 1" {
		t.Errorf("want the content of 3 as version 5, got %s", got)
	}
	if got := h.versions(site); got != "3 2 1" {
		t.Errorf("rolling one config back left another with releases %s", got)
	}
}

// versions lists a config's releases, the newest first.
func (h *house) versions(path string) string {
	h.Helper()
	var all []string
	for r, err := range h.admin.Releases(h.Context(), h.path(path)) {
		h.must(err)
		all = append(all, strconv.FormatInt(r.Version, 10))
	}
	return strings.Join(all, " ")
}
