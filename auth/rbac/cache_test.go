package rbac

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/authtest"
	"github.com/setpointhq/setpoint/config"
)

// watched is a Directory that answers with new memory, as one does that is built
// anew for each change, counts, and lets a test act while it is read.
type watched struct {
	*authtest.Directory
	asked  atomic.Int64
	during func() // called once with the first answer already taken
}

func (w *watched) Grants(subject string) []auth.Grant {
	w.asked.Add(1)
	grants := slices.Clone(w.Directory.Grants(subject))
	if f := w.during; f != nil {
		w.during = nil
		f()
	}
	return grants
}

func TestAChangeOfAnotherCompilesNothing(t *testing.T) {
	d := &watched{Directory: authtest.NewDirectory(auth.User{Name: "alice"}, auth.User{Name: "bob"})}
	d.PutRole("made", auth.Read)
	d.Bind("alice", authtest.Grant(t, auth.RoleViewer, "acme"), authtest.Grant(t, "made", "globex"))
	a, alice := New(d), &auth.Identity{Subject: "alice"}
	before := a.cache.standing(alice).tree

	d.Bind("bob", authtest.Grant(t, auth.RoleAdmin, ""))
	d.PutRole("other", auth.Edit)
	d.PutUser(auth.User{Name: "alice", Description: "renamed", Groups: []string{"without-bindings"}})
	if after := a.cache.standing(alice); after.tree != before || after.generation != d.Generation() {
		t.Error("want what was compiled to serve on, as of now")
	}
	for name, change := range map[string]func(){
		"its binding":        func() { d.Bind("alice", authtest.Grant(t, auth.RoleViewer, "initech")) },
		"the role":           func() { d.PutRole("made", auth.Edit) },
		"its group":          func() { d.BindGroup("without-bindings", authtest.Grant(t, auth.RoleViewer, "")) },
		"its right to do so": func() { d.PutUser(auth.User{Name: "alice", Disabled: true}) },
	} {
		before := a.cache.standing(alice).tree
		change()
		if after := a.cache.standing(alice).tree; after == before && before != nil {
			t.Errorf("%s has changed: want it compiled anew", name)
		}
		d.PutUser(auth.User{Name: "alice", Groups: []string{"without-bindings"}})
	}
}

func TestOneCompilesForAllWhoWait(t *testing.T) {
	d := &watched{Directory: authtest.NewDirectory(auth.User{Name: "alice"})}
	a, at := New(d), authtest.Path(t, "acme")
	for round := range 20 {
		d.Bind("alice", authtest.Grant(t, auth.RoleViewer, "acme"))
		d.asked.Store(0)
		var all sync.WaitGroup
		for range 32 {
			all.Go(func() {
				if !a.Allowed(auth.Identity{Subject: "alice"}, auth.Read, at) {
					t.Error("want it allowed")
				}
			})
		}
		all.Wait()
		if got := d.asked.Load(); got != 1 {
			t.Fatalf("round %d: want the directory asked once, got %d times", round, got)
		}
	}
}

func TestWhatIsReadDuringAChangeIsReadAgain(t *testing.T) {
	d := &watched{Directory: authtest.NewDirectory(auth.User{Name: "alice", Groups: []string{"ops"}})}
	d.BindGroup("ops", authtest.Grant(t, auth.RoleViewer, "acme"))
	// What the subject has is read without the denial, what the group has with the
	// grant that came with it.
	d.during = func() {
		d.Bind("alice", authtest.Denied(authtest.Grant(t, auth.RoleAdmin, "")))
		d.BindGroup("ops", authtest.Grant(t, auth.RoleAdmin, "acme"))
	}
	if New(d).Allowed(auth.Identity{Subject: "alice"}, auth.Manage, authtest.Path(t, "acme")) {
		t.Error("want the denial seen that came with the change")
	}
}

// restless is a Directory that changes whenever it is read.
type restless struct {
	*authtest.Directory
	generation atomic.Uint64
}

func (r *restless) Generation() uint64 { return r.generation.Add(1) }

func TestChangesWithoutEndDelayNobody(t *testing.T) {
	d := &restless{Directory: authtest.NewDirectory(auth.User{Name: "alice"})}
	d.Bind("alice", authtest.Grant(t, auth.RoleViewer, "acme"))
	a := New(d)
	for range 3 {
		if !a.Allowed(auth.Identity{Subject: "alice"}, auth.Read, authtest.Path(t, "acme")) {
			t.Error("want it allowed")
		}
	}
}

func TestTheCacheIsBounded(t *testing.T) {
	const everybody = shards * identitiesAShard * 3 / 2
	t.Run("in identities", func(t *testing.T) {
		d := authtest.NewDirectory()
		d.BindGroup("corp:all", authtest.Grant(t, auth.RoleViewer, "acme"))
		a := New(d)
		often := auth.Identity{Subject: "corp:often", Provider: "corp", Groups: []string{"corp:all"}}
		kept := a.cache.standing(&often)
		for i := range everybody {
			id := auth.Identity{Subject: fmt.Sprintf("corp:%d", i), Provider: "corp", Groups: often.Groups}
			if !a.Allowed(id, auth.Read, authtest.Path(t, "acme")) || !a.Allowed(often, auth.Read, authtest.Path(t, "acme")) {
				t.Fatal("want everybody allowed, remembered or not")
			}
		}
		if identities, _ := held(a); identities > shards*identitiesAShard || identities < shards*identitiesAShard/4 {
			t.Errorf("want at most %d remembered, and not much fewer, got %d", shards*identitiesAShard, identities)
		}
		if a.cache.standing(&often) != kept {
			t.Error("want one that is asked for all the time to stay")
		}
	})
	t.Run("in grants", func(t *testing.T) {
		d := authtest.NewDirectory()
		grants := make([]auth.Grant, 1000)
		for i := range grants {
			grants[i] = auth.Grant{Role: auth.RoleViewer, Scope: config.Path{Tenant: "acme", App: fmt.Sprintf("app-%d", i), Env: "prod"}}
		}
		d.BindGroup("corp:all", grants...)
		a := New(d)
		for i := range shards * grantsAShard / len(grants) * 5 / 4 {
			a.Allowed(auth.Identity{Subject: fmt.Sprintf("corp:%d", i), Provider: "corp", Groups: []string{"corp:all"}}, auth.Read, config.Path{})
		}
		_, weight := held(a)
		if weight > shards*grantsAShard || weight < shards*grantsAShard/8 {
			t.Errorf("want at most %d grants remembered, and not much fewer, got %d", shards*grantsAShard, weight)
		}
	})
}

func held(a *Authorizer) (identities, weight int) {
	for i := range a.cache.shards {
		if table := a.cache.shards[i].entries.Load(); table != nil {
			identities += len(*table)
			for _, e := range *table {
				weight += e.weight()
			}
		}
	}
	return identities, weight
}
