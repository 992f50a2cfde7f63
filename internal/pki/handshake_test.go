package pki

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"testing"
	"time"
)

func TestNodesMeetAndKnowEachOther(t *testing.T) {
	dir, a := authority(t)
	n1, n2 := keeper(t, write(t, dir, a, local("n1"))), keeper(t, write(t, dir, a, local("n2")))
	l := listen(t, n1.ServerConfig())
	for _, host := range []string{"127.0.0.1", "localhost", "::1", "n1", "N1"} {
		for _, protocol := range []string{"h2", "http/1.1"} {
			got, err := l.call(t, n2.ClientConfig(host, protocol))
			if err != nil {
				t.Fatalf("%s: %v", host, err)
			}
			if want := (greeting{peer: "n2", protocol: protocol}); got != want {
				t.Errorf("%s: want %v, got %v", host, want, got)
			}
		}
	}
	conn, err := n2.Dial(t.Context(), "tcp", l.addr)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if got := (<-l.seen).protocol; got != "http/1.1" {
		t.Errorf("want Dial to speak http/1.1, got %q", got)
	}
}

func TestWithoutACertificateAClientIsNobody(t *testing.T) {
	dir, a := authority(t)
	n1 := keeper(t, write(t, dir, a, local("n1")))
	roots := x509.NewCertPool()
	roots.AddCert(a.Certificate())
	got, err := listen(t, n1.ServerConfig()).call(t, &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"})
	if err != nil || got.err != nil || got.peer != "" {
		t.Errorf("want a connection of nobody, got %v and %v", err, got)
	}
	if name, ok := Peer(nil); ok {
		t.Errorf("want nobody without TLS, got %q", name)
	}
}

func TestTheConfigurationOfAHostIsForThatHostOnly(t *testing.T) {
	dir, a := authority(t)
	n1, n2 := keeper(t, write(t, dir, a, local("n1"))), keeper(t, write(t, dir, a, local("n2")))
	l := listen(t, n1.ServerConfig())
	for _, host := range []string{"n3", "192.0.2.1", "example.org", ""} {
		conf := n2.ClientConfig(host)
		if _, err := l.call(t, conf); err == nil {
			t.Errorf("want no connection to %q, which the certificate is not for", host)
		}
	}
}

// clientOf is a client with a pair that it checks itself in no way.
func clientOf(t *testing.T, f Files) *tls.Config {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{
		InsecureSkipVerify:   true,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil },
	}
}

func serverOf(t *testing.T, f Files) *tls.Config {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}}
}

func TestStrangersGetNowhere(t *testing.T) {
	dir, a := authority(t)
	n1 := keeper(t, write(t, dir, a, local("n1")))
	otherDir, other := authority(t)
	now := time.Now()
	for name, c := range map[string]struct {
		files  Files
		server string // what the listener logs of such a client, explained
		client string // what the client makes of the listener's refusal
		dial   string // what a node says of such a server
	}{
		"of another authority": {
			files:  write(t, otherDir, other, local("n9")),
			server: `that of "n9", was issued by "` + other.Certificate().Subject.CommonName + `", which this node does not trust`,
			client: "does not trust the authority that issued this node's certificate",
			dial:   "which this node does not trust",
		},
		"expired": {
			files:  issueAt(t, a, local("n2"), now.Add(-2*NodeLife)),
			server: `that of "n2", expired on 20`,
			client: "this node's certificate has expired",
			dial:   `that of "n2", expired on 20`,
		},
		"not yet valid": {
			files:  issueAt(t, a, local("n2"), now.Add(2*day)),
			server: "one of the clocks is wrong",
			client: "this node's certificate has expired",
			dial:   "one of the clocks is wrong",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := listen(t, n1.ServerConfig()).call(t, clientOf(t, c.files))
			if err == nil || got.err == nil {
				t.Fatalf("want the client refused, got %v and %v", err, got)
			}
			wantText(t, Explain(got.err), c.server)
			wantText(t, Explain(err), c.client)

			got, err = listen(t, serverOf(t, c.files)).call(t, n1.ClientConfig("127.0.0.1"))
			if err == nil || got.err == nil {
				t.Fatalf("want the server refused, got %v and %v", err, got)
			}
			wantText(t, Explain(err), c.dial)
			wantText(t, Explain(got.err), "refuses this node's certificate")
		})
	}
}

func TestAServerOfAnotherNameIsExplained(t *testing.T) {
	dir, a := authority(t)
	n1, n2 := keeper(t, write(t, dir, a, Request{Name: "n1", Hosts: []string{"10.0.0.1"}})), keeper(t, write(t, dir, a, local("n2")))
	_, err := listen(t, n1.ServerConfig()).call(t, n2.ClientConfig("127.0.0.1"))
	wantAs[x509.HostnameError](t, err)
	wantText(t, Explain(err), `not good for "127.0.0.1" but for n1, 10.0.0.1`, "setpoint cert issue n1 --host 127.0.0.1")
}

