package certificates

import (
	"crypto/x509"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/pki"
)

// rotation is what the command rotate was told.
type rotation struct {
	folders
	life              time.Duration
	name              string
	authority, retire bool
}

func rotateCommand() *cobra.Command {
	var r rotation
	cmd := &cobra.Command{
		Use:   "rotate [NAME…]",
		Short: "Renew certificates, or change the authority, while the nodes run",
		Long: "Make new keys and certificates for the nodes named, or for all that have theirs in the folder.\n" +
			"Their hosts stay, and how long they last, unless --life says otherwise. Copy the files to the\n" +
			"nodes: each takes them in within seconds, while it runs.\n\n" +
			"A new authority comes in four steps, at any pace, and no step interrupts anything:\n\n" +
			"  1. setpoint cert rotate --authority   makes it. ca.pem now holds the new one, the old one, and\n" +
			"                                        the old one's word for the new: whoever trusts the old one\n" +
			"                                        takes certificates of the new one too.\n" +
			"  2. setpoint cert rotate               gives the nodes certificates of the new one. Copy ca.pem,\n" +
			"                                        NAME.pem and NAME-key.pem to each node, and ca-key.pem to\n" +
			"                                        those that have it, or nobody can join through them.\n" +
			"  3. Restart the nodes, one after the other: the engine reads ca.pem at its start only. Issue\n" +
			"     new certificates for nodes that joined by a token, too: 'setpoint cert issue NAME=HOST'.\n" +
			"  4. setpoint cert rotate --retire      takes the old one out of ca.pem. Copy ca.pem to each node,\n" +
			"                                        and restart them once more, so that the engine forgets it.\n\n" +
			"Until then certificates of the old authority are good: if its key was stolen, go through the\n" +
			"steps at once. Join tokens made before step 4 are of no use after it.",
		Example: "  setpoint cert rotate\n  setpoint cert rotate n1 --life 90d\n  setpoint cert rotate --authority",
		RunE:    r.run,
	}
	r.register(cmd)
	cmd.Flags().Var((*lifeFlag)(&r.life), "life", "how long the new one lasts, as `LIFE`: 90d, 1y, 12h; as long as the old one if empty")
	cmd.Flags().BoolVar(&r.authority, "authority", false, "make a new authority, which the old one vouches for")
	cmd.Flags().StringVar(&r.name, "name", "", "with --authority: call the new one `NAME`; as the old one if empty")
	cmd.Flags().BoolVar(&r.retire, "retire", false, "take the old authority out of ca.pem")
	cmd.MarkFlagsMutuallyExclusive("authority", "retire")
	return cmd
}

func (r *rotation) run(cmd *cobra.Command, names []string) error {
	switch {
	case (r.authority || r.retire) && len(names) > 0:
		return config.Errorf(config.Invalid, "certificate", names[0], "--authority and --retire are about the authority and take no names of nodes")
	case r.name != "" && !r.authority:
		return config.Errorf(config.Invalid, "certificate", "--name", "goes with --authority")
	case r.life != 0 && r.retire:
		return config.Errorf(config.Invalid, "certificate", "--life", "does not go with --retire, which makes no certificate")
	}
	a, err := r.load()
	if err != nil {
		return err
	}
	switch {
	case r.authority:
		return r.changeAuthority(cmd)
	case r.retire:
		return r.retireAuthority(cmd)
	default:
		return r.renew(cmd, a, names)
	}
}

// renew issues anew what was issued before.
func (r *rotation) renew(cmd *cobra.Command, a *pki.Authority, names []string) error {
	if len(names) == 0 {
		var err error
		if names, err = r.names(); err != nil {
			return err
		}
		if len(names) == 0 {
			return config.Errorf(config.NotFound, "certificate", r.files("NAME").Cert, "there is none to renew; issue one with 'setpoint cert issue NAME=HOST', or name the folder with --out")
		}
	}
	var orders []order
	for _, name := range names {
		if err := checkName(name); err != nil {
			return err
		}
		old, err := r.issued(a, name)
		if err != nil {
			return err
		}
		life := r.life
		if life == 0 {
			life = pki.LifeOf(old)
		}
		// In a data folder the files are called node whatever the node's name is.
		orders = append(orders, order{name, pki.Request{Name: old.Subject.CommonName, Hosts: pki.Hosts(old), Life: life}})
	}
	renewed, err := r.issue(a, orders)
	if err != nil {
		return err
	}
	return done(cmd, renewed, "Copy NAME.pem and NAME-key.pem to each node; it takes them in within seconds, while it runs.")
}

// issued reads a node's certificate, which must be this authority's.
func (r *rotation) issued(a *pki.Authority, name string) (*x509.Certificate, error) {
	file := r.files(name).Cert
	certs, err := pki.ReadCertificates(file)
	if err != nil {
		return nil, err
	}
	by := func(old *x509.Certificate) bool { return certs[0].CheckSignatureFrom(old) == nil }
	if !a.Issued(certs[0]) && !slices.ContainsFunc(a.Older(), by) {
		return nil, config.Errorf(config.Conflict, "certificate", file, "was issued by %q, which is not the authority in %s", certs[0].Issuer.CommonName, r.dir)
	}
	return certs[0], nil
}

func (r *rotation) changeAuthority(cmd *cobra.Command) error {
	a, err := pki.RotateAuthority(r.dir, pki.Options{Name: r.name, Life: r.life})
	if err != nil {
		return err
	}
	certFile, _ := pki.AuthorityFiles(r.dir)
	return done(cmd, []certificate{describe(certFile, a.Certificate())}, `%s holds the new authority and the old one, %q.

Next, in this order, at any pace; the cluster goes on meanwhile:
  1. setpoint cert rotate%[3]s
  2. copy ca.pem, NAME.pem and NAME-key.pem to each node, and ca-key.pem to those that have it; issue new ones for nodes that joined by a token
  3. restart the nodes, one after the other
  4. setpoint cert rotate --retire%[3]s, copy ca.pem to each node, and restart them once more, one after the other`,
		certFile, a.Older()[0].Subject.CommonName, r.arguments())
}

func (r *rotation) retireAuthority(cmd *cobra.Command) error {
	names, err := r.names()
	if err != nil {
		return err
	}
	var nodes []*x509.Certificate
	for _, name := range names {
		certs, err := pki.ReadCertificates(r.files(name).Cert)
		if err != nil {
			return err
		}
		nodes = append(nodes, certs[0])
	}
	a, err := pki.RetireAuthority(r.dir, nodes...)
	if err != nil {
		return err
	}
	certFile, _ := pki.AuthorityFiles(r.dir)
	return done(cmd, []certificate{describe(certFile, a.Certificate())},
		"%s holds this authority alone. Copy it to each node whose certificate is the new authority's,\nand restart the nodes, one after the other.", certFile)
}
