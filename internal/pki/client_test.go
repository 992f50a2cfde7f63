package pki

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/config"
)

func clientAuthority(t *testing.T) *Authority {
	t.Helper()
	dir := t.TempDir()
	if _, err := CreateAuthority(dir, Options{Clients: true}); err != nil {
		t.Fatal(err)
	}
	a, err := LoadAuthority(AuthorityFiles(dir)) // as it is found later
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAClientsCertificate(t *testing.T) {
	a := clientAuthority(t)
	text, _, err := a.IssueClient(ClientRequest{Name: "web", SPIFFE: "spiffe://example.org/shop/web", Groups: []string{"ci", "shop"}})
	if err != nil {
		t.Fatal(err)
	}
	certs, err := ParseCertificates(text)
	if err != nil {
		t.Fatal(err)
	}
	cert := certs[0]
	got := []string{cert.Subject.CommonName, strings.Join(cert.Subject.OrganizationalUnit, "+"), cert.URIs[0].String(), FormatLife(LifeOf(cert))}
	if diff := cmp.Diff([]string{"web", "ci+shop", "spiffe://example.org/shop/web", "90d"}, got); diff != "" {
		t.Errorf("certificate (-want +got):\n%s", diff)
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.Certificate())
	for usage, want := range map[x509.ExtKeyUsage]bool{x509.ExtKeyUsageClientAuth: true, x509.ExtKeyUsageServerAuth: false} {
		if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{usage}}); (err == nil) != want {
			t.Errorf("usage %d: want it good %v, got %v", usage, want, err)
		}
	}
}

func TestNodesAndClientsHaveDifferentAuthorities(t *testing.T) {
	clients, dir := clientAuthority(t), t.TempDir()
	nodes, err := CreateAuthority(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, issue := range map[string]func() error{
		"a node by the clients'": func() error { _, _, err := clients.Issue(Request{Name: "n1"}); return err },
		"a request by the clients'": func() error {
			_, csr, _ := NewRequest("n1")
			_, err := clients.Sign(csr, Request{Name: "n1"})
			return err
		},
		"a client by the nodes'": func() error { _, _, err := nodes.IssueClient(ClientRequest{Name: "web"}); return err },
		"no name":                func() error { _, _, err := clients.IssueClient(ClientRequest{}); return err },
		"a name that is none":    func() error { _, _, err := clients.IssueClient(ClientRequest{Name: "../web"}); return err },
		"a life that is none": func() error {
			_, _, err := clients.IssueClient(ClientRequest{Name: "web", Life: -time.Hour})
			return err
		},
		"a group that is none": func() error {
			_, _, err := clients.IssueClient(ClientRequest{Name: "web", Groups: []string{"a b"}})
			return err
		},
		"too many groups": func() error {
			_, _, err := clients.IssueClient(ClientRequest{Name: "web", Groups: make([]string, 65)})
			return err
		},
		"an id of another scheme": func() error {
			_, _, err := clients.IssueClient(ClientRequest{Name: "web", SPIFFE: "https://a/b"})
			return err
		},
		"an id that names nobody": func() error {
			_, _, err := clients.IssueClient(ClientRequest{Name: "web", SPIFFE: "spiffe://a"})
			return err
		},
		"an id with an empty segment": func() error {
			_, _, err := clients.IssueClient(ClientRequest{Name: "web", SPIFFE: "spiffe://a/b/"})
			return err
		},
		"an id in upper case": func() error {
			_, _, err := clients.IssueClient(ClientRequest{Name: "web", SPIFFE: "spiffe://A/b"})
			return err
		},
	} {
		if err := issue(); config.KindOf(err) != config.Invalid {
			t.Errorf("%s: want it invalid, got %v", name, err)
		}
	}
	if nodes.ForClients() || !clients.ForClients() {
		t.Error("want the one for nodes and the other for clients")
	}
}

func TestAnAuthorityForClientsHasNoSuccessor(t *testing.T) {
	dir := t.TempDir()
	if _, err := CreateAuthority(dir, Options{Clients: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := RotateAuthority(dir, Options{}); config.KindOf(err) != config.Invalid {
		t.Errorf("want it invalid, got %v", err)
	}
}
