package center

import (
	"context"
	"slices"
	"strings"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
)

// CanI tells the caller whether it may do the verb at the path, and why.
func (c *Center) CanI(ctx context.Context, verb auth.Verb, path config.Path) (auth.Explanation, error) {
	const op = "auth.can_i"
	id, err := c.authenticated(ctx, op)
	if err == nil {
		err = checkQuestion(op, verb, path)
	}
	if err != nil {
		return auth.Explanation{}, err
	}
	return c.why(id, verb, path), nil
}

// CanSubject tells who grants rights at the path whether somebody else may do the
// verb there, and why. Of a subject that is known elsewhere it tells what its name
// is given: which groups it is in, its provider says when it logs in.
func (c *Center) CanSubject(ctx context.Context, subject string, verb auth.Verb, path config.Path) (auth.Explanation, error) {
	const op = "auth.can_subject"
	if _, err := c.authorize(ctx, op, auth.GrantRights, path); err != nil {
		return auth.Explanation{}, err
	}
	if err := checkQuestion(op, verb, path); err != nil {
		return auth.Explanation{}, err
	}
	id := auth.Identity{Subject: subject}
	if provider, _, external := auth.SplitExternal(subject); external {
		if err := auth.CheckExternal(subject); err != nil {
			return auth.Explanation{}, located(op, "", err)
		}
		id.Provider = provider
	} else if _, ok := c.directory.user(subject); !ok {
		return auth.Explanation{}, errNoUser(op, subject)
	}
	return c.why(id, verb, path), nil
}

// Holder is a user or a group that may do something, and by which grants.
type Holder struct {
	// One of the two is set.
	User    string        `json:"user,omitempty"`
	Group   string        `json:"group,omitempty"`
	Service bool          `json:"service,omitempty"` // of a user
	Because []auth.Reason `json:"because"`
}

// WhoCan lists who may do the verb at the path, for who grants rights there:
// groups and users, by name, and those known elsewhere that bindings name. Somebody
// known elsewhere who may do it as a member of a group is not listed but its group.
func (c *Center) WhoCan(ctx context.Context, verb auth.Verb, path config.Path, r PageRequest) (config.Page[Holder], error) {
	const op = "auth.who_can"
	if _, err := c.authorize(ctx, op, auth.GrantRights, path); err != nil {
		return config.Page[Holder]{}, err
	}
	if err := checkQuestion(op, verb, path); err != nil {
		return config.Page[Holder]{}, err
	}
	all := func(yield func(Holder) bool) {
		for _, h := range sorted(c.directory.state.Load().holders(), r.After) {
			if !yield(h) {
				return
			}
		}
	}
	return pageOf(r, all, func(h Holder) (Holder, string, bool) {
		id := h.identity()
		if !c.authz.Allowed(id, verb, path) {
			return h, h.key(), false
		}
		h.Because = c.why(id, verb, path).Because
		return h, h.key(), true
	}), nil
}

// holders are all who may have been given something, by key.
func (s *directoryState) holders() map[string]Holder {
	all := map[string]Holder{}
	for group := range s.groups {
		h := Holder{Group: group}
		all[h.key()] = h
	}
	for user := range s.grants {
		h := Holder{User: user}
		all[h.key()] = h
	}
	for name, u := range s.users {
		if h := (Holder{User: name, Service: u.Service}); len(s.grants[name]) > 0 || len(u.Groups) > 0 {
			all[h.key()] = h
		}
	}
	return all
}

// key orders groups before users.
func (h Holder) key() string {
	if h.Group != "" {
		return "g " + h.Group
	}
	return "u " + h.User
}

// identity is one that has what the holder has.
func (h Holder) identity() auth.Identity {
	if h.Group != "" { // nobody in particular: no binding can name this subject
		return auth.Identity{Subject: ":", Provider: ":", Groups: []string{h.Group}}
	}
	provider, _, external := auth.SplitExternal(h.User)
	if !external {
		provider = ""
	}
	return auth.Identity{Subject: h.User, Provider: provider}
}

func checkQuestion(op string, verb auth.Verb, path config.Path) error {
	if verb == 0 || verb&^auth.AllVerbs != 0 {
		return config.Errorf(config.Invalid, op, path.String(), "say what is to be done: one or more verbs")
	}
	return located(op, "", path.Validate())
}

// why asks the authorizer for its reasons, if it gives any.
func (c *Center) why(id auth.Identity, verb auth.Verb, path config.Path) auth.Explanation {
	if e, ok := c.authz.(auth.Explainer); ok {
		x := e.Explain(id, verb, path)
		if x.Because == nil {
			x.Because = []auth.Reason{}
		}
		return x
	}
	x := auth.Explanation{Allowed: c.authz.Allowed(id, verb, path), Because: []auth.Reason{}, Why: "the grants do not allow it"}
	if x.Allowed {
		x.Why = "the grants allow it"
	}
	return x
}

// groupsOf returns the groups of an identity, whoever keeps them.
func (c *Center) groupsOf(id auth.Identity) []string {
	if id.Provider != "" {
		return id.Groups
	}
	if u, ok := c.directory.user(id.Subject); ok {
		return u.Groups
	}
	return nil
}

// groupGrants returns what the identity is given, or denied, through its groups.
func (c *Center) groupGrants(id auth.Identity) []auth.Reason {
	var all []auth.Reason
	for _, group := range c.groupsOf(id) {
		for _, g := range c.directory.GroupGrants(group) {
			all = append(all, auth.Reason{Grant: g, Group: group})
		}
	}
	return all
}

// granted returns all that the identity is given, or denied, by its name and
// through its groups.
func (c *Center) granted(id auth.Identity) []auth.Grant {
	all := slices.Clone(c.directory.Grants(id.Subject))
	for _, r := range c.groupGrants(id) {
		all = append(all, r.Grant)
	}
	return all
}

// lacks returns a verb that the identity has not everywhere that the grant holds;
// 0 if it has all of them. What is denied to it anywhere there it has not.
func (c *Center) lacks(id auth.Identity, verbs auth.Verb, g auth.Grant) auth.Verb {
	own := c.granted(id)
	for _, verb := range auth.Verbs() {
		if verbs&verb == 0 {
			continue
		}
		if !c.authz.Allowed(id, verb, g.Scope) {
			return verb
		}
		for _, o := range own {
			if o.Deny && c.directory.Verbs(o.Role)&verb != 0 && overlap(o, g) {
				return verb
			}
		}
	}
	return 0
}

// overlap reports whether there may be a place where both grants hold.
func overlap(a, b auth.Grant) bool {
	p, q := places(a), places(b)
	for i := range min(len(p), len(q)) {
		x, openX := strings.CutSuffix(p[i], "*")
		y, openY := strings.CutSuffix(q[i], "*")
		switch {
		case openX && strings.HasPrefix(y, x), openY && strings.HasPrefix(x, y), x == y && !openX && !openY:
		default:
			return false
		}
	}
	return true
}

// places are the names and patterns from the root down to where a grant holds.
func places(g auth.Grant) []string {
	whole := strings.Trim(g.Scope.String()+"/"+g.Pattern, "/")
	if whole == "" {
		return nil
	}
	return strings.Split(whole, "/")
}
