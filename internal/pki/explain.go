package pki

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// Explain says in one sentence why a connection to another node did not come
// about. What it does not know it gives in the error's own words.
func Explain(err error) string {
	if err == nil {
		return ""
	}
	for _, explain := range []func(error) string{explainCertificate, explainRefusal, explainNetwork} {
		if text := explain(err); text != "" {
			return text
		}
	}
	return err.Error()
}

// explainCertificate tells of what this node did not like about the other's
// certificate.
func explainCertificate(err error) string {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var bad x509.CertificateInvalidError
	var pin *PinError
	var names *NotAllowedError
	switch {
	case errors.As(err, &pin):
		return pin.Error() + ": it is another cluster's, or someone is in between"
	case errors.As(err, &names):
		return names.Error()
	case errors.As(err, &host) && host.Certificate != nil:
		return fmt.Sprintf("its certificate is not good for %q but for %s; issue one that is: setpoint cert issue %s --host %[1]s", clean(host.Host), goodFor(host.Certificate), nameOf(host.Certificate))
	case errors.As(err, &bad) && bad.Cert != nil && bad.Reason == x509.Expired:
		return explainDates(bad.Cert)
	case errors.As(err, &bad) && bad.Cert != nil && bad.Reason == x509.IncompatibleUsage:
		return fmt.Sprintf("its certificate, that of %q, may not be used by a server", nameOf(bad.Cert))
	case errors.As(err, &unknown):
		return explainUnknown(err)
	default:
		return ""
	}
}

func explainDates(cert *x509.Certificate) string {
	what := "its certificate, that of"
	if cert.IsCA {
		what = "the authority of its certificate,"
	}
	if now := time.Now(); now.Before(cert.NotBefore) {
		return fmt.Sprintf("%s %q, is not valid before %s, and it is %s here; one of the clocks is wrong", what, nameOf(cert), date(cert.NotBefore), date(now))
	}
	return fmt.Sprintf("%s %q, expired on %s", what, nameOf(cert), date(cert.NotAfter))
}

func explainUnknown(err error) string {
	var chain *tls.CertificateVerificationError
	if errors.As(err, &chain) && len(chain.UnverifiedCertificates) > 0 {
		leaf := chain.UnverifiedCertificates[0]
		return fmt.Sprintf("its certificate, that of %q, was issued by %q, which this node does not trust; it is another cluster's, or its authority is missing in this node's ca file", nameOf(leaf), issuerOf(leaf))
	}
	return "its certificate was issued by an authority that this node does not trust"
}

// explainRefusal tells of what the other end did not like: TLS says so with an
// alert, which Go gives as a text only.
func explainRefusal(err error) string {
	var remote *net.OpError
	if !errors.As(err, &remote) || remote.Op != "remote error" || remote.Err == nil {
		return ""
	}
	switch strings.TrimPrefix(remote.Err.Error(), "tls: ") {
	case "unknown certificate authority", "unknown certificate":
		return "it does not trust the authority that issued this node's certificate; the two belong to different clusters, or this authority is missing in its ca file"
	case "expired certificate":
		return "it says that this node's certificate has expired; issue a new one with 'setpoint cert rotate', or compare the clocks"
	case "bad certificate", "revoked certificate", "unsupported certificate", "access denied":
		return "it refuses this node's certificate; its log says why"
	case "certificate required":
		return "it wants a certificate, and this node showed none"
	case "no application protocol":
		return "it speaks TLS but not what nodes speak; is this the port of its peers?"
	case "protocol version not supported", "handshake failure", "insufficient security level":
		return "the two ends have no version or cipher of TLS in common"
	default:
		return ""
	}
}

// explainNetwork tells of what went wrong before either end said anything.
func explainNetwork(err error) string {
	var plain tls.RecordHeaderError
	var dns *net.DNSError
	var network net.Error
	switch {
	case errors.As(err, &plain):
		return "it does not speak TLS; is this the port of its peers?"
	case errors.As(err, &dns):
		return fmt.Sprintf("the name %q is not known: %s", clean(dns.Name), dns.Err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there; is the node running?"
	case errors.Is(err, context.Canceled):
		return "" // nobody wants to know any more
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return "it did not answer in time"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return "it closed the connection before it was established"
	default:
		return ""
	}
}
