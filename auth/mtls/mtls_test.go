package mtls_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/mtls"
	"github.com/setpointhq/setpoint/config"
)

// alice is whom the good certificate names.
func alice() auth.Identity {
	return auth.Identity{Subject: "mtls:alice", Provider: "mtls", Method: mtls.Name}
}

func wantProved(t *testing.T, a auth.Authenticator, c auth.Credentials, want auth.Identity) {
	t.Helper()
	got, ok, err := a.Authenticate(t.Context(), c)
	if err != nil || !ok {
		t.Fatalf("want %s proved, got taken %v, %v", want.Subject, ok, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
}

func wantRefused(t *testing.T, a auth.Authenticator, c auth.Credentials, kind config.ErrorKind) string {
	t.Helper()
	id, ok, err := a.Authenticate(t.Context(), c)
	if !ok || config.KindOf(err) != kind || !id.Anonymous() {
		t.Fatalf("want nobody, taken, %s; got %+v, taken %v, %v", kind, id, ok, err)
	}
	return err.Error()
}

func TestWhomACertificateNames(t *testing.T) {
	ca := root(t)
	const spiffe = "spiffe://example.org/ns/shop/sa/web"
	several := func(c *x509.Certificate) {
		c.DNSNames, c.EmailAddresses = []string{"web.example.org"}, []string{"alice@example.org"}
	}
	named := func(subject string, groups ...string) auth.Identity {
		return auth.Identity{Subject: subject, Provider: "mtls", Groups: groups, Method: mtls.Name}
	}
	for name, tc := range map[string]struct {
		settings func(*mtls.Settings)
		change   func(*x509.Certificate)
		want     auth.Identity
	}{
		"the common name":            {nil, nil, alice()},
		"its SPIFFE id before":       {nil, uri(t, spiffe), named("mtls:" + spiffe)},
		"a URI of another sort":      {nil, uri(t, "https://example.org/"), alice()},
		"a DNS name":                 {func(s *mtls.Settings) { s.Identity = []string{"dns"} }, several, named("mtls:web.example.org")},
		"an address of mail":         {func(s *mtls.Settings) { s.Identity = []string{"email", "dns"} }, several, named("mtls:alice@example.org")},
		"the next where one lacks":   {func(s *mtls.Settings) { s.Identity = []string{"email", "common_name"} }, nil, alice()},
		"another provider":           {func(s *mtls.Settings) { s.Name = "mesh" }, nil, auth.Identity{Subject: "mesh:alice", Provider: "mesh", Method: mtls.Name}},
		"groups":                     {func(s *mtls.Settings) { s.Groups = []string{"organizational_unit"} }, nil, named("mtls:alice", "mtls:on-call", "mtls:platform")},
		"groups of both":             {func(s *mtls.Settings) { s.Groups = []string{"organization", "organizational_unit"} }, nil, named("mtls:alice", "mtls:Acme", "mtls:on-call", "mtls:platform")},
		"a trust domain that counts": {func(s *mtls.Settings) { s.TrustDomains = []string{"example.com", "example.org"} }, uri(t, spiffe), named("mtls:" + spiffe)},
	} {
		t.Run(name, func(t *testing.T) {
			settings := tc.settings
			if settings == nil {
				settings = func(*mtls.Settings) {}
			}
			a := open(t, ca, &clock{start()}, settings)
			c := shown(ca.issue(t, tc.change))
			wantProved(t, a, c, tc.want)
			wantProved(t, a, c, tc.want) // remembered
		})
	}
}

func TestCertificatesThatProveNobody(t *testing.T) {
	ca, other := root(t), root(t)
	key := func(usage x509.KeyUsage, id string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { uri(t, id)(c); c.KeyUsage = usage }
	}
	limited := authorityTemplate("limited")
	limited.PermittedURIDomains, limited.PermittedDNSDomains, limited.PermittedDNSDomainsCritical = []string{"example.org"}, []string{"example.org"}, true
	constrained := newAuthority(t, ca, limited)
	servers := authorityTemplate("servers")
	servers.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	forServers := newAuthority(t, ca, servers)
	deep, between := ca, []*authority{}
	for range 12 {
		deep = newAuthority(t, deep, authorityTemplate("deep"))
		between = append([]*authority{deep}, between...)
	}
	const good = "spiffe://example.org/web"
	for name, chain := range map[string][]*x509.Certificate{
		"another authority's":          other.issue(t, nil),
		"another's with ours beside":   other.issue(t, nil, ca),
		"expired":                      ca.issue(t, func(c *x509.Certificate) { c.NotAfter = start().Add(-time.Second) }),
		"not yet valid":                ca.issue(t, func(c *x509.Certificate) { c.NotBefore = start().Add(time.Second) }),
		"good for too long":            ca.issue(t, func(c *x509.Certificate) { c.NotAfter = start().Add(399 * 24 * time.Hour) }),
		"for servers":                  ca.issue(t, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }),
		"for anything":                 ca.issue(t, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }),
		"for nothing in particular":    ca.issue(t, func(c *x509.Certificate) { c.ExtKeyUsage = nil }),
		"of an authority for servers":  forServers.issue(t, nil, forServers),
		"an authority's":               ca.issue(t, func(c *x509.Certificate) { c.IsCA = true }),
		"the trusted authority itself": {ca.cert},
		"one that may sign others":     ca.issue(t, func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCertSign }),
		"signed by a client":           ca.issue(t, nil)[:0:0],
		"with an unknown critical part": ca.issue(t, func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
		}),
		"a node's": ca.issue(t, func(c *x509.Certificate) {
			c.Subject.Organization = []string{"Setpoint"}
			c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
		}),
		"without a name": ca.issue(t, func(c *x509.Certificate) { c.Subject = pkix.Name{} }),
		"with two common names": ca.issue(t, func(c *x509.Certificate) {
			c.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "bob"}, {Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "alice"}}
		}),
		"with a control character":     ca.issue(t, func(c *x509.Certificate) { c.Subject.CommonName = "al\nice" }),
		"with a name that is too long": ca.issue(t, func(c *x509.Certificate) { c.Subject.CommonName = strings.Repeat("a", 300) }),
		"a huge chain":                 deep.issue(t, nil, between...),
		"a chain of many bytes": append(ca.issue(t, nil), newAuthority(t, ca, func() *x509.Certificate {
			c := authorityTemplate("big")
			c.PermittedDNSDomains = []string{strings.Repeat("a", 70_000)}
			return c
		}()).cert),
		"outside of its name constraints":  constrained.issue(t, uri(t, "spiffe://example.com/web"), constrained),
		"a DNS name outside of them":       constrained.issue(t, func(c *x509.Certificate) { c.DNSNames = []string{"example.com"} }, constrained),
		"two URIs":                         ca.issue(t, uri(t, good, good)),
		"a SPIFFE id and another URI":      ca.issue(t, uri(t, "https://example.org/", good)),
		"another trust domain":             ca.issue(t, uri(t, "spiffe://example.com/web")),
		"a trust domain and nobody in it":  ca.issue(t, uri(t, "spiffe://example.org")),
		"an id in upper case":              ca.issue(t, uri(t, "SPIFFE://example.org/web")),
		"a trust domain in upper case":     ca.issue(t, uri(t, "spiffe://EXAMPLE.org/web")),
		"an id with a port":                ca.issue(t, uri(t, "spiffe://example.org:443/web")),
		"an id with a query":               ca.issue(t, uri(t, "spiffe://example.org/web?x")),
		"an id that is encoded":            ca.issue(t, uri(t, "spiffe://example.org/%77eb")),
		"an id with dots":                  ca.issue(t, uri(t, "spiffe://example.org/a/../web")),
		"an id whose key may not sign":     ca.issue(t, key(x509.KeyUsageKeyEncipherment, good)),
		"an id without a use of its key":   ca.issue(t, key(0, good)),
		"an id whose key signs lists":      ca.issue(t, key(x509.KeyUsageDigitalSignature|x509.KeyUsageCRLSign, good)),
		"an opaque URI of the same scheme": ca.issue(t, uri(t, "spiffe:example.org/web")),
	} {
		t.Run(name, func(t *testing.T) {
			if len(chain) == 0 { // by whoever has a good certificate, but is no authority
				holder := &authority{key: newKey(t)}
				holder.cert = ca.sign(t, leafTemplate(), holder.key)
				chain = holder.issue(t, func(c *x509.Certificate) { c.Subject.CommonName = "admin" }, holder)
			}
			a := open(t, ca, &clock{start()}, func(s *mtls.Settings) { s.TrustDomains = []string{"example.org"} })
			const want = "the client certificate proves nobody here"
			if got := wantRefused(t, a, shown(chain), config.Unauthenticated); !strings.Contains(got, want) {
				t.Errorf("want the same text whatever was wrong, got %q", got)
			}
		})
	}
}

