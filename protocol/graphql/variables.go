package graphql

import (
	"slices"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/validator"
)

// variables are what a request says of them, as the operation wants them.
func (a *api) variables(definition *ast.OperationDefinition, given map[string]any) (map[string]any, error) {
	values, err := validator.VariableValues(a.schema.Schema(), definition, given)
	if err != nil {
		return nil, refused(err)
	}
	for _, v := range definition.VariableDefinitions {
		if err := a.checkWords(v.Type, values[v.Variable], ast.Path{ast.PathName("variable"), ast.PathName(v.Variable)}); err != nil {
			return nil, refused(err)
		}
	}
	return values, nil
}

// checkWords refuses words of enums that are not written as the schema has them. The
// library takes them in whatever case, and later, not knowing them, for none at all.
func (a *api) checkWords(t *ast.Type, value any, at ast.Path) *gqlerror.Error {
	if t.Elem != nil {
		items, _ := value.([]any)
		for i, item := range items {
			if err := a.checkWords(t.Elem, item, append(slices.Clip(at), ast.PathIndex(i))); err != nil {
				return err
			}
		}
		return nil
	}
	switch definition := a.schema.Schema().Types[t.NamedType]; definition.Kind {
	case ast.Enum:
		if word, is := value.(string); is && definition.EnumValues.ForName(word) == nil || !is && value != nil {
			return gqlerror.ErrorPathf(at, "want one of the words of %s", definition.Name)
		}
	case ast.InputObject:
		fields, _ := value.(map[string]any)
		for _, f := range definition.Fields {
			if err := a.checkWords(f.Type, fields[f.Name], append(slices.Clip(at), ast.PathName(f.Name))); err != nil {
				return err
			}
		}
	}
	return nil
}
