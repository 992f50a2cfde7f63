package bench

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"go.uber.org/goleak"
)

// TestMain is the children too: they run this same program.
func TestMain(m *testing.M) {
	if len(os.Args) < 3 || os.Args[1] != "bench" {
		goleak.VerifyTestMain(m)
		return
	}
	var err error
	switch args := os.Args[2:]; args[0] {
	case FloorCommand:
		err = Floor(context.Background(), args[1], os.Stdin, os.Stdout)
	case ClientsCommand:
		err = Clients(context.Background(), os.Stdin, os.Stdout)
	case ServerCommand:
		err = Serve(context.Background(), os.Stdin, os.Stdout, serve)
	default:
		err = fmt.Errorf("there is no child %q", args)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serve is a server's process.
func serve(ctx context.Context, _ Setup, ready func(Node) error) error {
	node, stop, err := startNode()
	if err != nil {
		return err
	}
	defer stop()
	if err := ready(node); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// options returns Options that measure next to nothing, quickly.
func options(t *testing.T) Options {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var o Options
	o.Defaults()
	o.Program = func(ctx context.Context, args ...string) *exec.Cmd { return exec.CommandContext(ctx, self, args...) }
	o.Log = io.Discard
	o.Dir = t.TempDir()
	return o
}