func TestAnIntermediateIsTakenFromTheClient(t *testing.T) {
	ca := root(t)
	between := newAuthority(t, ca, authorityTemplate("between"))
	a := open(t, ca, &clock{start()})
	wantRefused(t, a, shown(between.issue(t, nil)), config.Unauthenticated)
	wantProved(t, a, shown(between.issue(t, nil, between)), alice())
	wantProved(t, a, shown(between.issue(t, nil, between, ca)), alice())
}

func TestNameConstraintsThatHold(t *testing.T) {
	ca := root(t)
	limited := authorityTemplate("limited")
	limited.PermittedURIDomains = []string{"example.org"}
	between := newAuthority(t, ca, limited)
	a := open(t, ca, &clock{start()})
	want := auth.Identity{Subject: "mtls:spiffe://example.org/web", Provider: "mtls", Method: mtls.Name}
	wantProved(t, a, shown(between.issue(t, uri(t, "spiffe://example.org/web"), between)), want)
}

func TestWhatTheCallerSaysComesBeforeTheCertificate(t *testing.T) {
	ca := root(t)
	a := open(t, ca, &clock{start()})
	chain := ca.issue(t, nil)
	for name, c := range map[string]auth.Credentials{
		"nothing at all":       {},
		"a name":               {Username: "bob", Certificates: chain},
		"a password":           {Username: "bob", Password: config.NewSecret("wrong"), Certificates: chain},
		"a token":              {Token: config.NewSecret("sp_x"), Certificates: chain},
		"a token and no chain": {Token: config.NewSecret("sp_x")},
	} {
		if id, ok, err := a.Authenticate(t.Context(), c); ok || err != nil || !id.Anonymous() {
			t.Errorf("%s: want it left to others, got %+v, taken %v, %v", name, id, ok, err)
		}
	}
}

