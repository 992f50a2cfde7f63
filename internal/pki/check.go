package pki

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// Check says what is asked of the files of a node.
type Check struct {
	Files
	// AllowedNames are the patterns that nodes' certificates must match.
	AllowedNames []string
	// Name is the node's and Host where others reach it, without a port; what is
	// empty is not asked for.
	Name, Host string
	// Now is the time that it has to be good at.
	Now time.Time
}

// material is what the files of a node hold.
type material struct {
	pair        tls.Certificate     // with the chain that is shown
	authorities []*x509.Certificate // all that may vouch for others
	pool        *x509.CertPool      // of authorities
}

// CheckNode finds what would keep other nodes from accepting this one, or it
// from accepting them. The error is Invalid, and says how to mend it.
func CheckNode(c Check) error {
	m, err := c.read()
	if err == nil {
		err = c.checkNames(m.pair.Leaf)
	}
	var e *config.Error
	if errors.As(err, &e) {
		e.Kind = config.Invalid // whatever the file system said of it
	}
	return err
}

// read reads the files and refuses what other nodes would refuse.
func (c Check) read() (*material, error) {
	if err := CheckPatterns(c.AllowedNames); err != nil {
		return nil, err
	}
	m := &material{}
	var err error
	if m.pair, err = c.readPair(); err != nil {
		return nil, c.mend(err)
	}
	if m.authorities, err = ReadCertificates(c.CA); err != nil {
		e := config.AsError(err)
		return nil, config.Errorf(e.Kind, e.Op, e.Path, "%w; copy the certificate of the cluster's authority there, the ca.pem of 'setpoint cert' or that of your own", e.Err)
	}
	m.pool = x509.NewCertPool()
	for _, a := range m.authorities {
		m.pool.AddCert(a)
	}
	shown, err := parseChain(m.pair)
	if err != nil {
		return nil, invalid(c.Cert, "%w", err)
	}
	if err := c.checkDates(m.pair.Leaf); err != nil {
		return nil, c.mend(err)
	}
	if err := c.checkUse(m, shown[1:]); err != nil {
		return nil, c.mend(err)
	}
	// The authorities are shown as well: a node that is to join knows one of
	// them by its fingerprint and none by its certificate.
	for _, by := range issuers(m.pair.Leaf, append(slices.Clone(shown[1:]), m.authorities...)) {
		if !slices.ContainsFunc(shown, by.Equal) {
			shown = append(shown, by)
			m.pair.Certificate = append(m.pair.Certificate, by.Raw)
		}
	}
	return m, nil
}

func (c Check) readPair() (tls.Certificate, error) {
	certPEM, err := readFile(c.Cert)
	if err != nil {
		return tls.Certificate{}, err
	}
	keyPEM, err := readFile(c.Key)
	if err != nil {
		return tls.Certificate{}, err
	}
	certs, err := parseCertificates(certPEM)
	if err != nil {
		return tls.Certificate{}, invalid(c.Cert, "%w", err)
	}
	key, err := parseKey(keyPEM)
	if err != nil {
		return tls.Certificate{}, invalid(c.Key, "%w", err)
	}
	if !samePublic(key.Public(), certs[0].PublicKey) {
		return tls.Certificate{}, invalid(c.Key, "does not match the certificate %s: they were not made together", c.Cert)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return pair, invalid(c.Cert, "%w", err)
	}
	return pair, nil
}

func parseChain(pair tls.Certificate) ([]*x509.Certificate, error) {
	return x509.ParseCertificates(bytes.Join(pair.Certificate, nil))
}

func (c Check) checkDates(leaf *x509.Certificate) error {
	switch {
	case c.Now.After(leaf.NotAfter):
		return invalid(c.Cert, "expired on %s", date(leaf.NotAfter))
	case c.Now.Before(leaf.NotBefore):
		return invalid(c.Cert, "is not valid before %s, and this machine's clock says %s: set the clock, if that is wrong", date(leaf.NotBefore), date(c.Now))
	default:
		return nil
	}
}

