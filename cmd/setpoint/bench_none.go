//go:build no_bench

package main

import (
	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/server"
)

func benchCommands(*server.Drivers, string, func(*cobra.Command) (client.Options, error)) []*cobra.Command {
	return nil
}
