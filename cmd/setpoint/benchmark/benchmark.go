// Package benchmark holds the command bench, which measures a server: one that
// it starts for the purpose, or one that runs.
package benchmark

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/bench"
	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/server"
)

// Env is what the command works with.
type Env struct {
	// Drivers are what the server to be measured is made of.
	Drivers *server.Drivers
	// Connect returns how the other commands reach the server that --endpoint names.
	Connect func(cmd *cobra.Command) (client.Options, error)
	Version string
}

// Command returns the command, for a root to add.
func Command(e Env) *cobra.Command {
	var o bench.Options
	o.Defaults()
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure a server beside what is the least that it could cost",
		Long: "Measure reads, publishes and fan-out over every protocol, each in turns with its floor: a bare\n" +
			"TLS handler that writes the same bytes, the engine's bare transaction, a bare TLS write to as\n" +
			"many sockets; the switch of a launch; what watchers cost whom they do not concern; what it\n" +
			"costs to resolve who gets which release; and etcd's own reads and writes.\n\n" +
			"These are measured only if --scenario names them: " + strings.Join(rare(), ", ") + ".\n\n" +
			"Without --endpoint it starts a server for the purpose, whose settings are those of 'serve'\n" +
			"with every protocol on and its data in --dir, flushed to disk as always. With --endpoint it measures that server,\n" +
			"as who you are logged in there: it makes a tenant bench-… and removes it in the end. That\n" +
			"loads the server as much as it can bear.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return e.run(cmd, o) },
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.Scenarios, "scenario", o.Scenarios, "measure `WHAT`: "+strings.Join(bench.Scenarios(), ", "))
	f.IntVar(&o.Rounds, "rounds", o.Rounds, "rounds of each subject")
	f.DurationVar(&o.Duration, "duration", o.Duration, "how long a round takes")
	f.IntVar(&o.Connections, "connections", o.Connections, "connections that read")
	f.IntVar(&o.Writers, "writers", o.Writers, "writers, each with a config of its own")
	f.IntVar(&o.Subscribers, "subscribers", o.Subscribers, fmt.Sprintf("connections that watch; of idle-ws %d, unless this is given", o.Idle))
	f.IntVar(&o.Publishes, "publishes", o.Publishes, "events that are sent to the subscribers in a round; so many switches of a launch, and back")
	f.IntVar(&o.Instances, "instances", o.Instances, "instances that follow a launch which is switched")
	f.DurationVar(&o.Stall, "stall", o.Stall, "how long subscribers read nothing in the scenario never-reading, over each protocol in turn")
	f.StringVar(&o.Protocol, "protocol", o.Protocol, "`PROTOCOL` of those who watch in the scenario beside: "+strings.Join(bench.Protocols(), ", "))
	f.StringVar(&o.Dir, "dir", o.Dir, "keep data in `DIR` for the time; its disk is measured too")
	f.StringVar(&o.ProfileDir, "profile", "", "write CPU profiles of the server to `DIR`")
	f.StringVar(&o.Admin, "admin", "", "with --endpoint and --profile: the `URL` of the server's admin port")
	f.StringVar(&o.GRPC, "grpc", "", "with --endpoint: `HOST:PORT` of the server's own port for gRPC; without it gRPC is asked for at the HTTP port")
	cmd.AddCommand(e.floor(), e.server(), e.clients())
	return cmd
}

// rare lists what is measured only if it is asked for.
func rare() []string {
	return slices.DeleteFunc(bench.Scenarios(), func(s string) bool { return slices.Contains(bench.UsualScenarios(), s) })
}

