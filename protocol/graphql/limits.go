package graphql

import (
	"encoding/json"
	"math"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/setpointhq/setpoint/config"
)

// The sizes that lists are taken to have.
const (
	defaultPage = 100  // of a listing that does not say
	largestPage = 1000 // of any listing
	usualList   = 10   // of a list without pages within another; within that, 1
)

// extent is how far an operation goes.
type extent struct {
	fields int // of the first level, aliases counted
	depth  int
	cost   int // about how many fields the answer has
}

// measure holds what is known of the fragments of a document, each of which is
// looked at once: spread in each other they would take for ever.
type measure struct {
	operation *operation
	fragments map[placed]extent
}

// placed is a fragment, and how many lists it is within.
type placed struct {
	name  string
	lists int
}

// check holds an operation against the limits.
func (a *api) check(o *operation) error {
	if !a.settings.Introspection && o.introspects() {
		return config.Errorf(config.Unsupported, "", "", "this server does not tell its schema (introspection)")
	}
	m := measure{operation: o, fragments: map[placed]extent{}}
	x := m.set(o.definition.SelectionSet, 0)
	for _, limit := range []struct {
		what, setting string
		value, most   int
	}{
		{"fields on its first level", "max_root_fields", x.fields, a.settings.MaxRootFields},
		{"levels of fields within each other", "max_depth", x.depth, a.settings.MaxDepth},
		{"fields in its answer, if lists are as long as they may be", "max_complexity", x.cost, a.settings.MaxComplexity},
	} {
		if limit.value > limit.most {
			return config.Errorf(config.TooLarge, "", "", "the operation has %d %s; it may have %d (%s)", limit.value, limit.what, limit.most, limit.setting)
		}
	}
	return nil
}

// set measures what is selected of one object.
func (m *measure) set(selected ast.SelectionSet, lists int) (x extent) {
	for _, selection := range selected {
		var part extent
		switch s := selection.(type) {
		case *ast.Field:
			part = m.field(s, lists)
		case *ast.InlineFragment:
			part = m.set(s.SelectionSet, lists)
		case *ast.FragmentSpread:
			part = m.fragment(s.Definition, lists)
		}
		x.fields = sum(x.fields, part.fields)
		x.depth = max(x.depth, part.depth)
		x.cost = sum(x.cost, part.cost)
	}
	return x
}

// field measures a field with what is below it.
func (m *measure) field(f *ast.Field, lists int) extent {
	items, isList := m.items(f, lists)
	if isList {
		lists++
	}
	below := m.set(f.SelectionSet, lists)
	return extent{fields: 1, depth: below.depth + 1, cost: sum(1, product(items, below.cost))}
}

// fragment measures a fragment, once. A valid document has no fragment within itself.
func (m *measure) fragment(f *ast.FragmentDefinition, lists int) extent {
	if f == nil {
		return extent{}
	}
	key := placed{f.Name, lists}
	x, known := m.fragments[key]
	if !known {
		x = m.set(f.SelectionSet, lists)
		m.fragments[key] = x
	}
	return x
}

// items is how often what is below a field is in the answer at most, and whether that
// is for a list. The field that says limit pays for the list in its page.
func (m *measure) items(f *ast.Field, lists int) (items int, isList bool) {
	switch {
	case f.Definition == nil:
		return 1, false
	case f.Definition.Arguments.ForName("limit") != nil:
		return m.limit(f), true
	case f.Definition.Type.Elem == nil:
		return 1, false
	case f.Name == "items" && f.ObjectDefinition != nil && f.ObjectDefinition.Fields.ForName("next") != nil:
		return 1, false // the field that it is in has counted
	case lists == 0:
		return defaultPage, true
	case lists == 1:
		return usualList, true
	}
	return 1, true
}

// limit is the size of the page that a field asks for.
func (m *measure) limit(f *ast.Field) int {
	switch v := f.ArgumentMap(m.operation.variables)["limit"].(type) {
	case int64:
		return page(v)
	case int:
		return page(int64(v))
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return page(n)
		}
		return largestPage
	}
	return defaultPage
}

// page is the size of a page that was asked for; what cannot be asked for is refused
// elsewhere.
func page(n int64) int {
	if n <= 0 {
		return defaultPage
	}
	return int(min(n, largestPage))
}

// introspects reports whether the operation asks for the schema.
func (o *operation) introspects() bool {
	return asksForSchema(o.definition.SelectionSet)
}

func asksForSchema(selected ast.SelectionSet) bool {
	for _, selection := range selected {
		switch s := selection.(type) {
		case *ast.Field:
			if s.Name == "__schema" || s.Name == "__type" {
				return true
			}
		case *ast.InlineFragment:
			if asksForSchema(s.SelectionSet) {
				return true
			}
		case *ast.FragmentSpread:
			if s.Definition != nil && asksForSchema(s.Definition.SelectionSet) {
				return true
			}
		}
	}
	return false
}

// sum adds what may be more than there are numbers.
func sum(a, b int) int {
	if a > math.MaxInt32-b {
		return math.MaxInt32
	}
	return a + b
}

// product multiplies what may be more than there are numbers; both are at most
// 31 bits.
func product(a, b int) int { return int(min(int64(a)*int64(b), math.MaxInt32)) }
