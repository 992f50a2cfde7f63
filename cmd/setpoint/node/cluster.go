package node

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/server"
)

// serveFlags are what serve alone takes: how the node meets others.
type serveFlags struct {
	flags
	certDir      string
	tokenFile    string
	passwordFile string
	edge         bool
}

func (f *serveFlags) register(cmd *cobra.Command) {
	f.flags.register(cmd)
	f.add(cmd, "name", "cluster.name", "call this node `NAME`, unique in its cluster")
	f.add(cmd, "cluster", "cluster.members", "found a cluster of `NAME=HOST:PORT,…`, this node among them")
	f.add(cmd, "cluster-addr", "cluster.addr", "listen at `HOST:PORT` for other nodes")
	f.add(cmd, "advertise", "cluster.advertise", "tell other nodes to reach this one at `HOST:PORT`")
	f.add(cmd, "join", "cluster.join", "join the cluster of the node at `HOST:PORT`; several with commas")
	f.add(cmd, "token", "cluster.join_token", "the `TOKEN` that 'setpoint cluster add' printed; others on this machine can see it, unlike --token-file")
	cmd.Flags().StringVar(&f.tokenFile, "token-file", "", "read the token from `FILE`")
	cmd.Flags().StringVar(&f.passwordFile, "admin-password-file", "", "give the user admin the password in `FILE` when it is made, instead of a random one")
	cmd.Flags().StringVar(&f.certDir, "cert-dir", "", "the `DIR` of 'setpoint cert': ca.pem, NAME.pem, NAME-key.pem, and ca-key.pem if this node may let others in")
	cmd.Flags().BoolVar(&f.edge, "edge", false, "hold no data: serve from that of the cluster that it joins")
}

// sources adds what is no setting itself, but stands for some.
func (f *serveFlags) sources(e Env, cmd *cobra.Command) (server.Sources, error) {
	s := f.flags.sources(e, cmd)
	set := func(flag, key, value string) {
		s.Flags = append(s.Flags, server.Flag{Name: flag, Key: key, Value: value})
	}
	if f.edge {
		set("--edge", "cluster.edge", "true")
	}
	if f.tokenFile != "" && cmd.Flags().Changed("token") {
		return s, config.Errorf(config.Invalid, "serve", "--token-file", "is there together with --token; give one of them")
	}
	if f.tokenFile != "" {
		token, err := readSecret("--token-file", f.tokenFile)
		if err != nil {
			return s, err
		}
		set("--token-file", "cluster.join_token", token.Reveal())
	}
	if f.certDir == "" {
		return s, nil
	}
	name, err := cmd.Flags().GetString("name")
	if err != nil {
		return s, err
	}
	if name == "" {
		return s, config.Errorf(config.Invalid, "serve", "--cert-dir", "needs --name, to know which of the certificates is this node's")
	}
	set("--cert-dir", "cluster.ca_file", filepath.Join(f.certDir, "ca.pem"))
	set("--cert-dir", "cluster.cert_file", filepath.Join(f.certDir, name+".pem"))
	set("--cert-dir", "cluster.key_file", filepath.Join(f.certDir, name+"-key.pem"))
	if key := filepath.Join(f.certDir, "ca-key.pem"); exists(key) {
		set("--cert-dir", "cluster.ca_key_file", key)
	}
	return s, nil
}

// readSecret reads a file that holds a secret and nothing else.
func readSecret(flag, file string) (config.Secret, error) {
	if file == "" {
		return config.Secret{}, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return config.Secret{}, config.Errorf(config.Invalid, "serve", flag, "%w", err)
	}
	secret := config.NewSecret(strings.TrimSpace(string(text)))
	if secret.Empty() {
		return secret, config.Errorf(config.Invalid, "serve", flag, "%s is empty", file)
	}
	return secret, nil
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}
