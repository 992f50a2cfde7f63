package exec

import (
	"os"
	"path"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql"

	"github.com/setpointhq/setpoint/api"
)

// TestIsCurrent holds the generated code against the schema that the program tells,
// of which it must have been generated, by the version of the library it is used with.
func TestIsCurrent(t *testing.T) {
	const mend = "; run make graphql"
	generated := map[string]string{}
	for _, source := range sources {
		if !source.BuiltIn {
			generated[path.Base(source.Name)] = source.Input
		}
	}
	files, err := api.GraphQL.ReadDir("graphql")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(generated) {
		t.Errorf("the schema has %d files, the code was generated of %d%s", len(files), len(generated), mend)
	}
	for _, f := range files {
		text, err := api.GraphQL.ReadFile(path.Join("graphql", f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if generated[f.Name()] != string(text) {
			t.Errorf("the code was not generated of what is in %s%s", f.Name(), mend)
		}
	}

	mod, err := os.ReadFile("../../../../tools/gqlgen/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if want := "github.com/99designs/gqlgen " + graphql.Version; !strings.Contains(string(mod), want) {
		t.Errorf("tools/gqlgen/go.mod does not have %q: the generator and the library differ", want)
	}
}
