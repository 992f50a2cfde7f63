package node

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/server"
)

// serve runs a node.
func (e Env) serve() *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a node",
		Long: "Run a node until it is told to stop with SIGINT or SIGTERM; it then lets requests and\n" +
			"watches end. A second signal ends it at once.\n\n" +
			"Settings come from the file, over that from SETPOINT_… variables, over that from flags.\n" +
			"'setpoint settings reference' lists them all.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			begun := time.Now()
			s, err := server.LoadSettings(e.Drivers, f.sources(e, cmd))
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			return e.run(cmd.Context(), cmd, s, server.Options{
				ResetAdmin: f.resetAdmin,
				AdminPassword: func(password config.Secret) error {
					passwordBox(out, password)
					return nil
				},
				Ready: func(n server.Started) {
					fmt.Fprintf(out, "Setpoint %s serves %s (started in %s)\n", e.Version, n.URL, since(begun))
					if n.SelfSigned {
						fmt.Fprintf(out, "Certificate: made by this node, SHA-256 fingerprint %s\n", n.Fingerprint)
					}
					fmt.Fprintf(out, "Log in:      %s\n", e.loginLine(n))
				},
			})
		},
	}
	f.register(cmd)
	return cmd
}
