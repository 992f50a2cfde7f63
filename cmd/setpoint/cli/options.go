package cli

import (
	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/client"
)

// ClientOptions returns how the client commands reach their server, by flags,
// environment and logins: for commands of your own below Root.
func ClientOptions(cmd *cobra.Command, env Env) (client.Options, error) {
	a := &app{env: env}
	flags := cmd.Root().PersistentFlags()
	for name, value := range map[string]*string{
		"endpoint": &a.flags.endpoint, "context": &a.flags.context, "token-file": &a.flags.tokenFile,
	} {
		var err error
		if *value, err = flags.GetString(name); err != nil {
			return client.Options{}, err
		}
	}
	var err error
	if a.flags.timeout, err = flags.GetDuration("timeout"); err != nil {
		return client.Options{}, err
	}
	s, err := a.target()
	if err != nil {
		return client.Options{}, err
	}
	return a.options(s), nil
}
