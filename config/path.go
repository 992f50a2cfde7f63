package config

import (
	"fmt"
	"strings"
)

// Path names a place in the tree tenant/app/env/name. Trailing parts may be
// empty: the zero Path is the whole installation, {Tenant} a tenant, and so on.
type Path struct {
	Tenant, App, Env, Name string
}

// Level says how deep a Path goes.
type Level uint8

// The levels, from the whole installation down to one config.
const (
	LevelRoot Level = iota
	LevelTenant
	LevelApp
	LevelEnv
	LevelConfig
)

// String returns "root", "tenant", "app", "env" or "config".
func (l Level) String() string {
	return [...]string{"root", "tenant", "app", "env", "config"}[l]
}

// WithArticle returns the level's name as a sentence takes it, "an app".
func (l Level) WithArticle() string {
	if l == LevelApp || l == LevelEnv {
		return "an " + l.String()
	}
	return "a " + l.String()
}

// The longest names, in bytes. Tenants, apps and envs are as long as DNS labels.
const (
	MaxNameLength  = 128
	maxLabelLength = 63
)

// ParsePath reads "tenant[/app[/env[/name]]]". The empty string and "/" are the
// root. Every part is checked; the error says which and why.
func ParsePath(s string) (Path, error) {
	s = strings.Trim(s, "/")
	if s == "" {
		return Path{}, nil
	}
	parts := strings.Split(s, "/")
	if len(parts) > 4 {
		return Path{}, Errorf(Invalid, "", clip(s), "a path has at most four parts, tenant/app/env/config; this one has %d", len(parts))
	}
	var p Path
	for i, dst := range []*string{&p.Tenant, &p.App, &p.Env, &p.Name} {
		if i < len(parts) {
			*dst = parts[i]
		}
	}
	return p, p.Validate()
}

// Join returns the path of a child: the first empty part becomes name.
func (p Path) Join(name string) Path {
	switch p.Level() {
	case LevelRoot:
		p.Tenant = name
	case LevelTenant:
		p.App = name
	case LevelApp:
		p.Env = name
	default:
		p.Name = name
	}
	return p
}

// Parent returns the path one level up; the root is its own parent.
func (p Path) Parent() Path {
	switch p.Level() {
	case LevelConfig:
		p.Name = ""
	case LevelEnv:
		p.Env = ""
	case LevelApp:
		p.App = ""
	default:
		p.Tenant = ""
	}
	return p
}

// Base returns the last part that is set.
func (p Path) Base() string {
	switch p.Level() {
	case LevelConfig:
		return p.Name
	case LevelEnv:
		return p.Env
	case LevelApp:
		return p.App
	default:
		return p.Tenant
	}
}

// Level returns how deep the path goes.
func (p Path) Level() Level {
	switch {
	case p.Name != "":
		return LevelConfig
	case p.Env != "":
		return LevelEnv
	case p.App != "":
		return LevelApp
	case p.Tenant != "":
		return LevelTenant
	default:
		return LevelRoot
	}
}

// At cuts the path off at a level.
func (p Path) At(l Level) Path {
	for p.Level() > l {
		p = p.Parent()
	}
	return p
}

// Contains reports whether q is p or lies below it.
func (p Path) Contains(q Path) bool {
	return (p.Tenant == "" || p.Tenant == q.Tenant) &&
		(p.App == "" || p.App == q.App) &&
		(p.Env == "" || p.Env == q.Env) &&
		(p.Name == "" || p.Name == q.Name)
}

// String returns "tenant/app/env/name", as deep as the path goes; "" for the root.
func (p Path) String() string {
	switch p.Level() {
	case LevelConfig:
		return p.Tenant + "/" + p.App + "/" + p.Env + "/" + p.Name
	case LevelEnv:
		return p.Tenant + "/" + p.App + "/" + p.Env
	case LevelApp:
		return p.Tenant + "/" + p.App
	default:
		return p.Tenant
	}
}

// Validate checks every part and that no part is skipped.
func (p Path) Validate() error {
	parts := []struct{ what, value string }{
		{"tenant", p.Tenant}, {"app", p.App}, {"env", p.Env}, {"config name", p.Name},
	}
	depth := int(p.Level())
	for i, part := range parts[:depth] {
		if part.value == "" {
			return Errorf(Invalid, "", clip(p.String()), "the %s is missing", part.what)
		}
		if err := validatePart(part.what, part.value, i == 3); err != nil {
			return err
		}
	}
	return nil
}

