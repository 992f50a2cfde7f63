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
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a node, alone or in a cluster",
		Long: "Run a node until it is told to stop with SIGINT or SIGTERM; it then lets requests and\n" +
			"watches end. A second signal ends it at once.\n\n" +
			"A cluster is founded by starting each of its nodes with the same --cluster, a --name of its\n" +
			"own in it, and certificates ('setpoint cert'). A node joins a running cluster with --join and\n" +
			"the token that 'setpoint cluster add' prints; with --edge it holds no data of its own.\n\n" +
			"Settings come from the file, over that from SETPOINT_… variables, over that from flags.\n" +
			"'setpoint settings reference' lists them all.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			begun := time.Now()
			from, err := f.sources(e, cmd)
			if err != nil {
				return err
			}
			s, err := server.LoadSettings(e.Drivers, from)
			if err != nil {
				return err
			}
			password, err := readSecret("--admin-password-file", f.passwordFile)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			return e.run(cmd.Context(), cmd, s, server.Options{
				ResetAdmin: f.resetAdmin, InitialPassword: password,
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
