package settings

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxFile is the largest settings file, in bytes: far more than anyone writes,
// and little enough to parse whatever it is.
const maxFile = 1 << 20

// file decodes the settings file over the defaults.
func (l *loader) file() {
	if l.in.Content == nil {
		return
	}
	if len(l.in.Content) > maxFile {
		l.report(nil, "", "the file has %d bytes; settings have at most %d", len(l.in.Content), maxFile)
		return
	}
	f, err := parser.ParseBytes(l.in.Content, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		var located yaml.Error
		if errors.As(err, &located) {
			l.report(located.GetToken(), "", "%s", located.GetMessage())
		} else {
			l.report(nil, "", "%v", err)
		}
		return
	}
	var bodies []ast.Node
	for _, doc := range f.Docs {
		if doc.Body != nil {
			bodies = append(bodies, doc.Body)
		}
	}
	switch {
	case len(bodies) > 1:
		l.report(bodies[1].GetToken(), "", "the file holds a second document; settings are one")
	case len(bodies) == 1:
		l.group(bodies[0], l.root, "")
	}
}

// pair is one key of a mapping with its value.
type pair struct {
	key   string
	token *token.Token
	value ast.Node
}

// pairs returns the keys of a mapping; nil with a report if node is none. A key
// that comes twice is reported and left out. Nothing at all counts as empty.
func (l *loader) pairs(node ast.Node, path string) []pair {
	if _, empty := node.(*ast.NullNode); empty {
		return nil
	}
	m, ok := node.(ast.MapNode)
	if !ok {
		l.report(node.GetToken(), path, "want keys with values here, found %s", describe(node))
		return nil
	}
	var out []pair
	for it := m.MapRange(); it.Next(); {
		key, ok := it.Key().(ast.ScalarNode)
		if !ok {
			l.report(it.Key().GetToken(), path, "want a plain key, found %s", describe(it.Key()))
			continue
		}
		p := pair{key: key.GetToken().Value, token: key.GetToken(), value: it.Value()}
		if slices.ContainsFunc(out, func(other pair) bool { return other.key == p.key }) {
			l.report(p.token, join(path, p.key), "the key is there twice")
			continue
		}
		out = append(out, p)
	}
	return out
}

// group decodes a mapping into a struct.
func (l *loader) group(node ast.Node, v reflect.Value, path string) {
	known := fields(v)
	for _, p := range l.pairs(node, path) {
		i := slices.IndexFunc(known, func(f field) bool { return f.key == p.key })
		if i < 0 {
			l.unknown(p.token, path, p.key, keys(known))
			continue
		}
		at := join(path, p.key)
		l.origins[at] = l.origin(p.token)
		switch c, isChoice := asChoice(known[i].value); {
		case isChoice:
			l.choice(p.value, c, at)
		case isGroup(known[i].value.Type()):
			l.group(p.value, known[i].value, at)
		default:
			l.value(p.value, known[i].value, at)
		}
	}
}

// choice decodes what drivers are chosen, with their settings. It replaces the
// default choice.
func (l *loader) choice(node ast.Node, c choice, path string) {
	c.clear()
	switch n := node.(type) {
	case *ast.StringNode:
		l.choose(pair{key: n.Value, token: n.Token}, c, path)
	case *ast.SequenceNode:
		for _, item := range n.Values {
			if name, ok := item.(*ast.StringNode); ok {
				l.choose(pair{key: name.Value, token: name.Token}, c, path)
				continue
			}
			for _, p := range l.pairs(item, path) {
				l.choose(p, c, path)
			}
		}
	default:
		for _, p := range l.pairs(node, path) {
			l.choose(p, c, path)
		}
	}
}

// choose chooses one driver and decodes its settings.
func (l *loader) choose(p pair, c choice, path string) {
	if !slices.Contains(c.offers(), p.key) {
		l.unknown(p.token, path, p.key, c.offers())
		return
	}
	if err := c.choose(p.key); err != nil {
		l.report(p.token, join(path, p.key), "%v", err)
		return
	}
	l.origins[join(path, p.key)] = l.origin(p.token)
	if p.value == nil {
		return
	}
	for _, d := range c.drivers() {
		if d.name == p.key {
			l.group(p.value, reflect.ValueOf(d.settings).Elem(), join(path, p.key))
		}
	}
}

// value decodes a scalar, a list of scalars or a map of scalars.
func (l *loader) value(node ast.Node, v reflect.Value, path string) {
	switch {
	case v.Kind() == reflect.Slice && !isText(v):
		seq, ok := node.(*ast.SequenceNode)
		if !ok {
			l.report(node.GetToken(), path, "want a list, found %s", describe(node))
			return
		}
		list := reflect.MakeSlice(v.Type(), 0, len(seq.Values))
		for _, item := range seq.Values {
			into := reflect.New(v.Type().Elem()).Elem()
			l.scalar(item, into, path)
			list = reflect.Append(list, into)
		}
		v.Set(list)
	case v.Kind() == reflect.Map:
		m := reflect.MakeMap(v.Type())
		for _, p := range l.pairs(node, path) {
			into := reflect.New(v.Type().Elem()).Elem()
			l.scalar(p.value, into, join(path, p.key))
			m.SetMapIndex(reflect.ValueOf(p.key), into)
		}
		v.Set(m)
	default:
		l.scalar(node, v, path)
	}
}

func (l *loader) scalar(node ast.Node, v reflect.Value, path string) {
	var text string
	switch n := node.(type) {
	case *ast.StringNode:
		text = n.Value
	case *ast.LiteralNode:
		text = n.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		text = n.GetToken().Value
	case *ast.NullNode:
		l.report(node.GetToken(), path, "the key has no value; give one, or leave the key out for the default")
		return
	default:
		l.report(node.GetToken(), path, "want a single value, found %s", describe(node))
		return
	}
	if err := setScalar(v, text); err != nil {
		l.report(node.GetToken(), path, "%v", err)
	}
}

func (l *loader) origin(t *token.Token) Origin {
	return Origin{By: l.in.File, Line: t.Position.Line, Column: t.Position.Column}
}

// unknown reports a key that there is not, with the nearest that there is.
func (l *loader) unknown(t *token.Token, path, key string, known []string) {
	place := "at the top"
	if path != "" {
		place = "under " + path
	}
	l.report(t, "", "unknown key %q %s", key, place)
	l.problems[len(l.problems)-1].Hint = hint(key, known)
}

func keys(fs []field) []string {
	out := make([]string, len(fs))
	for i, f := range fs {
		out[i] = f.key
	}
	return out
}

// describe names what a node is, for a person.
func describe(node ast.Node) string {
	switch node.(type) {
	case ast.MapNode:
		return "keys with values"
	case *ast.SequenceNode:
		return "a list"
	case *ast.NullNode:
		return "nothing"
	case *ast.AnchorNode, *ast.AliasNode:
		return "an anchor or alias, which settings do not use"
	case *ast.TagNode:
		return "a tag, which settings do not use"
	case ast.ScalarNode:
		return fmt.Sprintf("the single value %q", node.GetToken().Value)
	default:
		return strings.ToLower(node.Type().String())
	}
}
