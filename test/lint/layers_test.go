// Package lint proves that the linter's rules bite: that `make lint` would
// refuse an import that the design's table forbids, and lets every import pass
// that it allows.
package lint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "github.com/setpointhq/setpoint"

// library stands for any module from outside.
const library = "example.com/library"

// targets are what every layer is made to import: one package of each sort.
var targets = []string{
	"config", "plugin",
	"store", "store/memory", "store/storetest",
	"format", "format/yaml", "format/diff",
	"validate", "seal", "auth", "auth/basic", "auth/throttle", "audit", "audit/file", "cache", "cache/memory",
	"internal/record", "internal/view", "internal/disk", "internal/inflight", "internal/freeport", "internal/pki", "internal/cluster", "internal/backup", "internal/other",
	"center", "protocol", "protocol/rest", "api", "api/gen", "client", "server", "standard",
	library,
}

// layers is the design's import table, a row for each sort of package.
var layers = []struct {
	folder string
	allows []string
}{
	{folder: "config"},
	{folder: "plugin"},
	{folder: "store", allows: []string{"config", "plugin"}},
	{folder: "format", allows: []string{"config", "plugin"}},
	{folder: "validate", allows: []string{"config", "plugin"}},
	{folder: "seal", allows: []string{"config", "plugin"}},
	{folder: "auth", allows: []string{"config", "plugin"}},
	{folder: "audit", allows: []string{"config", "plugin"}},
	{folder: "cache", allows: []string{"config", "plugin"}},
	{folder: "store/etcd", allows: []string{"config", "plugin", "store", "internal/disk", "internal/freeport", library}},
	{folder: "store/etcd/internal/part", allows: []string{"config", "plugin", "store", "internal/disk", "internal/freeport", library}},
	{folder: "store/storetest", allows: []string{"config", "plugin", "store", "internal/disk", "internal/freeport", library}},
	{folder: "format/toml", allows: []string{"config", "plugin", "format", library}},
	{folder: "format/diff", allows: []string{"config", "plugin", "format", library}},
	{folder: "validate/cue", allows: []string{"config", "plugin", "validate", library}},
	{folder: "seal/tink", allows: []string{"config", "plugin", "seal", library}},
	{folder: "auth/token", allows: []string{"config", "plugin", "auth", "auth/throttle", library}},
	{folder: "auth/throttle", allows: []string{"config", "plugin", "auth", library}},
	{folder: "audit/webhook", allows: []string{"config", "plugin", "audit", library}},
	{folder: "cache/redis", allows: []string{"config", "plugin", "cache", library}},
	{folder: "internal/record", allows: []string{"config", "auth", "audit"}},
	{folder: "internal/view", allows: []string{"config", "store", "cache", "internal/record"}},
	{folder: "internal/disk", allows: []string{library}},
	{folder: "internal/inflight"},
	{folder: "internal/freeport"},
	{folder: "internal/pki", allows: []string{"config"}},
	{folder: "internal/cluster", allows: []string{"config", "plugin", "store", "internal/disk", "internal/inflight", "internal/pki", library}},
	{folder: "internal/backup", allows: []string{"config", "store", "internal/record", "internal/disk", library}},
	{folder: "center", allows: []string{
		"config", "plugin", "internal/record", "internal/view", "internal/disk", "internal/backup",
		"store", "format", "format/diff", "validate", "seal", "auth", "audit", "cache",
	}},
	{folder: "protocol", allows: []string{"config", "plugin", "format", "auth", "audit", "center", "api", "api/gen", library}},
	{folder: "protocol/protocoltest", allows: []string{
		"config", "plugin", "store", "store/memory", "format", "format/yaml", "auth", "auth/basic", "cache", "cache/memory",
		"internal/view", "center", "protocol", library,
	}},
	{folder: "protocol/grpc", allows: []string{
		"config", "plugin", "format", "auth", "audit", "center", "protocol", "api", "api/gen", library,
	}},
	{folder: "api", allows: []string{"api/gen", library}},
	{folder: "client", allows: []string{"config"}},
	{folder: "server", allows: []string{
		"config", "plugin", "store", "format", "format/diff", "validate", "seal", "auth", "auth/throttle", "audit", "cache",
		"internal/record", "internal/view", "internal/disk", "internal/inflight", "internal/freeport", "internal/pki", "internal/cluster", "internal/backup", "internal/other",
		"center", "protocol", "api", "api/gen", library,
	}},
	{folder: "standard", allows: []string{
		"config", "plugin", "store", "store/memory", "store/storetest", "format", "format/yaml", "format/diff",
		"validate", "seal", "auth", "auth/basic", "auth/throttle", "audit", "audit/file", "cache", "cache/memory",
		"protocol", "protocol/rest", "server", library,
	}},
	{folder: "bench", allows: []string{"config", "client", "store", "internal/pki", "internal/cluster", "internal/freeport", library}},
	{folder: "cmd/setpoint", allows: []string{"config", "store", "internal/pki", "internal/backup", "client", "server", "standard", library}},
	{folder: "utils"},
	{folder: "internal/utils"},
}

