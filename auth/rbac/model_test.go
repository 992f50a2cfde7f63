package rbac_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/authtest"
	"github.com/setpointhq/setpoint/auth/rbac"
	"github.com/setpointhq/setpoint/config"
)

// model decides slowly and plainly: paths are text, verbs are names, and what
// is reached is found by trying every place there is.
type model struct {
	users   map[string]bool // whether disabled
	members map[string][]string
	grants  map[string][]auth.Grant // by user, "group " and group
	roles   map[auth.Role]string
}

var modelVerbs = map[auth.Role]string{
	"client":    "fetch report",
	"viewer":    "fetch read",
	"editor":    "fetch read edit",
	"publisher": "fetch read edit publish rollout",
	"operator":  "fetch read rollout",
	"approver":  "fetch read approve",
	"admin":     "fetch read edit publish manage grant audit report operate rollout approve",
	"auditor":   "audit",
}

func below(scope, path string) bool {
	return scope == "" || path == scope || strings.HasPrefix(path, scope+"/")
}

// holds says where a grant holds: its pattern is tried on what lies below the scope.
func holds(g auth.Grant, path string) bool {
	scope := g.Scope.String()
	if g.Pattern == "" || !below(scope, path) {
		return below(scope, path)
	}
	names := strings.Split(strings.TrimPrefix(strings.TrimPrefix(path, scope), "/"), "/")
	for i, want := range strings.Split(g.Pattern, "/") {
		if i >= len(names) || names[i] == "" {
			return false
		}
		if prefix, open := strings.CutSuffix(want, "*"); names[i] != want && (!open || !strings.HasPrefix(names[i], prefix)) {
			return false
		}
	}
	return true
}

func (m model) any(grants []auth.Grant, verb auth.Verb, path string) bool {
	allowed := false
	for _, g := range grants {
		verbs := modelVerbs[g.Role] + " " + m.roles[g.Role]
		if !slices.Contains(strings.Fields(verbs), verb.String()) || !holds(g, path) {
			continue
		}
		if g.Deny {
			return false
		}
		allowed = true
	}
	return allowed
}

func (m model) allowed(id auth.Identity, verb auth.Verb, path string) bool {
	groups := id.Groups
	if id.Provider == "" {
		disabled, known := m.users[id.Subject]
		if !known || disabled {
			return false
		}
		groups = m.members[id.Subject]
	}
	grants := slices.Clone(m.grants[id.Subject])
	for _, g := range groups {
		grants = append(grants, m.grants["group "+g]...)
	}
	return id.Subject != "" && m.any(grants, verb, path) && (id.Narrow == nil || m.any(id.Narrow, verb, path))
}

// everywhere lists a small world in which grants are made of two names at each
// level, one of which begins with the other. For each way to leave a name open
// it has one that no grant names, so that what is reached at all is reached here.
func everywhere() []config.Path {
	all := []config.Path{{}}
	for i := 0; i < len(all); i++ {
		switch all[i].Level() {
		case config.LevelConfig:
		case config.LevelEnv:
			for _, name := range []string{"a", "ab", "z", "ay", "abx"} {
				all = append(all, all[i].Join(name))
			}
		default:
			for _, name := range []string{"a", "ab", "z"} {
				all = append(all, all[i].Join(name))
			}
		}
	}
	return all
}

// grants draws some, of all sorts.
func grants(places []config.Path, roles []auth.Role) *rapid.Generator[[]auth.Grant] {
	named := slices.DeleteFunc(slices.Clone(places), func(p config.Path) bool {
		return strings.ContainsAny(p.String(), "xyz")
	})
	one := rapid.Custom(func(t *rapid.T) auth.Grant {
		g := auth.Grant{
			Role:  rapid.SampledFrom(roles).Draw(t, "role"),
			Scope: rapid.SampledFrom(named).Draw(t, "scope"),
			Deny:  rapid.IntRange(0, 3).Draw(t, "denies if 0") == 0,
		}
		level := g.Scope.Level()
		if level == config.LevelRoot || level == config.LevelConfig || rapid.Bool().Draw(t, "everywhere") {
			return g
		}
		parts := []string{}
		for l := level + 1; l <= config.LevelConfig && (l == level+1 || rapid.Bool().Draw(t, "deeper")); l++ {
			names := []string{"*", "a", "ab"}
			if l == config.LevelConfig {
				names = append(names, "a*", "ab*")
			}
			parts = append(parts, rapid.SampledFrom(names).Draw(t, "part"))
		}
		g.Pattern = strings.Join(parts, "/")
		return g
	})
	return rapid.SliceOfN(one, 0, 6)
}

