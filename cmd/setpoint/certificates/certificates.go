// Package certificates holds the command cert, which makes and renews the
// certificates by which nodes know each other, and those of clients. It works on files alone and
// speaks to no server.
package certificates

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/pki"
)

// Command returns the command, for a root to add.
func Command() *cobra.Command {
	group := &cobra.Command{
		Use:   "cert",
		Short: "Make, renew and look at the certificates of nodes and clients",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	group.AddCommand(initCommand(), issueCommand(), rotateCommand(), clientCommand(), showCommand())
	return group
}

// folders are where files lie.
type folders struct{ dir, out string }

func (f *folders) register(cmd *cobra.Command) {
	registerDir(cmd, &f.dir)
	cmd.Flags().StringVar(&f.out, "out", "", "the `DIR` of the nodes' certificates; that of the authority if empty")
}

func registerDir(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "dir", "certs", "the `DIR` of the authority")
}

// files are those of a node.
func (f folders) files(name string) pki.Files {
	if f.out == "" {
		return pki.FilesIn(f.dir, name)
	}
	return pki.FilesIn(f.out, name)
}

// arguments are the flags that another command with the same folders needs.
func (f folders) arguments() string {
	text := ""
	if f.dir != "certs" {
		text += " --dir " + f.dir
	}
	if f.out != "" {
		text += " --out " + f.out
	}
	return text
}

func (f folders) load() (*pki.Authority, error) {
	certFile, keyFile := pki.AuthorityFiles(f.dir)
	a, err := pki.LoadAuthority(certFile, keyFile)
	if config.KindOf(err) == config.NotFound {
		return nil, config.Errorf(config.NotFound, "certificate", f.dir, "there is no authority here; make one with 'setpoint cert init --dir %s', or name its folder with --dir", f.dir)
	}
	return a, err
}

// lifeFlag is a flag that takes how long a certificate is to last.
type lifeFlag time.Duration

// Set reads the flag.
func (l *lifeFlag) Set(text string) error {
	life, err := pki.ParseLife(text)
	if err != nil {
		return config.AsError(err).Unwrap()
	}
	*l = lifeFlag(life)
	return nil
}

func (l *lifeFlag) String() string {
	if *l == 0 {
		return ""
	}
	return pki.FormatLife(time.Duration(*l))
}

// Type is what the help calls it.
func (*lifeFlag) Type() string { return "LIFE" }

const lifeUsage = "how long it lasts, as `LIFE`: 90d, 1y, 12h"

func initCommand() *cobra.Command {
	var dir string
	var o pki.Options
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make the authority that vouches for a cluster's nodes, or for clients",
		Long: "Make the authority that vouches for a cluster's nodes: ca.pem, which every node gets, and\n" +
			"ca-key.pem, its key. Who has the key can let nodes in: keep it from nodes that do not let\n" +
			"others join. An authority that is there is never overwritten.\n\n" +
			"With --clients it makes one that vouches for clients, in the folder " + clientDir + " if no other is\n" +
			"named. The two are never the same: a node's certificate is no client's, nor the other way\n" +
			"round. See 'setpoint cert client --help'.",
		Example: "  setpoint cert init\n  setpoint cert issue n1 n2 n3\n\n  setpoint cert init --clients\n  setpoint cert client deployer",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Clients && !cmd.Flags().Changed("dir") {
				dir = clientDir
			}
			a, err := pki.CreateAuthority(dir, o)
			if err != nil {
				return err
			}
			certFile, keyFile := pki.AuthorityFiles(dir)
			if o.Clients {
				return done(cmd, []certificate{describe(certFile, a.Certificate())},
					"Made the authority in %s and %s.\n\nNext: setpoint cert client NAME…%s", certFile, keyFile, clientArguments(dir))
			}
			return done(cmd, []certificate{describe(certFile, a.Certificate())},
				"Made the authority in %s and %s.\n\nNext: setpoint cert issue NAME=HOST…%s", certFile, keyFile, folders{dir: dir}.arguments())
		},
	}
	registerDir(cmd, &dir)
	cmd.Flags().StringVar(&o.Name, "name", "", "call it `NAME`; \"setpoint\" if empty, or with --clients \"clients\"")
	cmd.Flags().BoolVar(&o.Clients, "clients", false, "make an authority for clients, in place of one for nodes")
	o.Life = pki.AuthorityLife
	cmd.Flags().Var((*lifeFlag)(&o.Life), "life", lifeUsage)
	return cmd
}

