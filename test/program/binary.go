package program

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Find returns the program under test: the one that SETPOINT_BIN names, else
// one that is built in dir.
func Find(dir string) (string, error) {
	given := os.Getenv("SETPOINT_BIN")
	if given == "" {
		return Build(filepath.Join(dir, "setpoint"), BuildOptions{})
	}
	if _, err := os.Stat(given); err != nil { //nolint:gosec // whoever runs the tests names it
		return "", fmt.Errorf("SETPOINT_BIN: %w", err)
	}
	return filepath.Abs(given)
}

// BuildOptions say how a program differs from the usual one.
type BuildOptions struct {
	Version string   // that it says of itself
	Tags    []string // build tags
}

// Build builds the program under test at out, which it returns.
func Build(out string, o BuildOptions) (string, error) {
	args := []string{"build", "-trimpath", "-o", out}
	if o.Version != "" {
		args = append(args, "-ldflags", "-s -w -X main.version="+o.Version)
	}
	if len(o.Tags) > 0 {
		args = append(args, "-tags", strings.Join(o.Tags, ","))
	}
	build := exec.CommandContext(context.Background(), "go", append(args, "github.com/setpointhq/setpoint/cmd/setpoint")...) //nolint:gosec // the arguments are the tests' own
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, text)
	}
	return out, nil
}