// draw makes a directory, and the model of it.
func draw(t *rapid.T, d *authtest.Directory, m model, some *rapid.Generator[[]auth.Grant]) {
	disabled := rapid.Bool().Draw(t, "bob is disabled")
	groups := rapid.SliceOfDistinct(rapid.SampledFrom([]string{"g", "h"}), rapid.ID[string])
	for name, off := range map[string]bool{"alice": false, "bob": disabled} {
		m.users[name], m.members[name] = off, groups.Draw(t, "groups of "+name)
		d.PutUser(auth.User{Name: name, Disabled: off, Groups: m.members[name]})
	}
	for _, subject := range []string{"", "alice", "bob", "ghost", "corp:carol"} {
		m.grants[subject] = some.Draw(t, "grants of "+subject)
		d.Unbind(subject)
		d.Bind(subject, m.grants[subject]...)
	}
	for _, group := range []string{"g", "h", "corp:g"} {
		m.grants["group "+group] = some.Draw(t, "grants of group "+group)
		d.UnbindGroup(group)
		d.BindGroup(group, m.grants["group "+group]...)
	}
	made := rapid.SampledFrom([]auth.Verb{auth.Read, auth.Edit | auth.Publish}).Draw(t, "verbs of the made role")
	m.roles["made"] = strings.ReplaceAll(made.String(), "+", " ")
	d.PutRole("made", made)
}

func identity(t *rapid.T, some *rapid.Generator[[]auth.Grant]) auth.Identity {
	id := auth.Identity{Subject: rapid.SampledFrom([]string{"", "alice", "alice", "bob", "ghost", "corp:carol", "corp:carol"}).Draw(t, "subject")}
	if strings.HasPrefix(id.Subject, "corp:") {
		id.Provider = "corp"
		id.Groups = rapid.SliceOfDistinct(rapid.SampledFrom([]string{"corp:g", "g"}), rapid.ID[string]).Draw(t, "groups")
	}
	if rapid.IntRange(0, 2).Draw(t, "narrowed if 0") == 0 {
		id.Narrow = append([]auth.Grant{}, some.Draw(t, "narrow")...)
	}
	return id
}

func TestDecidesAsTheModelDoes(t *testing.T) {
	places := everywhere()
	some := grants(places, []auth.Role{"client", "viewer", "editor", "publisher", "admin", "auditor", "made", "made", "unheard-of", ""})
	verbs := []auth.Verb{auth.Fetch, auth.Read, auth.Publish, auth.ReadAudit, auth.Operate}
	rapid.Check(t, func(t *rapid.T) {
		m := model{users: map[string]bool{}, members: map[string][]string{}, grants: map[string][]auth.Grant{}, roles: map[auth.Role]string{}}
		d := authtest.NewDirectory()
		a := rbac.New(d)
		for range 3 { // the same Authorizer, so that what it remembers must not outlive a change
			draw(t, d, m, some)
			for range 2 {
				agree(t, a, m, identity(t, some), verbs, places)
			}
		}
	})
}

// agree compares the two at every place.
func agree(t *rapid.T, a *rbac.Authorizer, m model, id auth.Identity, verbs []auth.Verb, places []config.Path) {
	for _, verb := range verbs {
		reached := map[string]bool{}
		for _, place := range slices.Backward(places) { // what lies below comes first
			want := m.allowed(id, verb, place.String())
			if got := a.Allowed(id, verb, place); want != got {
				t.Fatalf("%+v allowed %s at %q: want %v, got %v", id, verb, place, want, got)
			}
			if got := a.Explain(id, verb, place); want != got.Allowed {
				t.Fatalf("%+v explained %s at %q: want %v, got %+v", id, verb, place, want, got)
			}
			if want || reached[place.String()] {
				want, reached[place.Parent().String()] = true, true
			}
			if got := a.Reaches(id, verb, place); want != got {
				t.Fatalf("%+v reaches %s at %q: want %v, got %v", id, verb, place, want, got)
			}
		}
	}
	for _, both := range []auth.Verb{auth.Read | auth.Publish, auth.Fetch | auth.Report, auth.AllVerbs} {
		for _, place := range places[:13] {
			allowed := true
			for _, verb := range auth.Verbs() {
				allowed = allowed && (verb&both == 0 || m.allowed(id, verb, place.String()))
			}
			if got := a.Allowed(id, both, place); got != allowed {
				t.Fatalf("%+v allowed %s at %q: want %v, got %v", id, both, place, allowed, got)
			}
			if got := a.Explain(id, both, place); got.Allowed != allowed {
				t.Fatalf("%+v explained %s at %q: want %v, got %+v", id, both, place, allowed, got)
			}
		}
	}
}
