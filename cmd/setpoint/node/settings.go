package node

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/server"
)

// settings holds the commands that look after settings.
func (e Env) settings() *cobra.Command {
	group := &cobra.Command{
		Use:   "settings",
		Short: "Check, print and describe a node's settings",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	load := func(args []string) (*server.Settings, error) {
		file := ""
		if len(args) == 1 {
			file = args[0]
		}
		return server.LoadSettings(e.Drivers, server.Sources{File: e.file(file), Environ: e.Environ})
	}
	group.AddCommand(
		&cobra.Command{
			Use:   "check [FILE]",
			Short: "Report every mistake in a settings file and in SETPOINT_… variables",
			Args:  cobra.MaximumNArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				if _, err := load(args); err != nil {
					return err
				}
				fmt.Fprintln(cmd.OutOrStdout(), "the settings are good")
				return nil
			},
		},
		&cobra.Command{
			Use:   "print [FILE]",
			Short: "Print the settings in force, each with where it came from",
			Args:  cobra.MaximumNArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				s, err := load(args)
				if err != nil {
					return err
				}
				return s.Print(cmd.OutOrStdout())
			},
		},
		&cobra.Command{
			Use:   "reference",
			Short: "Print what can be set, as Markdown",
			Args:  cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				fmt.Fprintln(cmd.OutOrStdout(), "# Settings")
				return server.Reference(cmd.OutOrStdout(), e.Drivers)
			},
		},
	)
	return group
}
