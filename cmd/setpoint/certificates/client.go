package certificates

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/pki"
)

// clientDir is where the authority of clients is, if no other folder is named: not
// that of the nodes.
const clientDir = "client-certs"

// clientArguments are the flags that another command with the same folder needs.
func clientArguments(dir string) string {
	if dir == clientDir {
		return ""
	}
	return " --dir " + dir
}

func clientCommand() *cobra.Command {
	var at folders
	var r pki.ClientRequest
	cmd := &cobra.Command{
		Use:   "client NAME…",
		Short: "Make a key and a certificate by which a client proves who it is",
		Long: "Make a key and a certificate for each client: NAME.pem and NAME-key.pem. One that is there is\n" +
			"replaced. The client shows it when it connects, and needs no password and no token.\n\n" +
			"Servers take it if the setting auth names the driver mtls, and auth.mtls.ca_file is the ca.pem\n" +
			"of the folder. The client then is the user mtls:NAME, or mtls:ID with --spiffe, and in the\n" +
			"groups mtls:GROUP if auth.mtls.groups has organizational_unit. It may do what is bound to these,\n" +
			"and nothing before something is.\n\n" +
			"The authority is one for clients alone: 'setpoint cert init --clients' makes it. That of the\n" +
			"nodes is refused here: a client must never be taken for a node, nor a node for a client.",
		Example: "  setpoint cert init --clients\n" +
			"  setpoint cert client deployer --group ci\n" +
			"  setpoint cert client web --spiffe spiffe://example.org/shop/web --life 24h",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			if len(names) > 1 && r.SPIFFE != "" {
				return config.Errorf(config.Invalid, "certificate", "--spiffe", "is for one name; make the others apart")
			}
			issued, err := issueClients(at, r, names)
			if err != nil {
				return err
			}
			return done(cmd, issued, "Give NAME.pem and NAME-key.pem to the client, and name ca.pem of %s in the server's auth.mtls.ca_file.", at.dir)
		},
	}
	cmd.Flags().StringVar(&at.dir, "dir", clientDir, "the `DIR` of the authority for clients")
	cmd.Flags().StringVar(&at.out, "out", "", "the `DIR` of the clients' certificates; that of the authority if empty")
	cmd.Flags().StringArrayVar(&r.Groups, "group", nil, "a `GROUP` that it is in; may be given several times")
	cmd.Flags().StringVar(&r.SPIFFE, "spiffe", "", "its SPIFFE `ID`: spiffe://example.org/web")
	r.Life = pki.ClientLife
	cmd.Flags().Var((*lifeFlag)(&r.Life), "life", lifeUsage)
	return cmd
}

// issueClients makes certificates, all of them or, if one cannot be made, none.
func issueClients(at folders, r pki.ClientRequest, names []string) ([]certificate, error) {
	for i, name := range names {
		if err := checkName(name); err != nil {
			return nil, err
		}
		if slices.Contains(names[:i], name) {
			return nil, config.Errorf(config.Invalid, "certificate", name, "is named twice")
		}
	}
	a, err := loadClients(at)
	if err != nil {
		return nil, err
	}
	materials := make([]pki.Material, len(names))
	for i, name := range names {
		r.Name = name
		if materials[i].Cert, materials[i].Key, err = a.IssueClient(r); err != nil {
			return nil, err
		}
	}
	var issued []certificate
	for i, name := range names {
		files := at.files(name)
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

func loadClients(at folders) (*pki.Authority, error) {
	certFile, keyFile := pki.AuthorityFiles(at.dir)
	a, err := pki.LoadAuthority(certFile, keyFile)
	if config.KindOf(err) == config.NotFound {
		return nil, config.Errorf(config.NotFound, "certificate", at.dir, "there is no authority here; make one with 'setpoint cert init --clients%s', or name its folder with --dir", clientArguments(at.dir))
	}
	return a, err
}
