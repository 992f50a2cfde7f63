package settings

import (
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// Print writes the settings in force as a settings file, each value with where
// it came from. Secrets are redacted.
func (l *Loaded) Print(w io.Writer) error {
	p := printer{origins: l.origins}
	p.group(reflect.ValueOf(l.root).Elem(), "", "")
	_, err := io.WriteString(w, p.b.String())
	return err
}

type printer struct {
	b       strings.Builder
	origins map[string]Origin
}

func (p *printer) group(v reflect.Value, path, indent string) {
	for _, f := range fields(v) {
		at := join(path, f.key)
		switch c, isChoice := asChoice(f.value); {
		case isChoice:
			p.choice(c, f.key, at, indent)
		case isGroup(f.value.Type()):
			fmt.Fprintf(&p.b, "%s%s:\n", indent, f.key)
			p.group(f.value, at, indent+"  ")
		default:
			fmt.Fprintf(&p.b, "%s%s: %s  # %s\n", indent, f.key, flow(f.value), p.origin(at))
		}
	}
}

// choice writes the chosen drivers in the form of their setting.
func (p *printer) choice(c choice, key, path, indent string) {
	drivers := c.drivers()
	if len(drivers) == 0 {
		empty := "{}"
		if c.shape() == Ordered {
			empty = "[]"
		}
		fmt.Fprintf(&p.b, "%s%s: %s  # %s\n", indent, key, empty, p.origin(path))
		return
	}
	fmt.Fprintf(&p.b, "%s%s:  # %s\n", indent, key, p.origin(path))
	for _, d := range drivers {
		lead, inner := indent+"  ", indent+"    "
		if c.shape() == Ordered {
			lead, inner = indent+"  - ", indent+"      "
		}
		v := reflect.ValueOf(d.settings).Elem()
		if len(fields(v)) == 0 {
			fmt.Fprintf(&p.b, "%s%s: {}\n", lead, d.name)
			continue
		}
		fmt.Fprintf(&p.b, "%s%s:\n", lead, d.name)
		p.group(v, join(path, d.name), inner)
	}
}

func (p *printer) origin(path string) string {
	switch o := p.origins[path]; {
	case o.By == "":
		return "default"
	case o.Line > 0:
		return fmt.Sprintf("%s:%d", o.By, o.Line)
	default:
		return o.By
	}
}

// flow writes a value on one line of YAML.
func flow(v reflect.Value) string {
	switch {
	case v.Kind() == reflect.Slice && !isText(v):
		parts := make([]string, v.Len())
		for i := range parts {
			parts[i] = flow(v.Index(i))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case v.Kind() == reflect.Map:
		var parts []string
		for _, key := range v.MapKeys() {
			parts = append(parts, quote(key.String())+": "+flow(v.MapIndex(key)))
		}
		slices.Sort(parts)
		return "{" + strings.Join(parts, ", ") + "}"
	case v.Kind() == reflect.String || isText(v):
		return quote(text(v))
	default:
		return text(v)
	}
}

// quote writes a string so that YAML reads it as that string on one line, also
// within brackets.
func quote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_./-", r)
	}
	if b, err := yaml.Marshal(s); err == nil && strings.TrimSpace(string(b)) == s && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return fmt.Sprintf("%q", s)
}
