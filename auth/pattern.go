package auth

import (
	"strings"

	"github.com/setpointhq/setpoint/config"
)

// CheckPattern refuses a pattern that no grant at the scope can have. A pattern
// has as many parts as there are levels below the scope, or fewer; each is a name
// or "*", and a config's name may end in "*". The scope is a tenant, an app or an
// env: nothing is granted across tenants.
func CheckPattern(scope config.Path, pattern string) error {
	if pattern == "" {
		return nil
	}
	level := scope.Level()
	if level == config.LevelRoot || level == config.LevelConfig {
		return config.Errorf(config.Invalid, "", scope.String(), "pattern %.200q: only a grant at a tenant, an app or an env takes one", pattern)
	}
	_, err := config.ParsePattern(scope.String() + "/" + pattern)
	if err != nil || strings.Trim(pattern, "/") != pattern {
		return config.Errorf(config.Invalid, "", scope.String(), "pattern %.200q: write what lies below the scope, each part a name or '*', like \"*/prod\" or \"prod/db-*\"", pattern)
	}
	return nil
}

// Everywhere reports whether the grant holds at its whole scope.
func (g *Grant) Everywhere() bool { return g.Pattern == "" }

// Covers reports whether the grant holds at the path.
func (g *Grant) Covers(path config.Path) bool {
	if !g.Scope.Contains(path) {
		return false
	}
	if g.Pattern == "" {
		return true
	}
	named := [...]string{path.Tenant, path.App, path.Env, path.Name}
	rest, more := g.Pattern, true
	for i := int(g.Scope.Level()); more; i++ {
		var part string
		part, rest, more = strings.Cut(rest, "/")
		if i >= len(named) || named[i] == "" || !matches(part, named[i]) {
			return false
		}
	}
	return true
}

// matches reports whether a part of a pattern, which may end in "*", is of the name.
func matches(part, name string) bool {
	if prefix, open := strings.CutSuffix(part, "*"); open {
		return strings.HasPrefix(name, prefix)
	}
	return part == name
}
