package view

import (
	"iter"
	"strings"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
)

// Snapshot is the whole picture as of one revision. It never changes: any
// number of goroutines may read one without a lock, and whatever is read from
// one snapshot belongs together.
type Snapshot struct {
	// Revision is the position in the store's order of changes; 0 before the
	// first load.
	Revision int64
	// Cluster is the installation's own id, as it lies in the store.
	Cluster string

	loaded  bool
	configs tree[*Config] // by path; marked with ServedRevision; tombstones included
	tenants tree[*Tenant]
	apps    tree[*App]
	envs    tree[*Env]
	// launches are those that have not ended, by tenant and id.
	launches tree[*Launch]
	// importing are the tenants that are being imported. Nothing of them is shown:
	// their configs lie in the tree concealed, apps and envs are passed over.
	importing tree[*Tenant]

	// floor is the oldest position from which a stranger can resume by
	// difference: what was purged before it, this node may never have known.
	floor int64
	// dropped is the oldest position from which a subscriber of this view can
	// go on: purges before it are forgotten. It is never above floor.
	dropped int64
}

// Tenant is a tenant with the revision of its last change.
type Tenant struct {
	config.Tenant
	ModRevision int64
	// Imported is the id of the import that made it, if one did.
	Imported string
}

// Stored returns the tenant as it lies in the store, with what only that says.
func (t *Tenant) Stored(noun config.Tenant) record.Tenant {
	return record.Tenant{Tenant: noun, Imported: t.Imported}
}

// App is an app with the revision of its last change.
type App struct {
	config.App
	ModRevision int64
}

// Env is an env with the revision of its last change.
type Env struct {
	config.Env
	ModRevision int64
}

// Launch is a launch that has not ended, with the revision of its last change.
type Launch struct {
	config.Launch
	ModRevision int64
}

// keySpace is enough for the longest valid path, so that building a key to look
// up stays on the stack.
const keySpace = 4*64 + config.MaxNameLength

// Config finds a config by its path, deleted or not. It is the hot read: no
// lock, no allocation. A purged config of which only the version counter is
// left has MetaRevision 0.
func (s *Snapshot) Config(p config.Path) (*Config, bool) {
	var buf [keySpace]byte
	c, ok := s.configs.get(appendPath(buf[:0], p))
	if !ok || !c.known() {
		return nil, false
	}
	return c, true
}

// appendPath writes a path of any level, as Path.String does.
func appendPath(b []byte, p config.Path) []byte {
	b = append(b, p.Tenant...)
	for _, part := range [...]string{p.App, p.Env, p.Name} {
		if part == "" {
			break
		}
		b = append(b, '/')
		b = append(b, part...)
	}
	return b
}

// Configs yields the configs below a path in the order of their paths, from
// strictly after the path after; "" is from the start. Deleted configs are
// among them, purged ones are not.
func (s *Snapshot) Configs(under config.Path, after string) iter.Seq[*Config] {
	return func(yield func(*Config) bool) {
		for c := range s.configs.walk(below(under), after, -1) {
			if c.MetaRevision > 0 && !yield(c) {
				return
			}
		}
	}
}

// CountConfigs returns the number of configs below a path, without deleted ones.
func (s *Snapshot) CountConfigs(under config.Path) int {
	return s.configs.countPrefix(below(under))
}

// concealed reports whether a tenant is being imported.
func (s *Snapshot) concealed(tenant string) bool {
	if s.importing.root == nil {
		return false
	}
	_, ok := s.importing.get([]byte(tenant))
	return ok
}

// Importing finds a tenant that is being imported. All other methods know
// nothing of it.
func (s *Snapshot) Importing(name string) (*Tenant, bool) { return s.importing.get([]byte(name)) }

// Tenant finds a tenant.
func (s *Snapshot) Tenant(name string) (*Tenant, bool) { return s.tenants.get([]byte(name)) }

// App finds an app.
func (s *Snapshot) App(p config.Path) (*App, bool) {
	if s.concealed(p.Tenant) {
		return nil, false
	}
	var buf [keySpace]byte
	return s.apps.get(appendPath(buf[:0], p))
}

// Env finds an env.
func (s *Snapshot) Env(p config.Path) (*Env, bool) {
	if s.concealed(p.Tenant) {
		return nil, false
	}
	var buf [keySpace]byte
	return s.envs.get(appendPath(buf[:0], p))
}

// Tenants yields the tenants by name, from strictly after a name.
func (s *Snapshot) Tenants(after string) iter.Seq[*Tenant] { return s.tenants.walk("", after, -1) }

// Apps yields the apps of a tenant by name, from strictly after a name (or path).
func (s *Snapshot) Apps(tenant, after string) iter.Seq[*App] {
	if s.concealed(tenant) {
		return func(func(*App) bool) {}
	}
	return s.apps.walk(tenant+"/", child(tenant, after), -1)
}

// Envs yields the envs of an app by name, from strictly after a name (or path).
func (s *Snapshot) Envs(app config.Path, after string) iter.Seq[*Env] {
	if s.concealed(app.Tenant) {
		return func(func(*Env) bool) {}
	}
	return s.envs.walk(app.String()+"/", child(app.String(), after), -1)
}

// Launch finds a launch that has not ended.
func (s *Snapshot) Launch(tenant, id string) (*Launch, bool) {
	if s.concealed(tenant) {
		return nil, false
	}
	return s.launches.get([]byte(tenant + "/" + id))
}

// Launches yields the launches of a tenant that have not ended, the oldest
// first, or those of all tenants if the name is empty.
func (s *Snapshot) Launches(tenant string) iter.Seq[*Launch] {
	prefix := ""
	if tenant != "" {
		prefix = tenant + "/"
	}
	return func(yield func(*Launch) bool) {
		for l := range s.launches.walk(prefix, "", -1) {
			if !s.concealed(l.Tenant) && !yield(l) {
				return
			}
		}
	}
}

// CountLaunches returns the number of launches of a tenant that have not ended.
func (s *Snapshot) CountLaunches(tenant string) int { return s.launches.countPrefix(tenant + "/") }

// below returns what the keys of everything below a path begin with.
func below(p config.Path) string {
	switch p.Level() {
	case config.LevelRoot:
		return ""
	default:
		return p.String() + "/"
	}
}

// child returns the path of what is named by its last part or by its path.
func child(parent, name string) string {
	if name == "" || strings.Contains(name, "/") {
		return name
	}
	return parent + "/" + name
}
