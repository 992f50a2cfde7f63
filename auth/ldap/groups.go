package ldap

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/setpointhq/setpoint/auth"
)

// membersAtOnce is for how many members the groups are asked in one question.
const membersAtOnce = 50

// anything is a filter that every entry passes.
const anything = "(objectClass=*)"

// errGroups is why somebody is not let in whose groups cannot all be told: what
// is denied to the group that is missing would be allowed.
var errGroups = errors.New("not all groups of the user can be told")

// searcher is the pool, or a user's own connection.
type searcher interface {
	search(ctx context.Context, q query) ([]*ldap.Entry, error)
}

// group is one that somebody is in. A name that cannot be told is empty: the
// groups that it is in are followed nevertheless.
type group struct{ dn, name string }

// groups returns the names of the groups that the entry is in, itself or by
// groups in groups, as a provider's names, sorted.
func (a *Authenticator) groups(ctx context.Context, in searcher, user *ldap.Entry) ([]string, error) {
	if a.groupBase == nil {
		return nil, nil
	}
	level, err := a.groupsOf(ctx, in, user)
	seen := map[string]bool{}
	var names []string
	for depth := 0; ; depth++ {
		if err != nil {
			return nil, err
		}
		var next []string
		for _, g := range level {
			if key := strings.ToLower(g.dn); !seen[key] {
				seen[key] = true
				next = append(next, g.dn)
				names = a.appendName(names, g.name)
			}
		}
		if len(seen) > auth.MaxExternalGroups {
			return nil, fmt.Errorf("%w: they are more than %d; let group_base_dn or group_filter pick those that matter", errGroups, auth.MaxExternalGroups)
		}
		if len(next) == 0 || depth == a.settings.Nested {
			slices.Sort(names)
			return slices.Compact(names), nil
		}
		level, err = a.groupsAbove(ctx, in, next)
	}
}

// appendName leaves out what no binding can name.
func (a *Authenticator) appendName(names []string, name string) []string {
	full := auth.External(a.settings.Provider, name)
	if auth.CheckExternal(full) != nil {
		return names
	}
	return append(names, full)
}

func (a *Authenticator) groupsOf(ctx context.Context, in searcher, user *ldap.Entry) ([]group, error) {
	if a.settings.MemberOf != "" {
		return a.listed(user)
	}
	return a.searched(ctx, in, []string{user.DN})
}

// groupsAbove returns those that the groups are in.
func (a *Authenticator) groupsAbove(ctx context.Context, in searcher, groups []string) ([]group, error) {
	var above []group
	if a.settings.MemberOf == "" {
		for some := range slices.Chunk(groups, membersAtOnce) {
			found, err := a.searched(ctx, in, some)
			if err != nil {
				return nil, err
			}
			above = append(above, found...)
		}
		return above, nil
	}
	for _, dn := range groups {
		entry, err := a.read(ctx, in, dn)
		if err != nil {
			return nil, err
		}
		found, err := a.listed(entry)
		if err != nil {
			return nil, err
		}
		above = append(above, found...)
	}
	return above, nil
}

// read returns a group's entry, an empty one if it is gone by now.
func (a *Authenticator) read(ctx context.Context, in searcher, dn string) (*ldap.Entry, error) {
	entries, err := in.search(ctx, query{base: dn, scope: ldap.ScopeBaseObject, filter: anything, attributes: []string{a.settings.MemberOf}, most: 1})
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject), err == nil && len(entries) == 0:
		return &ldap.Entry{DN: dn}, nil
	case err != nil:
		return nil, fmt.Errorf("reading the group %s: %w", dn, err)
	}
	return entries[0], nil
}

// searched looks for the groups of which one of the entries is a member.
func (a *Authenticator) searched(ctx context.Context, in searcher, members []string) ([]group, error) {
	var filter strings.Builder
	filter.WriteString("(|")
	for _, dn := range members {
		one, err := buildFilter(a.settings.GroupFilter, dnMark, dn)
		if err != nil {
			return nil, err
		}
		filter.WriteString(one)
	}
	filter.WriteString(")")
	entries, err := in.search(ctx, query{
		base: a.settings.GroupBaseDN, scope: ldap.ScopeWholeSubtree, filter: filter.String(),
		attributes: []string{a.settings.GroupAttribute}, most: auth.MaxExternalGroups + 1,
	})
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded):
		return nil, fmt.Errorf("%w: the directory does not list them all: %w", errGroups, err)
	case err != nil:
		return nil, fmt.Errorf("looking for groups below %s: %w", a.settings.GroupBaseDN, err)
	}
	groups := make([]group, len(entries))
	for i, e := range entries {
		if groups[i], err = a.named(e); err != nil {
			return nil, err
		}
	}
	return groups, nil
}

// named returns what an entry is called. One of several names counts only if the
// directory itself calls the entry by it.
func (a *Authenticator) named(e *ldap.Entry) (group, error) {
	names := e.GetEqualFoldAttributeValues(a.settings.GroupAttribute)
	switch len(names) {
	case 0:
		return group{dn: e.DN}, nil
	case 1:
		return group{dn: e.DN, name: names[0]}, nil
	}
	name := leading(e.DN, a.settings.GroupAttribute)
	if name == "" {
		return group{}, fmt.Errorf("%w: %s has several values of %s; choose an attribute with one", errGroups, e.DN, a.settings.GroupAttribute)
	}
	return group{dn: e.DN, name: name}, nil
}

// listed returns the groups that an entry says it is in, of those below the base.
func (a *Authenticator) listed(e *ldap.Entry) ([]group, error) {
	var groups []group
	for _, attribute := range e.Attributes {
		name := strings.ToLower(attribute.Name)
		switch wanted := strings.ToLower(a.settings.MemberOf); {
		case strings.HasPrefix(name, wanted+";range="): // a part only, as Active Directory does
			return nil, fmt.Errorf("%w: the directory lists only a part of them; use group_filter", errGroups)
		case name != wanted:
			continue
		}
		for _, dn := range attribute.Values {
			if below(dn, a.groupBase) {
				groups = append(groups, group{dn: dn, name: leading(dn, a.settings.GroupAttribute)})
			}
		}
	}
	return groups, nil
}
