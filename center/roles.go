package center

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/internal/view"
	"github.com/setpointhq/setpoint/store"
)

var rolePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// Roles lists the roles that there are.
func (c *Center) Roles(ctx context.Context) ([]auth.RoleInfo, error) {
	if _, err := c.authenticated(ctx, "role.list"); err != nil {
		return nil, err
	}
	all := auth.Roles()
	for _, r := range sorted(c.directory.state.Load().roles, "") {
		all = append(all, c.showRole(r))
	}
	return all, nil
}

// CreateRole makes a role of verbs. It takes the right to grant rights on the whole
// installation, and each of the verbs.
func (c *Center) CreateRole(ctx context.Context, r auth.RoleInfo) (auth.RoleInfo, error) {
	const op = "role.create"
	id, err := c.authorize(ctx, op, auth.GrantRights, config.Path{})
	if err != nil {
		return auth.RoleInfo{}, err
	}
	made, err := c.newRole(ctx, op, id, r)
	if err != nil {
		return auth.RoleInfo{}, err
	}
	made.CreatedBy, made.CreatedAt = c.stamp(id)
	key := record.Roles.Key(string(made.Name))
	revision, err := c.commit(ctx, op, func(*view.Snapshot) (store.Txn, error) {
		if _, taken := c.directory.role(made.Name); taken {
			return store.Txn{}, config.Errorf(config.Exists, op, string(made.Name), "there is a role of this name already")
		}
		return store.Txn{
			Conds:  []store.Cond{{Key: key}},
			Writes: []store.Write{{Key: key, Value: record.Encode(made)}, c.auditedRole(ctx, op, &made)},
		}, nil
	})
	made.Revision = c.token(revision)
	return made, err
}

// RolePatch changes what is not nil of a role that was made.
type RolePatch struct {
	Name        auth.Role
	Description *string
	Verbs       []string // nil leaves them
	Expected    config.Token
}

// UpdateRole changes what a role that was made allows, at once wherever it is bound.
func (c *Center) UpdateRole(ctx context.Context, p RolePatch) (auth.RoleInfo, error) {
	const op = "role.update"
	id, err := c.authorize(ctx, op, auth.GrantRights, config.Path{})
	if err != nil {
		return auth.RoleInfo{}, err
	}
	var next auth.RoleInfo
	revision, err := c.commit(ctx, op, func(*view.Snapshot) (store.Txn, error) {
		old, err := c.madeRole(op, p.Name, p.Expected)
		if err != nil {
			return store.Txn{}, err
		}
		next = old.RoleInfo
		set(&next.Description, p.Description)
		if p.Verbs != nil {
			next.Verbs = p.Verbs
		}
		if next, err = c.newRole(ctx, op, id, next); err != nil {
			return store.Txn{}, err
		}
		if err := c.mayChange(ctx, op, old, &next); err != nil {
			return store.Txn{}, err
		}
		next.CreatedBy, next.CreatedAt = old.CreatedBy, old.CreatedAt
		key := record.Roles.Key(string(p.Name))
		return store.Txn{
			Conds:  []store.Cond{{Key: key, Revision: old.ModRevision}},
			Writes: []store.Write{{Key: key, Value: record.Encode(next)}, c.auditedRole(ctx, op, &next)},
		}, nil
	})
	next.Revision = c.token(revision)
	return next, err
}

// DeleteRole removes a role that was made and is bound nowhere.
func (c *Center) DeleteRole(ctx context.Context, name auth.Role, expected config.Token) error {
	const op = "role.delete"
	if _, err := c.authorize(ctx, op, auth.GrantRights, config.Path{}); err != nil {
		return err
	}
	_, err := c.commit(ctx, op, func(*view.Snapshot) (store.Txn, error) {
		old, err := c.madeRole(op, name, expected)
		if err != nil {
			return store.Txn{}, err
		}
		for _, b := range sorted(c.directory.state.Load().bindings, "") {
			if b.Role == name {
				return store.Txn{}, config.Errorf(config.Conflict, op, string(name), "the role is still bound, by binding %s; delete its bindings first", b.ID)
			}
		}
		key := record.Roles.Key(string(name))
		return store.Txn{
			Conds:  []store.Cond{{Key: key, Revision: old.ModRevision}},
			Writes: []store.Write{{Key: key, Delete: true}, c.audited(ctx, audit.Record{Action: op, Subject: string(name)})},
		}, nil
	})
	return err
}

