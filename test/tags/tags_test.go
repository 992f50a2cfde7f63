// Package tags proves that the build tags which leave drivers out do so: what a
// tag names is in no binary that is built with it, and all that is left compiles.
package tags

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	module = "github.com/setpointhq/setpoint/"
	main   = module + "cmd/setpoint"
)

var (
	constraint = regexp.MustCompile(`(?m)^//go:build !(no_\w+)$`)
	imported   = regexp.MustCompile(`"` + regexp.QuoteMeta(module) + `((?:store|format|protocol|auth|cache|audit|seal|validate)/\w+)"`)
)

// optional maps the tags of package standard to the driver that each leaves out.
func optional(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../../standard/*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if tag := constraint.FindSubmatch(text); tag != nil {
			driver := imported.FindSubmatch(text)
			if driver == nil {
				t.Fatalf("%s has the tag %s, and no driver", name, tag[1])
			}
			found[string(tag[1])] = string(driver[1])
		}
	}
	return found
}

func run(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// dependencies lists the packages of the binary that is built with the tags.
func dependencies(t *testing.T, tags ...string) []string {
	t.Helper()
	return strings.Fields(run(t, "list", "-deps", "-tags", strings.Join(tags, ","), main))
}

func TestATagLeavesItsDriverOut(t *testing.T) {
	drivers := optional(t)
	for _, tag := range []string{"no_rest", "no_ws", "no_grpc", "no_graphql", "no_etcd", "no_yaml", "no_toml", "no_jwt", "no_oidc", "no_ldap", "no_mtls", "no_k8s", "no_syslog", "no_webhook", "no_kafka", "no_otel"} {
		if drivers[tag] == "" {
			t.Errorf("want the tag %s", tag)
		}
	}
	whole := dependencies(t)
	for tag, driver := range drivers {
		// The benchmarks measure the engine and every protocol, and bring them along.
		left := dependencies(t, tag, "no_bench")
		if !slices.Contains(whole, module+driver) {
			t.Errorf("want %s in the binary without tags", driver)
		}
		if slices.Contains(left, module+driver) {
			t.Errorf("want %s left out by %s", driver, tag)
		}
	}
}

func TestTheBinaryWithoutAllOfThemCompiles(t *testing.T) {
	tags := []string{"no_bench"}
	for tag := range optional(t) {
		tags = append(tags, tag)
	}
	slices.Sort(tags)
	run(t, "build", "-tags", strings.Join(tags, ","), "-o", filepath.Join(t.TempDir(), "setpoint"), main)
}
