package settings

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// environ applies the variables over what the file said.
func (l *loader) environ() {
	set := map[string]string{}
	for _, kv := range l.in.Environ {
		if name, value, _ := strings.Cut(kv, "="); strings.HasPrefix(name, Prefix) && value != "" {
			set[name] = value
		}
	}
	// Choices come first: they decide which other variables mean anything.
	for _, leaf := range leaves(l.root, "", false) {
		if value, ok := set[leaf.env()]; ok && leaf.picks != nil {
			l.pick(leaf, leaf.env(), value)
			delete(set, leaf.env())
		}
	}
	all := leaves(l.root, "", true)
	names := make([]string, len(all))
	for i, leaf := range all {
		names[i] = leaf.env()
		if value, ok := set[names[i]]; ok {
			delete(set, names[i])
			l.override(leaf, names[i], value)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if l.in.Ignored == nil || !l.in.Ignored(name) {
			l.reportBy(name, "no setting has this variable").Hint = hintVariable(name, names)
		}
	}
}

// set applies presets or flags over what there is.
func (l *loader) set(flags []Flag) {
	for _, f := range flags {
		all := leaves(l.root, "", true)
		i := slices.IndexFunc(all, func(leaf leaf) bool { return leaf.path == f.Key })
		switch {
		case i < 0:
			l.reportBy(f.Name, "no setting has the key %q", f.Key)
		case all[i].picks != nil:
			l.pick(all[i], f.Name, f.Value)
		default:
			l.override(all[i], f.Name, f.Value)
		}
	}
}

// override sets one value from a variable or flag.
func (l *loader) override(leaf leaf, by, value string) {
	if leaf.inactive != "" {
		l.reportBy(by, "it sets %s, but the settings do not choose %q, so it would do nothing", leaf.path, leaf.inactive)
		return
	}
	if err := setText(leaf.value, value); err != nil {
		l.reportBy(by, "%s: %v", leaf.path, err)
		return
	}
	l.origins[leaf.path] = Origin{By: by}
}

// pick chooses drivers by their names. A driver that is chosen already keeps
// what the file said of it, so SETPOINT_STORE=etcd changes nothing where the
// store is etcd.
func (l *loader) pick(leaf leaf, by, value string) {
	names := strings.Split(value, ",")
	for i := range names {
		names[i] = strings.TrimSpace(names[i])
	}
	had := leaf.picks.drivers()
	if slices.EqualFunc(had, names, func(d named, name string) bool { return d.name == name }) {
		return
	}
	leaf.picks.clear()
	for _, name := range names {
		if err := leaf.picks.choose(name); err != nil {
			l.reportBy(by, "%s: %v", leaf.path, err)
			return
		}
	}
	l.origins[leaf.path] = Origin{By: by}
}

// hintVariable is hint, without the whole list of variables.
func hintVariable(name string, known []string) string {
	bare := make([]string, len(known))
	for i, k := range known {
		bare[i] = strings.TrimPrefix(k, Prefix)
	}
	if at, ok := nearest(strings.TrimPrefix(name, Prefix), bare); ok {
		return fmt.Sprintf("did you mean %s?", Prefix+at)
	}
	return "unset it; the reference of settings lists all variables"
}
