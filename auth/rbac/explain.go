package rbac

import (
	"fmt"
	"strings"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
)

// Explain says why Allowed answers as it does. It looks at every grant of the
// identity, so it is for people and not for every call.
func (a *Authorizer) Explain(id auth.Identity, verb auth.Verb, path config.Path) auth.Explanation {
	switch {
	case id.Anonymous():
		return denied("nobody has logged in")
	case verb == 0:
		return denied("no verb was asked for")
	}
	s := a.cache.standing(&id)
	switch s.refused {
	case unknownUser:
		return denied(fmt.Sprintf("there is no user %s", id.Subject))
	case disabledUser:
		return denied(fmt.Sprintf("the user %s is disabled", id.Subject))
	case nothingRefused:
	}
	own := s.decided(verb, &path)
	if len(own.denied) > 0 {
		return auth.Explanation{Because: own.denied, Why: "denied: " + list(own.denied, isDenied)}
	}
	if missing := verb &^ own.verbs; missing != 0 {
		return denied(fmt.Sprintf("no binding of %s or its groups gives %s at %s", id.Subject, act(missing), place(path)))
	}
	why := "allowed by " + list(own.allowed, through)
	if id.Narrow == nil {
		return auth.Explanation{Allowed: true, Because: own.allowed, Why: why}
	}
	narrow := a.narrowing(id.Narrow, verb, &path)
	if len(narrow.denied) > 0 {
		return auth.Explanation{Because: narrow.denied, Why: "denied: the token is narrowed, and may not use " + list(narrow.denied, plain)}
	}
	if missing := verb &^ narrow.verbs; missing != 0 {
		return denied(fmt.Sprintf("the token is narrowed to %s, which does not give %s at %s", narrowedTo(id.Narrow), act(missing), place(path)))
	}
	return auth.Explanation{
		Allowed: true, Because: append(own.allowed, narrow.allowed...),
		Why: why + ", and by what the token is narrowed to: " + list(narrow.allowed, plain),
	}
}

// decision is what grants say of some verbs at a place.
type decision struct {
	verbs           auth.Verb // those that are allowed
	allowed, denied []auth.Reason
}

// add takes in a grant that holds at the place.
func (d *decision) add(r auth.Reason, verbs auth.Verb) {
	switch {
	case verbs == 0:
	case r.Deny:
		d.denied = append(d.denied, r)
	default:
		d.verbs |= verbs
		d.allowed = append(d.allowed, r)
	}
}

// decided goes through what the identity was granted.
func (s *standing) decided(verb auth.Verb, path *config.Path) decision {
	var d decision
	for _, source := range s.sources {
		for _, g := range source.grants {
			if g.Covers(*path) {
				d.add(auth.Reason{Grant: g, Group: source.group}, s.roles[g.Role]&verb)
			}
		}
	}
	return d
}

// narrowing goes through what the token is narrowed to.
func (a *Authorizer) narrowing(narrow []auth.Grant, verb auth.Verb, path *config.Path) decision {
	var d decision
	for _, g := range narrow {
		if g.Covers(*path) {
			d.add(auth.Reason{Grant: g, Narrowing: true}, a.cache.directory.Verbs(g.Role)&verb)
		}
	}
	return d
}

// denied explains what no single grant decided.
func denied(why string) auth.Explanation {
	return auth.Explanation{Because: []auth.Reason{}, Why: why}
}

// The forms in which a sentence names a grant.

func plain(r *auth.Reason) string { return fmt.Sprintf("role %s at %s", r.Role, area(&r.Grant)) }

func through(r *auth.Reason) string {
	if r.Group == "" {
		return plain(r)
	}
	return plain(r) + " through group " + r.Group
}

func isDenied(r *auth.Reason) string {
	if r.Group == "" {
		return plain(r) + " is denied to the user itself"
	}
	return plain(r) + " is denied to group " + r.Group
}

// named is how many grants a sentence names before it counts the rest.
const named = 3

// list names the grants, or the first of them.
func list(reasons []auth.Reason, form func(*auth.Reason) string) string {
	texts := make([]string, 0, named)
	for i := range reasons[:min(named, len(reasons))] {
		texts = append(texts, form(&reasons[i]))
	}
	text := strings.Join(texts, ", ")
	if more := len(reasons) - named; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// narrowedTo names what a token is narrowed to.
func narrowedTo(narrow []auth.Grant) string {
	reasons := make([]auth.Reason, len(narrow))
	for i, g := range narrow {
		reasons[i] = auth.Reason{Grant: g}
	}
	if len(reasons) == 0 {
		return "nothing"
	}
	return list(reasons, plain)
}

// area is where a grant holds, as a path with its pattern.
func area(g *auth.Grant) string {
	switch {
	case g.Pattern == "":
		return place(g.Scope)
	case g.Scope == config.Path{}:
		return g.Pattern
	default:
		return g.Scope.String() + "/" + g.Pattern
	}
}

// act names verbs; there may be one that nobody knows.
func act(verbs auth.Verb) string {
	if name := verbs.String(); name != "" {
		return name
	}
	return "an unknown right"
}

func place(p config.Path) string {
	if p == (config.Path{}) {
		return "the whole installation"
	}
	return p.String()
}

var _ auth.Explainer = (*Authorizer)(nil)
