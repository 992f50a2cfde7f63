package node

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/server"
)

// devFlags are what dev alone takes.
type devFlags struct {
	flags
	ephemeral bool
	noTLS     bool
}

// passwordFile is where dev keeps the password of the user admin, in the data
// directory.
const passwordFile = "admin-password"

// dev runs a node to try things out with.
func (e Env) dev() *cobra.Command {
	var f devFlags
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a node on this machine to try things out",
		Long: "Run a node that only this machine reaches, and say how to log in. Its data is kept in\n" +
			"data/dev, or in --data-dir, and thrown away at the end with --ephemeral.\n\n" +
			"It is a whole node: TLS is on, the password is random, rights are checked. What is\n" +
			"looser than with 'serve' it says when it starts.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return e.runDev(cmd, f) },
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&f.ephemeral, "ephemeral", false, "throw the data away at the end")
	cmd.Flags().BoolVar(&f.noTLS, "no-tls", false, "speak plain HTTP")
	cmd.MarkFlagsMutuallyExclusive("ephemeral", "data-dir")
	return cmd
}

func (e Env) runDev(cmd *cobra.Command, f devFlags) (err error) {
	begun := time.Now()
	from := f.sources(e, cmd)
	from.Presets = []server.Flag{
		{Name: "setpoint dev", Key: "data_dir", Value: filepath.Join("data", "dev")},
		{Name: "setpoint dev", Key: "http.addr", Value: "127.0.0.1:7400"},
		{Name: "setpoint dev", Key: "log.level", Value: "warn"},
		{Name: "setpoint dev", Key: "protocols", Value: strings.Join(e.Drivers.Protocols.Names(), ",")},
	}
	if f.noTLS {
		from.Flags = append(from.Flags, server.Flag{Name: "--no-tls", Key: "tls.enabled", Value: "false"})
	}
	if f.ephemeral {
		dir, err := os.MkdirTemp("", "setpoint-dev-")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		from.Flags = append(from.Flags, server.Flag{Name: "--ephemeral", Key: "data_dir", Value: dir})
		if slices.Contains(e.Drivers.Stores.Names(), "etcd") {
			from.Presets = append(from.Presets, server.Flag{Name: "--ephemeral", Key: "store.etcd.unsafe_no_fsync", Value: "true"})
		}
	}
	s, err := server.LoadSettings(e.Drivers, from)
	if err != nil {
		return err
	}
	for key, addr := range s.Addresses() {
		if !server.Loopback(addr) {
			return config.Errorf(config.Invalid, "dev", key, "%q can be reached from other machines; 'setpoint dev' listens on 127.0.0.1 only, 'setpoint serve' anywhere", addr)
		}
	}
	kept := filepath.Join(s.DataDir, passwordFile)
	return e.run(cmd.Context(), cmd, s, server.Options{
		ResetAdmin:    f.resetAdmin,
		AdminPassword: func(password config.Secret) error { return keepPassword(kept, password) },
		Ready: func(n server.Started) {
			e.greet(cmd.OutOrStdout(), n, devState{dir: s.DataDir, kept: kept, flags: f, took: since(begun)})
		},
	})
}

// keepPassword writes the password where its owner alone can read it.
func keepPassword(name string, password config.Secret) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, password.Reveal())
	return errors.Join(err, f.Chmod(0o600), f.Close())
}

// devState is what a dev node says of itself.
type devState struct {
	dir, kept, took string
	flags           devFlags
}

// greet says what runs, what is loose about it, and what to type next.
func (e Env) greet(w io.Writer, n server.Started, s devState) {
	_, err := os.Stat(s.kept)
	known := err == nil
	lines := []string{
		"Setpoint " + e.Version + " for trying things out: " + n.URL + " (started in " + s.took + ")",
		"",
		"Only this machine reaches it. Looser than 'setpoint serve':",
	}
	if known {
		lines = append(lines, "  - the password of admin is kept in "+s.kept)
	}
	if s.flags.noTLS {
		lines = append(lines, "  - no TLS: other users of this machine may listen in")
	}
	if s.flags.ephemeral {
		lines = append(lines, "  - the data is thrown away at the end, and not flushed to disk")
	} else {
		lines = append(lines, "  - nothing else: data is safe in "+s.dir)
	}
	box(w, lines...)
	fmt.Fprintf(w, "\nLog in:\n\n    %s", e.loginLine(n))
	if known {
		fmt.Fprintf(w, " --password-stdin < %s\n\n", s.kept)
		fmt.Fprintf(w, "With curl:\n\n    curl %s -u \"admin:$(cat %s)\" %s/v1/auth/whoami\n\n", curlTrust(n, s.dir), s.kept, n.URL)
	} else {
		fmt.Fprintf(w, "\n\nThe password is not kept in %s; with --reset-admin a new one is made.\n\n", s.kept)
	}
	fmt.Fprintf(w, "To look around: %s/docs", n.URL)
	if n.Admin != "" {
		fmt.Fprintf(w, " and %s/metrics", n.Admin)
	}
	fmt.Fprint(w, "\nStop it with Ctrl-C.\n")
}

// curlTrust makes curl trust the node's own certificate.
func curlTrust(n server.Started, dir string) string {
	if !n.SelfSigned || n.Fingerprint == "" {
		return "-sS"
	}
	return "-sS --cacert " + filepath.Join(dir, "tls", "cert.pem")
}
