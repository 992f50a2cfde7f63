//go:build !no_bench

package main

import (
	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/cmd/setpoint/benchmark"
	"github.com/setpointhq/setpoint/server"
)

// benchCommands measure a server. They bring the engine and clients of every
// protocol along, whatever drivers the build has.
func benchCommands(drivers *server.Drivers, version string, connect func(*cobra.Command) (client.Options, error)) []*cobra.Command {
	return []*cobra.Command{benchmark.Command(benchmark.Env{Drivers: drivers, Version: version, Connect: connect})}
}
