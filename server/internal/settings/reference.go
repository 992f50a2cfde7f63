package settings

import (
	"encoding"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/plugin"
)

// Reference writes what can be set as Markdown: every key, those of drivers
// that are not chosen by default included.
func Reference(w io.Writer, root plugin.Settings) error {
	root.Defaults()
	r := &reference{}
	var top []field
	for _, f := range fields(reflect.ValueOf(root).Elem()) {
		_, isChoice := asChoice(f.value)
		if !isChoice && !isGroup(f.value.Type()) {
			top = append(top, f)
			continue
		}
		r.pending = append(r.pending, f)
	}
	if len(top) > 0 {
		r.heading("", "At the top")
		r.table(top, "")
	}
	for _, f := range r.pending {
		r.section(f, "")
	}
	_, err := io.WriteString(w, r.b.String())
	return err
}

type reference struct {
	b       strings.Builder
	pending []field
}

func (r *reference) heading(path, title string) {
	level := "##"
	if strings.Contains(path, ".") {
		level = "###"
	}
	fmt.Fprintf(&r.b, "\n%s %s\n", level, title)
}

// section writes a group or a choice of drivers.
func (r *reference) section(f field, path string) {
	at := join(path, f.key)
	r.heading(at, "`"+at+"`")
	if f.doc != "" {
		fmt.Fprintf(&r.b, "\n%s\n", sentence(f.doc))
	}
	c, isChoice := asChoice(f.value)
	if !isChoice {
		r.table(fields(f.value), at)
		return
	}
	r.choice(c, at)
}

func (r *reference) choice(c choice, path string) {
	var chosen []string
	for _, d := range c.drivers() {
		chosen = append(chosen, "`"+d.name+"`")
	}
	form := map[Form]string{
		One:     "One driver, as `%s: {NAME: {…}}`.",
		Several: "Any number of drivers, as `%s: {NAME: {…}, NAME: {…}}`.",
		Ordered: "Drivers in order, as `%s: [{NAME: {…}}, {NAME: {…}}]`.",
	}[c.shape()]
	fmt.Fprintf(&r.b, "\n"+form+" Default: %s. Variable: `%s`, which names them.\n",
		path, orNone(strings.Join(chosen, ", ")), leaf{path: path}.env())
	for _, name := range c.offers() {
		at := join(path, name)
		r.heading(at, "`"+at+"`")
		all := fields(reflect.ValueOf(c.fresh(name)).Elem())
		if len(all) == 0 {
			fmt.Fprint(&r.b, "\nNothing to set: `{}`.\n")
			continue
		}
		r.table(all, at)
	}
}

// table writes the values of a group, those of nested groups by dotted key.
func (r *reference) table(all []field, path string) {
	r.b.WriteString("\n| key | type | default | |\n| --- | --- | --- | --- |\n")
	var rows func(all []field, path, shown string)
	rows = func(all []field, path, shown string) {
		for _, f := range all {
			at, key := join(path, f.key), join(shown, f.key)
			if isGroup(f.value.Type()) {
				fmt.Fprintf(&r.b, "| `%s` | keys | | %s |\n", key, cell(f.doc))
				rows(fields(f.value), at, key)
				continue
			}
			fmt.Fprintf(&r.b, "| `%s` | %s | %s | %s `%s` |\n", key, typeName(f.value.Type()), defaultText(f.value),
				cell(f.doc), leaf{path: at}.env())
		}
	}
	rows(all, path, "")
}

func defaultText(v reflect.Value) string {
	if v.IsZero() && v.Kind() != reflect.Bool && !v.CanInt() && !v.CanUint() && !v.CanFloat() || v.Kind() == reflect.Slice && v.Len() == 0 {
		return "none"
	}
	return "`" + flow(v) + "`"
}

func typeName(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "duration"
	case t == reflect.TypeFor[plugin.Size]():
		return "size"
	case reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		return strings.ToLower(t.Name())
	}
	switch t.Kind() {
	case reflect.Slice:
		return "list of " + typeName(t.Elem())
	case reflect.Map:
		return "map of " + typeName(t.Elem())
	case reflect.Bool:
		return "true, false"
	case reflect.String:
		return "text"
	default:
		return "number"
	}
}

// cell makes a doc tag fit a table.
func cell(doc string) string { return strings.ReplaceAll(sentence(doc), "|", "\\|") }

// sentence makes a doc tag read as one.
func sentence(doc string) string {
	if doc == "" {
		return ""
	}
	return strings.ToUpper(doc[:1]) + strings.TrimSuffix(doc[1:], ".") + "."
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
