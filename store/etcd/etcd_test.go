package etcd_test

import (
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/setpointhq/setpoint/store"
	"github.com/setpointhq/setpoint/store/etcd"
	"github.com/setpointhq/setpoint/store/storetest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		writeUntilKilled(dir)
	}
	// Most tests wait for disks and elections, and not for the processor.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// testLog shows the engine's warnings with the test that they belong to.
func testLog(tb testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(tb.Output(), nil))
}

// settings are the defaults with the data in a folder of the test.
func settings(tb testing.TB) etcd.Settings {
	var c etcd.Settings
	c.Defaults()
	c.DataDir = filepath.Join(tb.TempDir(), "etcd")
	return c
}

func openEmbedded(tb testing.TB) store.Store {
	tb.Helper()
	c := settings(tb)
	s, err := c.Open(tb.Context(), store.Env{Log: testLog(tb)})
	if err != nil {
		tb.Fatalf("open: %v", err)
	}
	return s
}

func TestEmbeddedConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, openEmbedded)
}

func BenchmarkEmbedded(b *testing.B) { storetest.Bench(b, openEmbedded) }