// newRole checks a role, and that the caller has what it gives. Its verbs come
// back in their own order, each once.
func (c *Center) newRole(ctx context.Context, op string, id auth.Identity, r auth.RoleInfo) (auth.RoleInfo, error) {
	made := auth.RoleInfo{Name: r.Name, Description: r.Description}
	switch {
	case !rolePattern.MatchString(string(r.Name)):
		return made, config.Errorf(config.Invalid, op, "", "role name %.100q: use lower-case letters, digits and '-', at most 63", r.Name)
	case r.Name.Builtin() != 0:
		return made, config.Errorf(config.Exists, op, string(r.Name), "the role is built in; give yours another name")
	case len(r.Verbs) == 0:
		return made, config.Errorf(config.Invalid, op, string(r.Name), "the role has no verbs")
	}
	if err := c.checkComment(op, string(r.Name), r.Description); err != nil {
		return made, err
	}
	verbs, err := auth.ParseVerbs(r.Verbs)
	if err != nil {
		return made, located(op, string(r.Name), err)
	}
	for _, verb := range auth.Verbs() {
		if verbs&verb == 0 {
			continue
		}
		if !c.authz.Allowed(id, verb, config.Path{}) {
			return made, c.refuse(ctx, op, verb, config.Path{})
		}
		made.Verbs = append(made.Verbs, verb.String())
	}
	return made, nil
}

// mayChange refuses what a role must not become where it is bound: more than the
// caller has, less denied than the caller may do, or the end of the last admin.
func (c *Center) mayChange(ctx context.Context, op string, old *Role, next *auth.RoleInfo) error {
	verbs, err := auth.ParseVerbs(next.Verbs)
	if err != nil {
		return located(op, string(next.Name), err)
	}
	added, removed := verbs&^old.verbs, old.verbs&^verbs
	id := auth.FromContext(ctx)
	for _, b := range sorted(c.directory.state.Load().bindings, "") {
		var lacking auth.Verb
		switch {
		case b.Role != next.Name:
			continue
		case !b.Deny:
			lacking = c.lacks(id, added, b.Grant())
		case b.Scope.Level() == config.LevelRoot && added&auth.GrantRights != 0:
			return config.Errorf(config.Conflict, op, string(next.Name), "binding %s denies the role on the whole installation, where the right to grant rights is not denied; delete it first", b.ID)
		case removed != 0 && !c.authz.Allowed(id, removed, config.Path{}):
			lacking = c.lacks(id, removed, b.Grant())
		}
		if lacking != 0 {
			return c.refuse(ctx, op, lacking, b.Scope)
		}
	}
	return c.keepsAdmin(op, string(next.Name), func(s *directoryState) {
		s.roles[string(next.Name)] = &Role{RoleInfo: *next, verbs: verbs}
	})
}

// madeRole finds a role that was made, as the caller saw it.
func (c *Center) madeRole(op string, name auth.Role, expected config.Token) (*Role, error) {
	if name.Builtin() != 0 {
		return nil, config.Errorf(config.Invalid, op, string(name), "the role is built in, and stays as it is; make one of your own")
	}
	r, ok := c.directory.role(name)
	if !ok {
		return nil, config.Errorf(config.NotFound, op, string(name), "there is no such role")
	}
	return r, c.expect(op, string(name), expected, r.ModRevision)
}

// checkRole refuses a role that is unknown, and lists those that there are.
func (c *Center) checkRole(name auth.Role) error {
	if c.directory.Verbs(name) != 0 {
		return nil
	}
	var names []string
	for _, r := range auth.Roles() {
		names = append(names, string(r.Name))
	}
	for made := range c.directory.state.Load().roles {
		names = append(names, made)
	}
	slices.Sort(names)
	return config.Errorf(config.Invalid, "", "", "no role %.64q; there are %s", name, strings.Join(names, ", "))
}

// checkGroup refuses what cannot name a group, kept here or a provider's.
func checkGroup(name string) error {
	if _, _, external := auth.SplitExternal(name); external {
		return auth.CheckExternal(name)
	}
	if !userPattern.MatchString(name) {
		return config.Errorf(config.Invalid, "", "", "group name %.200q: use 1 to 128 letters, digits, '.', '_', '@' or '-', beginning with a letter or digit; a provider's group is written provider:name", name)
	}
	return nil
}

func (c *Center) showRole(r *Role) auth.RoleInfo {
	shown := r.RoleInfo
	shown.Revision = c.token(r.ModRevision)
	return shown
}

func (c *Center) auditedRole(ctx context.Context, op string, r *auth.RoleInfo) store.Write {
	verbs, _ := auth.ParseVerbs(r.Verbs)
	return c.audited(ctx, audit.Record{Action: op, Subject: string(r.Name), Detail: map[string]string{"verbs": verbs.String()}})
}

func (d *Directory) role(name auth.Role) (*Role, bool) {
	r, ok := d.state.Load().roles[string(name)]
	return r, ok
}