func TestACertificateIsNotRememberedPastItsEnd(t *testing.T) {
	ca, c := root(t), &clock{start()}
	a := open(t, ca, c, func(s *mtls.Settings) { s.Remember = time.Hour })
	good := shown(ca.issue(t, func(c *x509.Certificate) { c.NotAfter = start().Add(time.Minute) }))
	wantProved(t, a, good, alice())
	c.pass(time.Minute - time.Second)
	wantProved(t, a, good, alice())
	c.pass(2 * time.Second)
	wantRefused(t, a, good, config.Unauthenticated)
}

func TestAnIntermediatesEndIsTheEndToo(t *testing.T) {
	ca, c := root(t), &clock{start()}
	short := authorityTemplate("short")
	short.NotAfter = start().Add(time.Minute)
	between := newAuthority(t, ca, short)
	a := open(t, ca, c, func(s *mtls.Settings) { s.Remember = time.Hour })
	good := shown(between.issue(t, nil, between))
	wantProved(t, a, good, alice())
	c.pass(time.Minute + time.Second)
	wantRefused(t, a, good, config.Unauthenticated)
}

func TestAuthoritiesAreReadAgain(t *testing.T) {
	first, second, c := root(t), root(t), &clock{start()}
	name := file(t, "ca.pem", inPEM(first))
	a := open(t, first, c, func(s *mtls.Settings) { s.CAFile, s.Remember = name, time.Hour })
	old, next := shown(first.issue(t, nil)), shown(second.issue(t, nil))
	wantProved(t, a, old, alice())
	wantRefused(t, a, next, config.Unauthenticated)
	before := a.ClientCAs()

	replace(t, name, []byte("half a certific"))
	c.pass(5 * time.Second)
	wantProved(t, a, old, alice())

	replace(t, name, inPEM(second))
	c.pass(5 * time.Second)
	wantProved(t, a, next, alice())
	wantRefused(t, a, old, config.Unauthenticated)
	if after := a.ClientCAs(); after.Equal(before) || after != a.ClientCAs() {
		t.Error("want clients told of the new authority, by one pool for as long as it is the same")
	}
}

