package clusters

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/setpointhq/setpoint/test/program"
)

// binary is the program under test, clockBinary builds the one whose clock can
// be set.
var (
	binary      string
	clockBinary func() (string, error)
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "setpoint-clusters-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if binary, err = program.Find(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	clockBinary = sync.OnceValues(func() (string, error) {
		return program.Build(filepath.Join(dir, "setpoint-clock"), program.BuildOptions{Tags: []string{"faultclock"}})
	})
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}
