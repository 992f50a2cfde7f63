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
	_ "time/tzdata" // freezes name time zones, which a small image has none of

	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/cmd/setpoint/agent"
	"github.com/setpointhq/setpoint/cmd/setpoint/backups"
	"github.com/setpointhq/setpoint/cmd/setpoint/certificates"
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

	env := cli.System(version)
	return cli.Run(ctx, root(env, node.Program(os.Args[0])))
}

// root makes the program's commands; program is how people call it.
func root(env cli.Env, program string) *cobra.Command {
	// Drivers of your own go here: drivers.Stores.Add(…).
	drivers := standard.Drivers()

	connect := func(cmd *cobra.Command) (client.Options, error) { return cli.ClientOptions(cmd, env) }

	all := cli.Root(env)
	all.AddGroup(&cobra.Group{ID: "server", Title: "Server:"})
	commands := node.Commands(node.Env{Drivers: drivers, Environ: env.Environ, Program: program, Version: env.Version, Now: clock()})
	commands = append(commands, benchCommands(drivers, env.Version, connect)...)
	commands = append(commands, certificates.Command())
	// Commands of your own go here: commands = append(commands, …).
	for _, c := range commands {
		c.GroupID = "server"
	}
	all.AddCommand(commands...)
	agent.AddTo(all, "releases", agent.Env{Getenv: env.Getenv, Connect: connect, Version: env.Version})
	backups.AddTo(all, "server", backups.Env{Drivers: drivers, Environ: env.Environ, Program: program, Version: env.Version})
	return all
}