// checkUse finds out whether others would accept the certificate at either end
// of a connection.
func (c Check) checkUse(m *material, chain []*x509.Certificate) error {
	leaf := m.pair.Leaf
	intermediates := x509.NewCertPool()
	for _, i := range chain {
		intermediates.AddCert(i)
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		_, err := leaf.Verify(x509.VerifyOptions{
			Roots: m.pool, Intermediates: intermediates, CurrentTime: c.Now, KeyUsages: []x509.ExtKeyUsage{usage},
		})
		var bad x509.CertificateInvalidError
		switch {
		case err == nil:
		case errors.As(err, &bad) && bad.Reason == x509.IncompatibleUsage:
			return invalid(c.Cert, "is not for servers and clients both: it needs the extended key usages serverAuth and clientAuth")
		case errors.As(err, &bad) && bad.Reason == x509.Expired && bad.Cert != nil:
			return invalid(c.CA, "the authority %q is good from %s to %s only, and it is %s now; make the next one with 'setpoint cert rotate --authority'", nameOf(bad.Cert), date(bad.Cert.NotBefore), date(bad.Cert.NotAfter), date(c.Now))
		case errors.As(err, new(x509.UnknownAuthorityError)):
			return invalid(c.Cert, "was issued by %q, which is not in %s: that holds %s", issuerOf(leaf), c.CA, quoted(m.authorities))
		default:
			return invalid(c.Cert, "%w", err)
		}
	}
	if !allowed(leaf, c.AllowedNames) {
		return invalid(c.Cert, "is for %s, and none of that matches the allowed names %s: other nodes would refuse it", goodFor(leaf), strings.Join(c.AllowedNames, ", "))
	}
	return nil
}

// checkNames finds out whether the certificate is this node's. Of the names in
// certificates of a foreign authority, only the host matters.
func (c Check) checkNames(leaf *x509.Certificate) error {
	ours := slices.Contains(leaf.Subject.Organization, Organization)
	if c.Name != "" && ours && leaf.Subject.CommonName != c.Name {
		return c.mend(invalid(c.Cert, "is that of the node %q, and this is %q", leaf.Subject.CommonName, c.Name))
	}
	if c.Host != "" && leaf.VerifyHostname(c.Host) != nil {
		return c.mend(invalid(c.Cert, "is not good for %q, where others reach this node; it is good for %s", c.Host, goodFor(leaf)))
	}
	return nil
}

// mend adds to an error about the certificate what to type.
func (c Check) mend(err error) error {
	e := config.AsError(err)
	if e.Path == c.CA {
		return err
	}
	name := c.Name
	if name == "" {
		name = "NAME"
	}
	host := ""
	if c.Host != "" && c.Host != "localhost" && !loopback(c.Host) {
		host = " --host " + c.Host
	}
	return config.Errorf(e.Kind, e.Op, e.Path, "%w; issue one with 'setpoint cert issue %s%s', or have your own authority do so", e.Err, name, host)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// goodFor lists what a certificate is good for.
func goodFor(cert *x509.Certificate) string {
	list := Hosts(cert)
	if len(list) == 0 {
		return "no host at all"
	}
	const most = 12
	more := ""
	if len(list) > most {
		list, more = list[:most], fmt.Sprintf(" and %d more", len(list)-most)
	}
	return clean(strings.Join(list, ", ")) + more
}

func nameOf(cert *x509.Certificate) string {
	if cn := cert.Subject.CommonName; cn != "" {
		return clean(cn)
	}
	return clean(cert.Subject.String())
}

func issuerOf(cert *x509.Certificate) string {
	if cn := cert.Issuer.CommonName; cn != "" {
		return clean(cn)
	}
	return clean(cert.Issuer.String())
}

func quoted(certs []*x509.Certificate) string {
	var names []string
	for _, c := range certs {
		if name := fmt.Sprintf("%q", nameOf(c)); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}