func TestFailuresAreSlowedAndGoodOnesPass(t *testing.T) {
	ca, other := root(t), root(t)
	a := open(t, ca, &clock{start()})
	bad, good := shown(other.issue(t, nil)), shown(ca.issue(t, nil))
	bad.Address, good.Address = "192.0.2.7", "192.0.2.7"
	for range 30 {
		wantRefused(t, a, bad, config.Unauthenticated)
	}
	wantRefused(t, a, bad, config.Throttled)
	wantProved(t, a, good, alice())
}

// A connection that goes on from an earlier one shows the certificate of that one,
// without a signature of its key. Whether it is still good is looked at anew.
func TestAResumedConnectionDoesNotOutliveItsCertificate(t *testing.T) {
	c := &clock{time.Now()}
	template := leafTemplate()
	template.NotBefore, template.NotAfter = c.now.Add(-time.Hour), c.now.Add(time.Hour)
	caTemplate := authorityTemplate("now")
	caTemplate.NotBefore, caTemplate.NotAfter = c.now.Add(-time.Hour), c.now.Add(100*time.Hour)
	ca := newAuthority(t, nil, caTemplate)
	key := newKey(t)
	leaf := ca.sign(t, template, key)
	serverKey := newKey(t)
	server := ca.sign(t, &x509.Certificate{DNSNames: []string{"server"}, NotBefore: c.now.Add(-time.Hour), NotAfter: c.now.Add(time.Hour)}, serverKey)
	a := open(t, ca, c)

	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		MinVersion: tls.VersionTLS12, ClientAuth: tls.RequestClientCert, ClientCAs: a.ClientCAs(),
		Certificates: []tls.Certificate{{Certificate: [][]byte{server.Raw}, PrivateKey: serverKey}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	dialed := &tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: "server", ClientSessionCache: tls.NewLRUClientSessionCache(1),
		Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}},
	}
	first := meet(t, l, dialed)
	again := meet(t, l, dialed)
	if first.DidResume || !again.DidResume || len(again.PeerCertificates) == 0 {
		t.Fatalf("want the second connection to go on from the first with its certificate, got %v, %v", first.DidResume, again.DidResume)
	}
	wantProved(t, a, shown(again.PeerCertificates), alice())
	c.pass(2 * time.Hour)
	wantRefused(t, a, shown(again.PeerCertificates), config.Unauthenticated)
}

// meet completes a handshake and returns what the server knows of it.
func meet(t *testing.T, l net.Listener, dialed *tls.Config) tls.ConnectionState {
	t.Helper()
	states := make(chan tls.ConnectionState, 1)
	go func() {
		defer close(states)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		if _, err := conn.Write([]byte("x")); err == nil { // the ticket goes before it
			states <- conn.(*tls.Conn).ConnectionState()
		}
	}()
	conn, err := tls.Dial("tcp", l.Addr().String(), dialed)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	state, ok := <-states
	if !ok {
		t.Fatal("want a handshake, got none")
	}
	return state
}

func BenchmarkRemembered(b *testing.B) {
	ca := root(b)
	a := open(b, ca, &clock{start()})
	c := shown(ca.issue(b, nil))
	b.ReportAllocs()
	for b.Loop() {
		if _, ok, err := a.Authenticate(b.Context(), c); !ok || err != nil {
			b.Fatal(err)
		}
	}
}