func TestPlainTextGetsNowhere(t *testing.T) {
	dir, a := authority(t)
	n1 := keeper(t, write(t, dir, a, local("n1")))
	l := listen(t, n1.ServerConfig())
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("GET /node/identity HTTP/1.1\r\nHost: n1\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	got := <-l.seen
	wantAs[tls.RecordHeaderError](t, got.err)
	wantText(t, Explain(got.err), "does not speak TLS")
}

func TestOldVersionsOfTLSAreRefused(t *testing.T) {
	dir, a := authority(t)
	n1 := keeper(t, write(t, dir, a, local("n1")))
	got, err := listen(t, n1.ServerConfig()).call(t, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	if err == nil || got.err == nil {
		t.Fatalf("want TLS 1.1 refused, got %v and %v", err, got)
	}
	wantText(t, Explain(err), "no version or cipher of TLS in common")
}

func TestAllowedNamesHoldInBothDirections(t *testing.T) {
	dir, a := authority(t)
	node := func(name string, allowed ...string) *Keeper {
		return keeper(t, write(t, dir, a, local(name)), allowed...)
	}
	nodes := []string{"*.nodes.example.org", "n1"}
	n1, n2, app := node("n1", nodes...), node("n2.nodes.example.org", nodes...), node("app.example.org")

	if got, err := listen(t, n1.ServerConfig()).call(t, n2.ClientConfig("127.0.0.1")); err != nil || got.err != nil {
		t.Fatalf("want nodes to meet, got %v and %v", err, got.err)
	}
	got, err := listen(t, n1.ServerConfig()).call(t, app.ClientConfig("127.0.0.1"))
	wantAs[*NotAllowedError](t, got.err)
	wantText(t, Explain(got.err), `"app.example.org"`, "allowed names", "*.nodes.example.org")
	wantText(t, Explain(err), "refuses this node's certificate")

	got, err = listen(t, app.ServerConfig()).call(t, n1.ClientConfig("127.0.0.1"))
	wantAs[*NotAllowedError](t, err)
	if got.err == nil {
		t.Error("want the application to learn that it was refused")
	}
}

func TestAPinnedAuthorityIsEnoughToKnowANode(t *testing.T) {
	dir, a := authority(t)
	n1 := keeper(t, write(t, dir, a, local("n1")))
	if n1.Fingerprint() != a.Fingerprint() {
		t.Fatalf("want the keeper to give the authority's fingerprint, got %s", n1.Fingerprint())
	}
	l := listen(t, n1.ServerConfig())
	for _, host := range []string{"127.0.0.1", "localhost"} {
		conf, err := PinnedClientConfig(a.Fingerprint(), host, "http/1.1")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := l.call(t, conf); err != nil || got != (greeting{protocol: "http/1.1"}) {
			t.Errorf("%s: want a connection of nobody, got %v and %v", host, err, got)
		}
	}
	for _, bad := range []string{"", "abc", a.Fingerprint() + "00", "zz" + a.Fingerprint()[2:]} {
		if _, err := PinnedClientConfig(bad, "127.0.0.1"); err == nil {
			t.Errorf("want %q refused as a fingerprint", bad)
		}
	}
}

func TestAManInTheMiddleDoesNotPassForAPinnedAuthority(t *testing.T) {
	dir, a := authority(t)
	good := write(t, dir, a, local("n1"))
	otherDir, other := authority(t)
	foreign := write(t, otherDir, other, local("n1"))
	certOf := func(f Files) tls.Certificate {
		pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		if err != nil {
			t.Fatal(err)
		}
		return pair
	}
	expired, elsewhere := issueAt(t, a, local("n1"), time.Now().Add(-2*NodeLife)), write(t, dir, a, Request{Name: "n7", Hosts: []string{"10.0.0.7"}})
	for name, c := range map[string]struct {
		pair  tls.Certificate
		chain []*x509.Certificate
		text  string
	}{
		"the right authority with a leaf of another": {certOf(foreign), []*x509.Certificate{a.Certificate()}, "which this node does not trust"},
		"and both authorities":                       {certOf(foreign), []*x509.Certificate{a.Certificate(), other.Certificate()}, "which this node does not trust"},
		"another authority":                          {certOf(foreign), []*x509.Certificate{other.Certificate()}, "not by the authority with the fingerprint"},
		"a good leaf without its authority":          {certOf(good), nil, "not by the authority with the fingerprint"},
		"an expired leaf":                            {certOf(expired), []*x509.Certificate{a.Certificate()}, "expired"},
		"a leaf for another host":                    {certOf(elsewhere), []*x509.Certificate{a.Certificate()}, "not good for"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, by := range c.chain {
				c.pair.Certificate = append(c.pair.Certificate, by.Raw)
			}
			conf, err := PinnedClientConfig(a.Fingerprint(), "127.0.0.1")
			if err != nil {
				t.Fatal(err)
			}
			_, err = listen(t, &tls.Config{Certificates: []tls.Certificate{c.pair}}).call(t, conf)
			if err == nil {
				t.Fatal("want the server refused")
			}
			wantText(t, Explain(err), c.text)
		})
	}

	// A leaf is no authority, even if its fingerprint was pinned by mistake.
	conf, err := PinnedClientConfig(FingerprintOf(leaf(t, good.Cert)), "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	_, err = listen(t, keeper(t, good).ServerConfig()).call(t, conf)
	wantAs[*PinError](t, err)
}
