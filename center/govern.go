package center

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
)

// maxUserGroups bounds the groups of one user.
const maxUserGroups = 100

// governs reports whether the caller decides over a user: it grants rights on
// the whole installation, or the user is a service user, all that it was given
// lies where the caller grants rights, and the caller has all of that itself.
func (c *Center) governs(id auth.Identity, name string) bool {
	if c.authz.Allowed(id, auth.GrantRights, config.Path{}) {
		return true
	}
	u, ok := c.directory.user(name)
	if !ok || !u.Service {
		return false
	}
	given := false
	for _, g := range c.granted(local(name)) {
		given = given || !g.Deny
		if !c.authz.Allowed(id, auth.GrantRights, g.Scope) {
			return false
		}
	}
	return given && c.outranks(id, name)
}

// outranks reports whether the caller has all that a user was given, so that
// acting as the user is nothing more than it may do already. What is denied to
// the user does not count: that can be taken back.
func (c *Center) outranks(id auth.Identity, name string) bool {
	for _, g := range c.granted(local(name)) {
		if !g.Deny && id.Subject != name && c.lacks(id, c.directory.Verbs(g.Role), g) != 0 {
			return false
		}
	}
	return true
}

// local is the identity of a user that is kept here.
func local(name string) auth.Identity { return auth.Identity{Subject: name} }

// sees reports whether the caller may know of a user: it governs it, or has a
// say over something that it was given.
func (c *Center) sees(id auth.Identity, name string) bool {
	return c.governs(id, name) || slices.ContainsFunc(c.granted(local(name)), func(g auth.Grant) bool {
		return c.authz.Allowed(id, auth.GrantRights, g.Scope)
	})
}

func (c *Center) authorizeGovern(ctx context.Context, op, name string) error {
	id := auth.FromContext(ctx)
	if id.Anonymous() {
		return errAnonymous(op)
	}
	if !c.governs(id, name) {
		return c.refuse(ctx, op, auth.GrantRights, config.Path{})
	}
	return nil
}

// checkGroups puts a user's groups in order, each once.
func checkGroups(names []string) ([]string, error) {
	groups := slices.Clone(names)
	slices.Sort(groups)
	groups = slices.Compact(groups)
	if len(groups) > maxUserGroups {
		return nil, config.Errorf(config.Invalid, "", "", "%d groups; a user is in at most %d", len(groups), maxUserGroups)
	}
	for _, name := range groups {
		if provider, _, external := auth.SplitExternal(name); external {
			return nil, config.Errorf(config.Invalid, "", "", "group %.200q: who is in the groups of %.64q, it says itself; name a group that is kept here", name, provider)
		}
		if err := checkGroup(name); err != nil {
			return nil, err
		}
	}
	return groups, nil
}

// mayRegroup refuses a caller who would give more than it has by moving somebody
// from some groups to others: what the new ones are given, and what the old ones
// are denied.
func (c *Center) mayRegroup(ctx context.Context, op string, old, groups []string) error {
	for _, group := range groups {
		if slices.Contains(old, group) {
			continue
		}
		for _, g := range c.directory.GroupGrants(group) {
			if !g.Deny {
				if err := c.mayGrant(ctx, op, g); err != nil {
					return err
				}
			}
		}
	}
	for _, group := range old {
		if slices.Contains(groups, group) {
			continue
		}
		for _, g := range c.directory.GroupGrants(group) {
			if g.Deny {
				if err := c.mayLift(ctx, op, g); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// mayGrant refuses a caller who would give rights that it does not have there.
func (c *Center) mayGrant(ctx context.Context, op string, g auth.Grant) error {
	if verb := c.lacks(auth.FromContext(ctx), c.directory.Verbs(g.Role), g); verb != 0 {
		return c.refuse(ctx, op, verb, g.Scope)
	}
	return nil
}

// mayLift refuses a caller who would give rights by taking a denial away: it must
// have them there, or on the whole installation, so that no denial is for ever.
func (c *Center) mayLift(ctx context.Context, op string, g auth.Grant) error {
	if c.authz.Allowed(auth.FromContext(ctx), c.directory.Verbs(g.Role), config.Path{}) {
		return nil
	}
	return c.mayGrant(ctx, op, g)
}

// mayDeny refuses a caller who would deny what was given from above, where it
// has no say: an auditor of the installation is not shut out by a tenant's admin.
func (c *Center) mayDeny(ctx context.Context, op string, b auth.Binding) error {
	id, verbs := auth.FromContext(ctx), c.directory.Verbs(b.Role)
	state := c.directory.state.Load()
	for _, given := range sorted(state.bindings, "") {
		above := !given.Deny && given.Scope.Contains(b.Scope) && c.directory.Verbs(given.Role)&verbs != 0
		if above && state.mayShare(given.Binding, b) && !c.authz.Allowed(id, auth.GrantRights, given.Scope) {
			return c.refuse(ctx, op, auth.GrantRights, given.Scope)
		}
	}
	return nil
}

// mayShare reports whether two bindings may hold for one and the same subject. Of
// two that name the same provider it must be supposed: who is in which of its
// groups it alone knows.
func (s *directoryState) mayShare(a, b auth.Binding) bool {
	providerA, _, externalA := auth.SplitExternal(a.User + a.Group)
	providerB, _, externalB := auth.SplitExternal(b.User + b.Group)
	if externalA || externalB {
		return providerA == providerB && externalA == externalB && (a.User == "" || b.User == "" || a.User == b.User)
	}
	for name, u := range s.users {
		if holds(a, name, u.Groups) && holds(b, name, u.Groups) {
			return true
		}
	}
	return a.Group != "" && a.Group == b.Group
}

// holds reports whether a binding is to the user or one of its groups.
func holds(b auth.Binding, user string, groups []string) bool {
	return b.User == user || b.Group != "" && slices.Contains(groups, b.Group)
}

// keepsAdmin refuses a change after which nobody who is kept here would be left
// to administer the whole installation, if there is somebody now.
func (c *Center) keepsAdmin(op, subject string, change func(*directoryState)) error {
	now := c.directory.state.Load()
	next := &directoryState{users: maps.Clone(now.users), bindings: maps.Clone(now.bindings), roles: maps.Clone(now.roles)}
	change(next)
	next.compile()
	if now.administered() && !next.administered() {
		return errLastAdmin(op, subject)
	}
	return nil
}

// administered reports whether some user has every right on the whole installation.
func (s *directoryState) administered() bool {
	for name, u := range s.users {
		if u.Disabled {
			continue
		}
		given, denied := s.everywhere(s.grants[name])
		for _, group := range u.Groups {
			g, d := s.everywhere(s.groups[group])
			given, denied = given|g, denied|d
		}
		if given&^denied == auth.AllVerbs {
			return true
		}
	}
	return false
}

// everywhere returns what grants give and deny on the whole installation.
func (s *directoryState) everywhere(grants []auth.Grant) (given, denied auth.Verb) {
	for _, g := range grants {
		switch {
		case g.Scope.Level() != config.LevelRoot:
		case g.Deny:
			denied |= s.verbs(g.Role)
		default:
			given |= s.verbs(g.Role)
		}
	}
	return given, denied
}

// auditedUser is the record of a user that was made or changed.
func (c *Center) auditedUser(ctx context.Context, op string, old []string, u *auth.User) store.Write {
	more := map[string]string{}
	if !slices.Equal(old, u.Groups) {
		more["groups"] = strings.Join(u.Groups, ",")
		more["groups_before"] = strings.Join(old, ",")
	}
	return c.audited(ctx, audit.Record{Action: op, Subject: u.Name, Detail: detail(more)})
}
