package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// binary is the program under test.
var binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "setpoint-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if binary, err = findBinary(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// findBinary takes the one that SETPOINT_BIN names, else builds one in dir.
func findBinary(dir string) (string, error) {
	if given := os.Getenv("SETPOINT_BIN"); given != "" {
		if _, err := os.Stat(given); err != nil {
			return "", fmt.Errorf("SETPOINT_BIN: %w", err)
		}
		return filepath.Abs(given)
	}
	out := filepath.Join(dir, "setpoint")
	build := exec.Command("go", "build", "-o", out, "github.com/setpointhq/setpoint/cmd/setpoint")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, text)
	}
	return out, nil
}
