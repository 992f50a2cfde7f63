package setpointv1_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/format"
)

// enumValue is the name of an enum's value that stands for one of the domain's.
func enumValue(e protoreflect.EnumDescriptor, value string) protoreflect.Name {
	text := strings.NewReplacer("-", "_", ".", "_", " ", "_").Replace(value)
	return protoreflect.Name(strings.ToUpper(snake(string(e.Name())) + "_" + text))
}

func enum(t *testing.T, name string) protoreflect.EnumDescriptor {
	t.Helper()
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(pkg + "." + name))
	if err != nil {
		t.Fatal(err)
	}
	return d.(protoreflect.EnumDescriptor)
}

// constants reads off the source of a package what a string type's constants are,
// so that one that is added is found without a list of them. The empty one is
// left out: it stands for nothing said.
func constants(t *testing.T, dir, typeName string) []string {
	t.Helper()
	sources, err := filepath.Glob(filepath.Join("..", "..", dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, source := range sources {
		if strings.HasSuffix(source, "_test.go") {
			continue
		}
		text, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		file, err := parser.ParseFile(token.NewFileSet(), source, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			name, isIdent := spec.Type.(*ast.Ident)
			value, isLiteral := spec.Values[0].(*ast.BasicLit)
			if !isIdent || name.Name != typeName || !isLiteral || value.Kind != token.STRING {
				return true
			}
			if text, err := strconv.Unquote(value.Value); err == nil && text != "" {
				found = append(found, text)
			}
			return true
		})
	}
	if len(found) == 0 {
		t.Fatalf("want constants of %s in %s", typeName, dir)
	}
	return found
}

// names are the texts of values that a package lists itself.
func names[T any](all []T, text func(T) string) []string {
	var found []string
	for _, v := range all {
		found = append(found, text(v))
	}
	return found
}

// Whatever closed set the domain has, each of its members has a value of its own
// in the description, and there is none that the domain does not know.
func TestEveryKindIsExpressible(t *testing.T) {
	var nodeKinds []format.NodeKind
	for k := format.Null; k <= format.Map; k++ {
		nodeKinds = append(nodeKinds, k)
	}
	tests := []struct {
		enum string
		want []string
	}{
		{"ErrorKind", names(config.ErrorKinds(), config.ErrorKind.String)},
		{"StrategyKind", names(config.StrategyKinds(), func(k config.StrategyKind) string { return string(k) })},
		{"StrategyKind", constants(t, "config", "StrategyKind")},
		{"LaunchState", names(config.LaunchStates(), func(s config.LaunchState) string { return string(s) })},
		{"LaunchState", constants(t, "config", "LaunchState")},
		{"LaunchChange", constants(t, "config", "LaunchChange")},
		{"Severity", constants(t, "config", "Severity")},
		{"ConfigKind", constants(t, "config", "Kind")},
		{"SourceKind", constants(t, "config", "SourceKind")},
		{"AckState", constants(t, "config", "AckState")},
		{"Reason", constants(t, "config", "Reason")},
		{"NodeRole", constants(t, "config", "Role")},
		{"InstanceState", append(constants(t, "config", "AckState"), "silent")},
		{"OnRunning", constants(t, "center", "OnRunning")},
		{"ArchiveFormat", constants(t, "center", "ArchiveFormat")},
		{"Consistency", []string{"strong"}},
		{"AuditOutcome", constants(t, "audit", "Outcome")},
		{"AuditFindingKind", constants(t, "audit", "FindingKind")},
		{"DiffOp", constants(t, "format/diff", "Op")},
		{"ValueKind", names(nodeKinds, format.NodeKind.String)},
	}
	tested := map[protoreflect.Name]bool{}
	for _, tt := range tests {
		t.Run(tt.enum, func(t *testing.T) {
			e := enum(t, tt.enum)
			tested[e.Name()] = true
			want := []protoreflect.Name{enumValue(e, "unspecified")}
			for _, value := range tt.want {
				want = append(want, enumValue(e, value))
			}
			var got []protoreflect.Name
			for i := range e.Values().Len() {
				got = append(got, e.Values().Get(i).Name())
			}
			slices.Sort(want)
			slices.Sort(got)
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s (-domain +description):\n%s", tt.enum, d)
			}
		})
	}
	for _, f := range own(t, protoregistry.GlobalFiles) {
		walk(f, func(d protoreflect.Descriptor) {
			if e, ok := d.(protoreflect.EnumDescriptor); ok && !tested[e.Name()] {
				t.Errorf("%s: want a row in the table", e.FullName())
			}
		})
	}
}
