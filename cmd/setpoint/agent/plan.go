package agent

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// plan is what settings come to: checked, with templates parsed and owners found.
type plan struct {
	groups   []*groupPlan
	patterns []string // of all configs that are needed
}

// groupPlan is a group with what its files are made of.
type groupPlan struct {
	Group
	targets  []*target
	patterns []config.Pattern
}

// target is one file to keep.
type target struct {
	File
	config   config.Path // what it holds, if it has no template
	template *recipe
	uid, gid int // -1 for the agent's own
}

// Bounds of settings: more than anybody has, and little enough to hold.
const (
	maxFiles    = 1000
	maxAttempts = 100
	maxWait     = Duration(time.Hour)
)

// planner collects what is wrong while it makes a plan.
type planner struct {
	at     *locator
	found  []config.Problem
	places map[string]string // whose a place is, by the key
	names  map[string]bool   // of groups
	files  int
}

// compile checks settings and makes a plan of them. Its error tells of every
// mistake, each with its place.
func compile(s *Settings, at *locator) (*plan, error) {
	p := &planner{at: at, places: map[string]string{}, names: map[string]bool{}}
	p.general(s)
	out := &plan{}
	if len(s.Groups) == 0 {
		p.bad("groups", "there are none; name the files to keep")
	}
	for i := range s.Groups {
		out.groups = append(out.groups, p.group(fmt.Sprintf("groups[%d]", i), s.Groups[i]))
	}
	if p.files > maxFiles {
		p.bad("groups", "%d files; one agent keeps at most %d", p.files, maxFiles)
	}
	if err := at.problems(p.found); err != nil {
		return nil, err
	}
	for _, g := range out.groups {
		for _, pattern := range g.patterns {
			out.patterns = append(out.patterns, pattern.String())
		}
	}
	slices.Sort(out.patterns)
	out.patterns = slices.Compact(out.patterns)
	return out, nil
}

func (p *planner) bad(key, format string, args ...any) {
	p.found = append(p.found, p.at.problem(key, format, args...))
}

// general checks what is not of a group.
func (p *planner) general(s *Settings) {
	if s.StateDir == "" {
		p.bad("state_dir", "is missing, and there is no home to put it into; name a directory that is the agent's own")
	}
	if new(slog.LevelVar).UnmarshalText([]byte(s.Log.Level)) != nil {
		p.bad("log.level", "%q: want debug, info, warn or error", s.Log.Level)
	}
	if s.Log.Format != "text" && s.Log.Format != "json" {
		p.bad("log.format", "%q: want text or json", s.Log.Format)
	}
	if s.Retry.Attempts < 1 || s.Retry.Attempts > maxAttempts {
		p.bad("retry.attempts", "must be from 1 to %d, is %d", maxAttempts, s.Retry.Attempts)
	}
	if s.Retry.First > s.Retry.Most || s.Retry.Most > maxWait {
		p.bad("retry", "first (%s) must not be longer than most (%s), and that at most %s",
			time.Duration(s.Retry.First), time.Duration(s.Retry.Most), time.Duration(maxWait))
	}
	if s.StartWithin > maxWait {
		p.bad("start_within", "must be at most %s", time.Duration(maxWait))
	}
	if s.Instance == "" {
		p.bad("instance", "is missing, and this machine has no name: say how the agent is to be called")
	}
}

func (p *planner) group(key string, g Group) *groupPlan {
	out := &groupPlan{Group: g}
	if len(g.Files) == 0 {
		p.bad(key, "the group has no files")
	}
	if p.names[g.Name] {
		p.bad(key, "another group has the name %q", g.Name)
	}
	p.names[g.Name] = true
	if g.Timeout > maxWait {
		p.bad(key+".timeout", "must be at most %s", time.Duration(maxWait))
	}
	if g.ReloadOnStart && g.Check.empty() && g.Reload.empty() {
		p.bad(key+".reload_on_start", "there is no command to run; give one as reload")
	}
	for i, name := range g.PassEnv {
		if name == "" || strings.ContainsAny(name, "=\x00") || name == tokenVariable {
			p.bad(fmt.Sprintf("%s.pass_env[%d]", key, i), "%q is no variable that can be passed on", name)
		}
	}
	for i := range g.Files {
		t := p.file(fmt.Sprintf("%s.files[%d]", key, i), g.Files[i])
		out.targets = append(out.targets, t)
		out.patterns = append(out.patterns, p.needs(fmt.Sprintf("%s.files[%d]", key, i), t)...)
	}
	p.files += len(g.Files)
	return out
}