func issueCommand() *cobra.Command {
	var at folders
	var hosts []string
	life := pki.NodeLife
	cmd := &cobra.Command{
		Use:   "issue NAME[=HOST[,HOST…]]…",
		Short: "Make a key and a certificate for each node",
		Long: "Make a key and a certificate for each node: NAME.pem and NAME-key.pem. One that is there is\n" +
			"replaced; a node that uses the files takes them in by itself.\n\n" +
			"A certificate is good for its node's name and for the hosts given, DNS names or IP addresses,\n" +
			"by which other nodes reach it. Without any it is good for the name and this machine:\n" +
			"localhost, 127.0.0.1 and ::1. A host may begin with '*.'; a port behind it is left out.\n\n" +
			"With --out, DIR gets ca.pem as well, so that it is all that the node needs:\n" +
			"'setpoint serve --cert-dir DIR'.",
		Example: "  setpoint cert issue n1 n2 n3                               # three nodes on this machine\n" +
			"  setpoint cert issue n1=10.0.0.1 n2=10.0.0.2 n3=10.0.0.3    # on three machines\n" +
			"  setpoint cert issue n1 --host n1.example.org --host 10.0.0.1 --out n1-certs",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			orders, err := parseOrders(args, hosts, life)
			if err != nil {
				return err
			}
			a, err := at.load()
			if err != nil {
				return err
			}
			issued, err := at.issue(a, orders)
			if err != nil {
				return err
			}
			return done(cmd, issued, "Copy ca.pem, NAME.pem and NAME-key.pem to each node, and ca-key.pem only to nodes that let others join.")
		},
	}
	at.register(cmd)
	cmd.Flags().StringArrayVar(&hosts, "host", nil, "a `HOST` by which other nodes reach the one named; may be given several times")
	cmd.Flags().Var((*lifeFlag)(&life), "life", lifeUsage)
	return cmd
}

// order is a certificate to issue, and the name of its files.
type order struct {
	file string
	pki.Request
}

// parseOrders reads what to issue: NAME, or NAME=HOST,HOST.
func parseOrders(args, hosts []string, life time.Duration) ([]order, error) {
	if len(args) > 1 && len(hosts) > 0 {
		return nil, config.Errorf(config.Invalid, "certificate", "--host", "is for one name; for several write NAME=HOST")
	}
	var all []order
	for _, arg := range args {
		name, list, given := strings.Cut(arg, "=")
		if err := checkName(name); err != nil {
			return nil, err
		}
		if slices.ContainsFunc(all, func(other order) bool { return other.file == name }) {
			return nil, config.Errorf(config.Invalid, "certificate", name, "is named twice; write its hosts together: %s=HOST,HOST", name)
		}
		o := order{name, pki.Request{Name: name, Life: life}}
		for _, host := range hosts {
			o.Hosts = append(o.Hosts, withoutPort(host))
		}
		if given {
			for host := range strings.SplitSeq(list, ",") {
				o.Hosts = append(o.Hosts, withoutPort(host))
			}
		}
		if len(o.Hosts) == 0 {
			o.Hosts = []string{"localhost", "127.0.0.1", "::1"}
		}
		all = append(all, o)
	}
	return all, nil
}

// withoutPort lets people copy what they gave the nodes.
func withoutPort(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return host
}

// checkName refuses names whose files would be others' as well.
func checkName(name string) error {
	if err := pki.CheckName(name); err != nil {
		return err
	}
	if name == "ca" || strings.HasSuffix(name, keySuffix) {
		return config.Errorf(config.Invalid, "certificate", name, "cannot be a node's name, nor a client's: its files would be those of an authority or a key")
	}
	return nil
}

const keySuffix = "-key"

// issue makes certificates, all of them or, if one cannot be made, none.
func (f folders) issue(a *pki.Authority, orders []order) ([]certificate, error) {
	materials := make([]pki.Material, len(orders))
	for i, o := range orders {
		m := &materials[i]
		var err error
		if m.Cert, m.Key, err = a.Issue(o.Request); err != nil {
			return nil, err
		}
		if f.out != "" && filepath.Clean(f.out) != filepath.Clean(f.dir) {
			m.CA = a.Bundle()
		}
	}
	var issued []certificate
	for i, o := range orders {
		files := f.files(o.file)
		if err := pki.WriteNode(files, materials[i]); err != nil {
			return nil, fmt.Errorf("write %s: %w", files.Cert, err)
		}
		certs, err := pki.ParseCertificates(materials[i].Cert)
		if err != nil {
			return nil, err
		}
		issued = append(issued, describe(files.Cert, certs[0]))
	}
	return issued, nil
}

// names lists the nodes whose certificates and keys are there.
func (f folders) names() ([]string, error) {
	dir := f.out
	if dir == "" {
		dir = f.dir
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		name, isKey := strings.CutSuffix(e.Name(), keySuffix+".pem")
		if _, err := os.Stat(f.files(name).Cert); isKey && name != "ca" && err == nil {
			names = append(names, name)
		}
	}
	return names, nil
}
