package graphql

import (
	"crypto/sha256"
	"strings"

	gql "github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/setpointhq/setpoint/config"
)

// plan is what a subscription selects. Those that select the same have the same
// plan, however they have written it down: fragments and @skip are resolved, the
// arguments left out.
type plan struct {
	text string // of the operation
	hash digest
	// content is whether contents are wanted and selected, and stale whether the
	// client wants to know that the node is cut off.
	content, stale bool
}

// The bounds of what a subscription may select: what is rendered of one release is
// held in memory as a whole.
const (
	longestPlan  = 4 << 10 // bytes
	mostContents = 4       // how often contents may be selected
)

// newPlan writes down what a subscription selects; content is the argument of that
// name.
func newPlan(o *operation, content bool) (*plan, error) {
	field := o.rootField()
	if field == nil || field.Name != "watch" {
		return nil, config.Errorf(config.Invalid, "", "", "a subscription selects watch, and nothing else")
	}
	w := planWriter{context: o.context()}
	w.text.WriteString("subscription{")
	w.name(field.Alias, field.Name)
	w.text.WriteString("(paths:[])")
	w.selection(gql.CollectFields(w.context, o.definition.SelectionSet, []string{"Subscription"})[0])
	w.text.WriteString("}")
	switch {
	case w.empty:
		return nil, config.Errorf(config.Invalid, "", "", "the subscription selects no field of an object; @skip or @include leave all of them out")
	case w.text.Len() > longestPlan:
		return nil, config.Errorf(config.TooLarge, "", "", "the subscription selects too much: written without fragments it has more than %d bytes", longestPlan)
	case w.contents > mostContents:
		return nil, config.Errorf(config.TooLarge, "", "", "the subscription selects contents %d times; it may do so %d times", w.contents, mostContents)
	}
	p := &plan{text: w.text.String(), content: content && w.contents > 0, stale: w.stale}
	p.hash = sha256.Sum256([]byte(p.text))
	return p, nil
}

// planWriter writes a selection in the one way that there is for all that mean the
// same.
type planWriter struct {
	context  *gql.OperationContext
	text     strings.Builder
	contents int
	stale    bool
	empty    bool // nothing is selected of an object
}

func (w *planWriter) name(alias, name string) {
	if alias != name {
		w.text.WriteString(alias)
		w.text.WriteByte(':')
	}
	w.text.WriteString(name)
}

// selection writes what is selected of a field. It stops where it is too long, which
// is found out by its caller.
func (w *planWriter) selection(of gql.CollectedField) {
	if len(of.Selections) == 0 {
		return
	}
	w.text.WriteByte('{')
	fields := gql.CollectFields(w.context, of.Selections, []string{of.Definition.Type.Name()})
	w.empty = w.empty || len(fields) == 0
	for i, field := range fields {
		if w.text.Len() > longestPlan {
			return
		}
		if i > 0 {
			w.text.WriteByte(' ')
		}
		w.name(field.Alias, field.Name)
		switch field.Name {
		case "content", "contentBase64":
			w.contents++
		case "stale":
			w.stale = true
		}
		w.selection(field)
	}
	w.text.WriteByte('}')
}

// planField is a field of the event, by the key that it has in the answer.
type planField struct {
	key  string
	list bool // the changes, which are rendered each by itself
}

// planned is a plan that can be executed.
type planned struct {
	*operation
	key    string // of the event
	fields []planField
}

// planned reads what a plan wrote down, or finds it among the documents.
func (r *renderer) planned(p *plan) (*planned, error) {
	doc, known := r.api.documents.cache.GetIfPresent(p.text)
	if !known {
		var err error
		if doc, err = r.api.read(p.text); err != nil {
			return nil, err
		}
		r.api.documents.cache.Set(p.text, doc)
	}
	o := &planned{operation: &operation{document: doc, definition: doc.parsed.Operations[0]}}
	root, _ := o.definition.SelectionSet[0].(*ast.Field)
	o.key = root.Alias
	for _, selection := range root.SelectionSet {
		if field, is := selection.(*ast.Field); is {
			o.fields = append(o.fields, planField{key: field.Alias, list: field.Name == "changes"})
		}
	}
	return o, nil
}
