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

	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/cmd/setpoint/benchmark"
	"github.com/setpointhq/setpoint/cmd/setpoint/cli"
	"github.com/setpointhq/setpoint/cmd/setpoint/node"
	"github.com/setpointhq/setpoint/standard"
)

// version is stamped in by the build.
var version = "devel"

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the process at once.
	defer context.AfterFunc(ctx, stop)()

	// Drivers of your own go here: drivers.Stores.Add(…).
	drivers := standard.Drivers()

	env := cli.System(version)
	root := cli.Root(env)
	root.AddGroup(&cobra.Group{ID: "server", Title: "Server:"})
	for _, c := range node.Commands(node.Env{
		Drivers: drivers, Environ: os.Environ(), Program: node.Program(os.Args[0]), Version: version,
	}) {
		c.GroupID = "server"
		root.AddCommand(c)
	}
	measure := benchmark.Command(benchmark.Env{
		Drivers: drivers, Version: version,
		Connect: func(cmd *cobra.Command) (client.Options, error) { return cli.ClientOptions(cmd, env) },
	})
	measure.GroupID = "server"
	root.AddCommand(measure)
	// Commands of your own go here: root.AddCommand(…).
	return cli.Run(ctx, root)
}
