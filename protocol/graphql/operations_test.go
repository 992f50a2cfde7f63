package graphql

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"
)

// value makes up a value of a type, with nothing in it that may be left out.
func value(schema *ast.Schema, t *ast.Type) string {
	if t.Elem != nil {
		return "[" + value(schema, t.Elem) + "]"
	}
	d := schema.Types[t.NamedType]
	switch {
	case d.Kind == ast.Enum:
		return d.EnumValues[0].Name
	case d.Kind == ast.InputObject:
		var fields []string
		for _, f := range d.Fields {
			if f.Type.NonNull || f.Name == "contentBase64" || f.Name == "path" || f.Name == "id" || f.Name == "tenant" {
				fields = append(fields, f.Name+":"+value(schema, f.Type))
			}
		}
		return "{" + strings.Join(fields, " ") + "}"
	case t.NamedType == "Long":
		return "1"
	case t.NamedType == "Path":
		return `"acme/shop/prod/a.yaml"`
	case t.NamedType == "Base64":
		return `"AAAA"`
	}
	return `"acme"`
}

// operation asks for a field of the first level with made-up arguments.
func operationOf(schema *ast.Schema, root, name string) string {
	f := schema.Types[root].Fields.ForName(name)
	var args []string
	for _, a := range f.Arguments {
		switch {
		case a.Name == "verb":
			args = append(args, `verb:"read"`)
		case a.Type.NonNull || a.Name == "start":
			args = append(args, a.Name+":"+value(schema, a.Type))
		}
	}
	text := strings.ToLower(root) + "{" + name
	if len(args) > 0 {
		text += "(" + strings.Join(args, " ") + ")"
	}
	if schema.Types[f.Type.Name()].Kind == ast.Object {
		text += "{__typename}"
	}
	return text + "}"
}

// operations are all fields of the first level but that of subscriptions.
func operations(schema *ast.Schema) (all [][2]string) {
	for _, root := range []string{"Query", "Mutation"} {
		for _, f := range schema.Types[root].Fields {
			if !strings.HasPrefix(f.Name, "__") {
				all = append(all, [2]string{root, f.Name})
			}
		}
	}
	return all
}

// Every operation is asked for by nobody and by a stranger, who has no rights.
func TestOperationsOfNobodyAndOfStrangers(t *testing.T) {
	n := launch(t)
	n.publish(pathA, "a: 1\n")
	schema := n.api.schema.Schema()
	// What everybody may do who has proved who it is: look at itself, and at what
	// there is anywhere; lists of what it sees are empty.
	everybody := []string{"version", "whoAmI", "tokens", "roles", "tenants", "users", "bindings", "createToken", "changeSets", "launches", "logout", "access", "endSessions"}
	// What is wrong with the request itself, before anybody's rights.
	malformed := []string{"createEnv", "updateApp", "importEnv", "login", "setPassword"}
	all := operations(schema)
	// The last is logout, which ends the stranger's token.
	slices.SortStableFunc(all, func(a, b [2]string) int { return after(a[1]) - after(b[1]) })
	for _, o := range all {
		query := operationOf(schema, o[0], o[1])
		if got := n.post("", query, nil); o[1] != "login" && (got.status != 401 || got.code() != "unauthenticated") {
			t.Errorf("%s of nobody: want 401, got %d %s", query, got.status, got.body)
		}
		got := n.post(n.nobody, query, nil)
		switch code := got.code(); {
		case slices.Contains(everybody, o[1]):
			if code != "" && code != "denied" {
				t.Errorf("%s of a stranger: want an answer, got %s", query, got.body)
			}
		case slices.Contains(malformed, o[1]):
			if code != "invalid" && code != "unauthenticated" && code != "denied" {
				t.Errorf("%s of a stranger: want a refusal, got %s", query, got.body)
			}
		case code != "denied" || fmt.Sprint(got.Data[o[1]]) != "<nil>":
			t.Errorf("%s of a stranger: want it to be denied, got %s", query, got.body)
		}
	}
}

func after(name string) int {
	if name == "logout" {
		return 1
	}
	return 0
}