func TestEveryLayerImportsWhatItsRowAllowsAndNothingElse(t *testing.T) {
	linter := findLinter(t)
	for _, layer := range layers {
		t.Run(layer.folder, func(t *testing.T) {
			var imports, want []string
			for _, target := range targets {
				if target == layer.folder {
					continue
				}
				imports = append(imports, target)
				if !slices.Contains(layer.allows, target) {
					want = append(want, target)
				}
			}
			dir := writeModule(t, layer.folder, "probe.go", imports)
			if diff := cmp.Diff(want, refused(t, linter, dir)); diff != "" {
				t.Errorf("imports refused to %s (-want +got):\n%s", layer.folder, diff)
			}
		})
	}
}

// Tests may cross layers: a test of center opens the memory store.
func TestTestsAreFreeOfTheTable(t *testing.T) {
	linter := findLinter(t)
	dir := writeModule(t, "center", "probe_test.go", []string{"store/memory", "server", library})
	if got := refused(t, linter, dir); len(got) > 0 {
		t.Errorf("want nothing refused to a test, got %v", got)
	}
}

// findLinter returns the pinned golangci-lint: the one that make built, or
// else the one that the tools module builds.
func findLinter(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("GOLANGCI_LINT"); path != "" {
		if _, err := os.Stat(path); err != nil { // and go test runs anew when it changes
			t.Fatal(err)
		}
		return path
	}
	cmd := exec.CommandContext(t.Context(), "go", "-C", "../../tools", "tool", "-n", "golangci-lint")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("build golangci-lint: %v\n%s", err, stderrOf(err))
	}
	return strings.TrimSpace(string(out))
}

// writeModule makes a copy of the house with empty rooms, in which the file of
// the folder has the imports.
func writeModule(t *testing.T, folder, file string, imports []string) string {
	t.Helper()
	rules, err := os.ReadFile("../../.golangci.yml")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		".golangci.yml":     string(rules),
		"go.mod":            fmt.Sprintf("module %s\n\ngo 1.26.0\n\nrequire %s v1.0.0\n\nreplace %[2]s => ./library\n", module, library),
		"library/go.mod":    fmt.Sprintf("module %s\n\ngo 1.26.0\n", library),
		"library/doc.go":    "package library\n",
		folder + "/" + file: probe(filepath.Base(folder), imports),
	}
	for _, target := range targets {
		if target != library {
			files[target+"/doc.go"] = "package " + filepath.Base(target) + "\n"
		}
	}
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func probe(pkg string, imports []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "package %s\n\nimport (\n\t_ \"net/http\"\n", pkg)
	for _, target := range imports {
		fmt.Fprintf(&b, "\t_ %q\n", importPath(target))
	}
	b.WriteString(")\n")
	return b.String()
}

func importPath(target string) string {
	if target == library {
		return library
	}
	return module + "/" + target
}

// refused runs depguard over the module and returns the targets that it found
// fault with, in the order of targets.
func refused(t *testing.T, linter, dir string) []string {
	t.Helper()
	report := filepath.Join(t.TempDir(), "report.json")
	cmd := exec.CommandContext(t.Context(), linter, "run", "--allow-parallel-runners", "--enable-only=depguard",
		"--output.json.path="+report, "./...")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=mod", "GOWORK=off", "GOPROXY=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	runErr := cmd.Run() // it fails whenever it finds something
	out, err := os.ReadFile(report)
	if err != nil {
		t.Fatalf("golangci-lint: %v\n%s", runErr, stderr.String())
	}
	var found struct {
		Issues []struct{ FromLinter, Text string }
	}
	if err := json.Unmarshal(out, &found); err != nil {
		t.Fatalf("golangci-lint's report: %v\n%s", err, out)
	}
	var got []string
	for _, target := range targets {
		for _, issue := range found.Issues {
			if issue.FromLinter != "depguard" {
				t.Fatalf("golangci-lint found something else: %s: %s", issue.FromLinter, issue.Text)
			}
			if strings.Contains(issue.Text, "'"+importPath(target)+"'") {
				got = append(got, target)
				break
			}
		}
	}
	for _, issue := range found.Issues {
		if strings.Contains(issue.Text, "'net/http'") {
			t.Errorf("the standard library is refused: %s", issue.Text)
		}
	}
	return got
}

func stderrOf(err error) []byte {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.Stderr
	}
	return nil
}
