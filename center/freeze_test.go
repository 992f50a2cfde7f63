package center_test

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the program has it too

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

const prodEnv = "acme/shop/prod"

// freezeFor freezes acme/shop/prod from now on.
func (n *node) freezeFor(d time.Duration) config.Freeze {
	n.t.Helper()
	now := time.Now().UTC().Round(0)
	f := config.Freeze{Name: "year-end", Reason: "closing", From: now.Add(-time.Minute), To: now.Add(d)}
	_, err := n.FreezeEnv(n.admin(), path(n.t, prodEnv), f, "")
	n.must(err)
	return f
}

func TestAFrozenEnvTakesNoReleases(t *testing.T) {
	n := start(t)
	n.house()
	n.publish(prodEnv+"/a.json", `{"v":1}`)
	n.publish(prodEnv+"/a.json", `{"v":2}`)
	f := n.freezeFor(time.Hour)
	paula := n.user("paula", auth.Grant{Role: auth.RolePublisher, Scope: path(t, prodEnv)})

	want := `env acme/shop/prod is frozen until ` + f.To.Format(time.RFC3339) + ` by "year-end" (closing); rollback and abort are allowed, or override the freeze`
	_, err := n.Publish(paula, one(prodEnv+"/a.json", `{"v":3}`))
	if got := wantKind(t, config.Conflict, err).Detail(); got != want {
		t.Errorf("want %q, got %q", want, got)
	}
	_, err = n.Publish(n.admin(), one(prodEnv+"/a.json", `{"v":3}`))
	wantKind(t, config.Conflict, err) // the right alone does not do it
	n.publish("acme/shop/dev/a.json", `{}`)

	override := one(prodEnv+"/a.json", `{"v":3}`)
	override.OverrideFreeze = true
	_, err = n.Publish(paula, override)
	if got := wantKind(t, config.Denied, err).Detail(); !strings.Contains(got, "manage") {
		t.Errorf("want it to say that it takes the right to manage, got %q", got)
	}
	_, err = n.Publish(n.admin(), override)
	n.must(err)
	n.wantServed(prodEnv+"/a.json", `{"v":3}`, 3)

	_, err = n.Rollback(paula, center.Rollback{Path: path(t, prodEnv+"/a.json"), Version: 1})
	n.must(err)
	n.wantServed(prodEnv+"/a.json", `{"v":1}`, 4)

	_, err = n.UnfreezeEnv(n.admin(), path(t, prodEnv), "year-end", "")
	n.must(err)
	_, err = n.Publish(paula, one(prodEnv+"/a.json", `{"v":5}`))
	n.must(err)
}

