// Command setpoint is the whole of Setpoint in one binary: the server, and the
// client commands for people and pipelines.
//
// It is also the template for a binary of your own: copy this file, import
// your drivers, and add them, or commands, where this one says so.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/setpointhq/setpoint/cmd/setpoint/cli"
)

// version is stamped in by the build.
var version = "devel"

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the process at once.
	defer context.AfterFunc(ctx, stop)()

	root := cli.Root(cli.System(version))
	// Commands of your own go here: root.AddCommand(…).
	return cli.Run(ctx, root)
}