func (e Env) run(cmd *cobra.Command, o bench.Options) error {
	if cmd.Flags().Changed("subscribers") {
		o.Idle = o.Subscribers
	}
	output, err := cmd.Flags().GetString("output")
	if err != nil {
		return err
	}
	if output != "table" && output != "json" {
		return config.Errorf(config.Invalid, "bench", "", "-o %s: want table or json", output)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	o.Program = func(ctx context.Context, args ...string) *exec.Cmd {
		return exec.CommandContext(ctx, self, args...) //nolint:gosec // this program, with the arguments that it gives itself
	}
	o.Log = cmd.ErrOrStderr()
	// Only a server that was named is loaded, never one that happens to be
	// logged in to.
	if cmd.Flags().Changed("endpoint") {
		connect, err := e.Connect(cmd)
		if err != nil {
			return err
		}
		o.Server = &connect
		if !cmd.Flags().Changed("scenario") {
			o.Scenarios = bench.RunningScenarios()
		}
	}
	report, err := bench.Run(cmd.Context(), o)
	if err != nil {
		return err
	}
	if output == "table" {
		return report.Write(cmd.OutOrStdout())
	}
	enc := json.NewEncoder(cmd.OutOrStdout())
	enc.SetIndent("", "  ")
	return enc.Encode(report)
}

// floor is a process that bench starts of itself.
func (e Env) floor() *cobra.Command {
	return &cobra.Command{
		Use: bench.FloorCommand + " NAME", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return bench.Floor(cmd.Context(), args[0], cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}

// clients is a process of many subscribers, which bench starts of itself.
func (e Env) clients() *cobra.Command {
	return &cobra.Command{
		Use: bench.ClientsCommand, Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return bench.Clients(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}

// server is the server that bench starts.
func (e Env) server() *cobra.Command {
	return &cobra.Command{
		Use: bench.ServerCommand, Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return bench.Serve(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), func(ctx context.Context, setup bench.Setup, ready func(bench.Node) error) error {
				return e.serve(ctx, cmd, setup, ready)
			})
		},
	}
}

// serve runs a node with the settings that serve has by default: the
// environment has no part in it, so that it is the same everywhere.
func (e Env) serve(ctx context.Context, cmd *cobra.Command, setup bench.Setup, ready func(bench.Node) error) error {
	spoken := e.spoken(setup)
	values := map[string]string{
		"data_dir": setup.Dir, "http.addr": "127.0.0.1:0", "admin.addr": "127.0.0.1:0", "log.level": "warn",
	}
	if slices.Contains(spoken, "grpc") {
		values["protocols.grpc.port.addr"] = setup.GRPC
	} else {
		setup.GRPC = ""
	}
	if setup.JWKS != "" {
		values["auth.jwt.name"], values["auth.jwt.issuer"], values["auth.jwt.audiences"] = bench.Issuer, bench.Issuer, bench.Issuer
		values["auth.jwt.jwks_file"] = setup.JWKS
	}
	if c := setup.Cluster; c != nil {
		values["cluster.name"] = c.Name
		values["cluster.members"] = strings.Join(c.Members, ",")
		values["cluster.ca_file"] = filepath.Join(c.CertDir, "ca.pem")
		values["cluster.cert_file"] = filepath.Join(c.CertDir, c.Name+".pem")
		values["cluster.key_file"] = filepath.Join(c.CertDir, c.Name+"-key.pem")
	}
	var from server.Sources
	// What is spoken decides which other settings mean anything.
	from.Presets = append(from.Presets, server.Flag{Name: "setpoint bench", Key: "protocols", Value: strings.Join(spoken, ",")})
	if setup.JWKS != "" {
		from.Presets = append(from.Presets, server.Flag{Name: "setpoint bench", Key: "auth", Value: "token,basic,jwt"})
	}
	for key, value := range values {
		from.Presets = append(from.Presets, server.Flag{Name: "setpoint bench", Key: key, Value: value})
	}
	settings, err := server.LoadSettings(e.Drivers, from)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var password config.Secret
	var unheard error
	err = server.Run(ctx, settings, server.Options{
		Version: e.Version, Log: server.NewLog(cmd.ErrOrStderr(), settings.Log),
		AdminPassword: func(p config.Secret) error {
			password = p
			return nil
		},
		Ready: func(s server.Started) {
			node := bench.Node{
				URL: s.URL, Admin: s.Admin, Fingerprint: s.Fingerprint, Username: "admin", Password: password.Reveal(), GRPC: setup.GRPC,
			}
			if unheard = ready(node); unheard != nil {
				cancel()
			}
		},
	})
	return errors.Join(err, unheard)
}

// spoken lists the protocols that the server is to speak and this build has.
func (e Env) spoken(setup bench.Setup) []string {
	out := []string{"rest"}
	for _, name := range setup.Protocols {
		if slices.Contains(e.Drivers.Protocols.Names(), name) {
			out = append(out, name)
		}
	}
	return out
}
