package graphql

import (
	"context"
	"errors"
	"strings"

	"github.com/maypok86/otter/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/plugin"
)

// document is a text that was read and found to be valid. It must not be changed.
type document struct {
	text   string
	parsed *ast.QueryDocument
}

// documents remembers those that were valid, which is what takes time.
type documents struct {
	cache *otter.Cache[string, *document]
}

// documentWeight is about how much larger a document is once it was read.
const documentWeight = 40

func newDocuments(memory int64) (*documents, error) {
	cache, err := otter.New(&otter.Options[string, *document]{
		MaximumWeight: uint64(memory),
		Weigher:       func(text string, _ *document) uint32 { return uint32(documentWeight*len(text) + 1024) },
	})
	return &documents{cache}, err
}

// document finds or reads the one that a request is about.
func (a *api) document(ctx context.Context, r *request) (*document, error) {
	text, hash, err := a.persisted.find(r)
	if err != nil {
		return nil, err
	}
	if found, known := a.documents.cache.GetIfPresent(text); known {
		return found, nil
	}
	doc, err := a.read(text)
	if err != nil {
		return nil, err
	}
	// Whoever is nobody puts nothing in the place of what others need.
	if !auth.FromContext(ctx).Anonymous() {
		a.documents.cache.Set(text, doc)
		if hash != nil {
			a.persisted.keep(*hash, text)
		}
	}
	return doc, nil
}

// read reads a document and finds out whether it is valid.
func (a *api) read(text string) (*document, error) {
	switch {
	case text == "":
		return nil, config.Errorf(config.Invalid, "", "", "there is no query")
	case plugin.Size(len(text)) > a.settings.MaxDocument:
		return nil, config.Errorf(config.TooLarge, "", "", "the query is larger than the %s that it may have; send what it is about as variables", a.settings.MaxDocument)
	}
	parsed, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: text}, a.settings.MaxTokens)
	if err != nil {
		return nil, refused(err)
	}
	if len(parsed.Operations) == 0 {
		return nil, config.Errorf(config.Invalid, "", "", "the query has no operation")
	}
	if found := validator.ValidateWithRules(a.schema.Schema(), parsed, a.rules()); len(found) > 0 {
		return nil, refused(found)
	}
	return &document{text: text, parsed: parsed}, nil
}

// rules are those of the language. Where the schema is not told, what is wrong is not
// told with names out of it.
func (a *api) rules() *rules.Rules {
	all := rules.NewDefaultRules()
	if a.settings.Introspection {
		return all
	}
	for _, quiet := range []validator.Rule{
		rules.FieldsOnCorrectTypeRuleWithoutSuggestions, rules.ScalarLeafsRuleWithoutSuggestions, rules.KnownArgumentNamesRuleWithoutSuggestions,
		rules.KnownTypeNamesRuleWithoutSuggestions, rules.ValuesOfCorrectTypeRuleWithoutSuggestions,
	} {
		all.RemoveRule(strings.TrimSuffix(quiet.Name, "WithoutSuggestions"))
		all.AddRule(quiet.Name, quiet.RuleFunc)
	}
	return all
}

// refused is the error of a document or of variables that the library found to be
// wrong.
func refused(err error) error {
	r := &refusal{}
	var one *gqlerror.Error
	switch {
	case errors.As(err, &r.list):
	case errors.As(err, &one):
		r.list = gqlerror.List{one}
	default:
		r.list = gqlerror.List{gqlerror.Wrap(err)}
	}
	const most = 10 // of what is wrong, at once
	r.list = r.list[:min(len(r.list), most)]
	r.err = config.Errorf(config.Invalid, "", "", "%s", r.list[0].Message)
	return r
}