func TestFreezesOfAnEnv(t *testing.T) {
	n := start(t)
	n.house()
	env := path(t, prodEnv)
	soon := time.Now().Add(time.Hour).UTC().Round(0)
	once := config.Freeze{Name: "audit", From: soon, To: soon.Add(time.Hour)}
	weekly := config.Freeze{Name: "weekend", Weekly: &config.Weekly{From: "fri 17:00", To: "mon 08:00", Zone: "Asia/Shanghai"}}
	steps := []struct {
		name string
		do   func() (config.Env, error)
		want []config.Freeze
		kind config.ErrorKind // of the error; 0 for none
	}{
		{"one", func() (config.Env, error) { return n.FreezeEnv(n.admin(), env, once, "") }, []config.Freeze{once}, 0},
		{"another", func() (config.Env, error) { return n.FreezeEnv(n.admin(), env, weekly, "") }, []config.Freeze{once, weekly}, 0},
		{"the same name replaces it", func() (config.Env, error) {
			f := once
			f.Reason = "audit"
			return n.FreezeEnv(n.admin(), env, f, "")
		}, []config.Freeze{{Name: "audit", Reason: "audit", From: once.From, To: once.To}, weekly}, 0},
		{"from now on", func() (config.Env, error) {
			e, err := n.FreezeEnv(n.admin(), env, config.Freeze{Name: "audit", To: once.To}, "")
			if err == nil && (e.Freezes[0].From.IsZero() || e.Freezes[0].From.After(time.Now())) {
				t.Errorf("want it from now on, got from %s", e.Freezes[0].From)
			}
			return e, err
		}, []config.Freeze{{Name: "audit", To: once.To}, weekly}, 0},
		{"over already", func() (config.Env, error) {
			return n.FreezeEnv(n.admin(), env, config.Freeze{Name: "x", From: soon.Add(-3 * time.Hour), To: soon.Add(-2 * time.Hour)}, "")
		}, nil, config.Invalid},
		{"malformed", func() (config.Env, error) { return n.FreezeEnv(n.admin(), env, config.Freeze{Name: "X"}, "") }, nil, config.Invalid},
		{"all the time", func() (config.Env, error) {
			return n.FreezeEnv(n.admin(), env, config.Freeze{Name: "week", Weekly: &config.Weekly{From: "mon 08:00", To: "fri 17:00", Zone: "Asia/Shanghai"}}, "")
		}, nil, config.Invalid},
		{"of an env that is not there", func() (config.Env, error) { return n.FreezeEnv(n.admin(), path(t, "acme/shop/moon"), once, "") }, nil, config.NotFound},
		{"of what is no env", func() (config.Env, error) { return n.FreezeEnv(n.admin(), path(t, "acme/shop"), once, "") }, nil, config.Invalid},
		{"seen long ago", func() (config.Env, error) { return n.FreezeEnv(n.admin(), env, once, "nonsense") }, nil, config.Invalid},
		{"one gone", func() (config.Env, error) { return n.UnfreezeEnv(n.admin(), env, "audit", "") }, []config.Freeze{weekly}, 0},
		{"gone already", func() (config.Env, error) { return n.UnfreezeEnv(n.admin(), env, "audit", "") }, nil, config.NotFound},
		{"a whole list", func() (config.Env, error) {
			return n.UpdateEnv(n.admin(), center.EnvPatch{Path: env, Freezes: &[]config.Freeze{once}})
		}, []config.Freeze{once}, 0},
		{"what is not said stays", func() (config.Env, error) {
			return n.UpdateEnv(n.admin(), center.EnvPatch{Path: env, Description: ptr("x")})
		}, []config.Freeze{once}, 0},
		{"a whole list, malformed twice", func() (config.Env, error) {
			e, err := n.UpdateEnv(n.admin(), center.EnvPatch{Path: env, Freezes: &[]config.Freeze{{Name: "X"}}})
			if got := len(config.AsError(err).Problems); got != 2 {
				t.Errorf("want both problems, got %d in %v", got, err)
			}
			return e, err
		}, nil, config.Invalid},
		{"an empty list", func() (config.Env, error) {
			return n.UpdateEnv(n.admin(), center.EnvPatch{Path: env, Freezes: &[]config.Freeze{}})
		}, nil, 0},
	}
	for _, step := range steps {
		got, err := step.do()
		if step.kind != 0 {
			wantKind(t, step.kind, err)
			continue
		}
		n.must(err)
		shown, err := n.Env(n.admin(), env)
		n.must(err)
		for _, e := range []config.Env{got, shown} {
			options := cmp.Options{cmpopts.EquateEmpty()}
			if step.name == "from now on" {
				options = append(options, cmpopts.IgnoreFields(config.Freeze{}, "From"))
			}
			if diff := cmp.Diff(step.want, e.Freezes, options); diff != "" {
				t.Fatalf("%s (want, got):\n%s", step.name, diff)
			}
		}
	}
	made, err := n.CreateEnv(n.admin(), config.Env{Tenant: "acme", App: "shop", Name: "stage", Freezes: []config.Freeze{weekly}})
	n.must(err)
	if diff := cmp.Diff([]config.Freeze{weekly}, made.Freezes); diff != "" {
		t.Errorf("made with freezes (want, got):\n%s", diff)
	}
	_, err = n.CreateEnv(n.admin(), config.Env{Tenant: "acme", App: "shop", Name: "late", Freezes: []config.Freeze{{Name: "X"}}})
	wantKind(t, config.Invalid, err)
}

func TestFreezesThatAreOverMakeRoom(t *testing.T) {
	n := start(t)
	n.house()
	env := path(t, prodEnv)
	now := time.Now().UTC().Round(0)
	full := make([]config.Freeze, config.MaxFreezes)
	for i := range full {
		full[i] = config.Freeze{Name: "f" + strings.Repeat("x", i), From: now.Add(time.Hour), To: now.Add(2 * time.Hour)}
	}
	over := full[3]
	full[3].From, full[3].To = now.Add(-2*time.Hour), now.Add(-time.Hour)
	_, err := n.UpdateEnv(n.admin(), center.EnvPatch{Path: env, Freezes: &full})
	n.must(err)
	more := config.Freeze{Name: "more", From: now, To: now.Add(time.Hour)}
	e, err := n.FreezeEnv(n.admin(), env, more, "")
	n.must(err)
	if len(e.Freezes) != config.MaxFreezes || e.Freezes[3].Name == over.Name {
		t.Errorf("want the one that is over gone, got %d: %v", len(e.Freezes), e.Freezes)
	}
	more.Name = "evenmore"
	_, err = n.FreezeEnv(n.admin(), env, more, "")
	if got := wantKind(t, config.Invalid, err); !strings.Contains(got.Detail(), "at most 32") {
		t.Errorf("want the bound named, got %v", got)
	}
}

func TestFreezingIsRecorded(t *testing.T) {
	n := start(t)
	n.house()
	n.freezeFor(time.Hour)
	_, err := n.UnfreezeEnv(n.admin(), path(t, prodEnv), "year-end", "")
	n.must(err)
	page, err := n.Audit(n.admin(), center.AuditRequest{Tenant: "acme"})
	n.must(err)
	if len(page.Items) < 2 || page.Items[0].Action != "env.unfreeze" || page.Items[1].Action != "env.freeze" {
		t.Fatalf("want both acts first, got %v", page.Items)
	}
	if got := page.Items[1].Detail; got["freeze"] != "year-end" || got["reason"] != "closing" || got["to"] == "" {
		t.Errorf("want it to say what was frozen and why, got %v", got)
	}
}