func (p *planner) file(key string, f File) *target {
	t := &target{File: f, uid: -1, gid: -1}
	p.place(key, t)
	p.source(key, t)
	var err error
	if t.uid, err = ownerID(f.Owner); err != nil {
		p.bad(key+".owner", "%v", err)
	}
	if t.gid, err = groupID(f.Group); err != nil {
		p.bad(key+".group", "%v", err)
	}
	return t
}

// place checks where the file is to be, and that it is nobody else's.
func (p *planner) place(key string, t *target) {
	switch {
	case t.To == "":
		p.bad(key, "says not where the file is to be: give its place as to")
		return
	case !filepath.IsAbs(t.To):
		p.bad(key+".to", "%q must be an absolute name", t.To)
		return
	case strings.HasSuffix(t.To, string(filepath.Separator)) || strings.ContainsRune(t.To, 0):
		p.bad(key+".to", "%q names no file", t.To)
		return
	}
	t.To = filepath.Clean(t.To)
	if other, taken := p.places[t.To]; taken {
		p.bad(key+".to", "%s is kept by %s already", t.To, other)
	}
	p.places[t.To] = key
}

// source checks what the file is to hold.
func (p *planner) source(key string, t *target) {
	var kinds []string
	for _, s := range []struct{ name, value string }{{"config", t.Config}, {"template", t.Template}, {"template_file", t.TemplateFile}} {
		if s.value != "" {
			kinds = append(kinds, s.name)
		}
	}
	if len(kinds) != 1 {
		p.bad(key, "want exactly one of config, template and template_file; there is %s", nothingOr(strings.Join(kinds, " and ")))
		return
	}
	if t.Config != "" {
		p.plain(key, t)
		return
	}
	if t.RemoveWhenDeleted {
		p.bad(key+".remove_when_deleted", "is for a config; a template without one of its configs is refused, unless it asks for it with has")
	}
	text, name := t.Template, key+".template"
	if t.TemplateFile != "" {
		name = key + ".template_file"
		content, err := readBounded(t.TemplateFile)
		if err != nil {
			p.bad(name, "%s: %v", t.TemplateFile, err)
			return
		}
		text = string(content)
	}
	var err error
	if t.template, err = parseRecipe(filepath.Base(t.To), text); err != nil {
		p.bad(name, "%v", err)
	}
}

func (p *planner) plain(key string, t *target) {
	var err error
	if t.config, err = config.ParsePath(t.Config); err == nil {
		err = t.config.Require(config.LevelConfig)
	}
	if err != nil {
		p.bad(key+".config", "%v", err)
	}
	if len(t.Uses) > 0 {
		p.bad(key+".uses", "is for templates")
	}
}

// needs lists the configs that the file is made of.
func (p *planner) needs(key string, t *target) (out []config.Pattern) {
	type need struct{ key, pattern string }
	var all []need
	if t.Config != "" {
		all = append(all, need{key + ".config", t.Config})
	}
	if t.template != nil {
		for _, pattern := range t.template.needs {
			all = append(all, need{key, pattern})
		}
	}
	for i, pattern := range t.Uses {
		all = append(all, need{fmt.Sprintf("%s.uses[%d]", key, i), pattern})
	}
	for _, n := range all {
		pattern, err := config.ParsePattern(n.pattern)
		if err != nil {
			p.bad(n.key, "%v", err)
			continue
		}
		out = append(out, pattern)
	}
	return out
}

func nothingOr(text string) string {
	if text == "" {
		return "none"
	}
	return text
}