// Require checks the path and that it is exactly at level l.
func (p Path) Require(l Level) error {
	if err := p.Validate(); err != nil {
		return err
	}
	if p.Level() != l {
		return Errorf(Invalid, "", clip(p.String()), "want the path of %s, got one of %s", l.WithArticle(), p.Level().WithArticle())
	}
	return nil
}

func validatePart(what, value string, name bool) error {
	if name {
		if !isName(value) {
			return Errorf(Invalid, "", clip(value),
				"%s %q: use 1 to %d letters, digits, '.', '_' or '-', beginning with a letter or digit", what, clip(value), MaxNameLength)
		}
		return nil
	}
	if !isLabel(value) {
		return Errorf(Invalid, "", clip(value),
			"%s %q: use 1 to 63 lower-case letters, digits or '-', not beginning or ending with '-'", what, clip(value))
	}
	return nil
}

// isName reports whether s is ^[A-Za-z0-9]([A-Za-z0-9._-]{0,127})$. Paths are
// checked for every record that a node reads, which is too often for a regexp.
func isName(s string) bool {
	if s == "" || len(s) > MaxNameLength || !isAlphanumeric(s[0]) {
		return false
	}
	for i := 1; i < len(s); i++ {
		if c := s[i]; !isAlphanumeric(c) && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// isLabel reports whether s is ^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$.
func isLabel(s string) bool {
	if s == "" || len(s) > maxLabelLength || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isAlphanumeric(c) && c != '-' || c >= 'A' && c <= 'Z' {
			return false
		}
	}
	return true
}

func isAlphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z'
}

// clip shortens what a stranger sent before it goes into an error text.
func clip(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}

// MarshalText renders the path as String does.
func (p Path) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText parses and validates.
func (p *Path) UnmarshalText(b []byte) error {
	q, err := ParsePath(string(b))
	if err != nil {
		return err
	}
	*p = q
	return nil
}

// Pattern selects configs: one config, a whole env, or a shape in which any
// part may be "*" and the name may end in "*" ("acme/checkout/prod/app-*").
type Pattern struct {
	parts [4]string
}

// ParsePattern reads a pattern of up to four parts. "acme/checkout/prod" means
// all of that env, as "acme/checkout/prod/*" does. The tenant must be named.
func ParsePattern(s string) (Pattern, error) {
	parts := strings.Split(strings.Trim(s, "/"), "/")
	if len(parts) > 4 || parts[0] == "" {
		return Pattern{}, Errorf(Invalid, "", clip(s), "a pattern has one to four parts, tenant/app/env/config, each a name or '*'")
	}
	pat := Pattern{parts: [4]string{"*", "*", "*", "*"}}
	for i, part := range parts {
		if err := validatePatternPart(i, part); err != nil {
			return Pattern{}, err
		}
		pat.parts[i] = part
	}
	return pat, nil
}

func validatePatternPart(i int, part string) error {
	what := [...]string{"tenant", "app", "env", "config name"}[i]
	if i == 0 && part == "*" {
		return Errorf(Invalid, "", "*", "a pattern must name its tenant")
	}
	if part == "*" {
		return nil
	}
	literal := part
	if i == 3 {
		literal = strings.TrimSuffix(part, "*")
	}
	return validatePart(what, literal, i == 3)
}

// Prefix returns the deepest path that holds everything the pattern can match.
func (p Pattern) Prefix() Path {
	var q Path
	for i, dst := range []*string{&q.Tenant, &q.App, &q.Env, &q.Name} {
		if strings.HasSuffix(p.parts[i], "*") {
			break
		}
		*dst = p.parts[i]
	}
	return q
}

// Exact reports whether the pattern names one config, and which.
func (p Pattern) Exact() (Path, bool) {
	q := p.Prefix()
	return q, q.Level() == LevelConfig
}

// Match reports whether the config at q is selected.
func (p Pattern) Match(q Path) bool {
	return matchPart(p.parts[0], q.Tenant) && matchPart(p.parts[1], q.App) &&
		matchPart(p.parts[2], q.Env) && matchPart(p.parts[3], q.Name)
}

// Reaches reports whether the pattern can match q, if that is a config, or
// something below it.
func (p Pattern) Reaches(q Path) bool {
	named := [...]string{q.Tenant, q.App, q.Env, q.Name}
	for i, part := range named[:q.Level()] {
		if !matchPart(p.parts[i], part) {
			return false
		}
	}
	return true
}

func matchPart(pattern, s string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(s, prefix)
	}
	return pattern == s
}

// String returns the pattern with all four parts.
func (p Pattern) String() string {
	return fmt.Sprintf("%s/%s/%s/%s", p.parts[0], p.parts[1], p.parts[2], p.parts[3])
}
