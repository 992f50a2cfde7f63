package clusters

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/pki"
)

// newcomer is a node, n2, that is to start beside n1, which runs alone: with
// what goes wrong, and at last with what is right.
type newcomer struct {
	*house
	n1, n2 *node
	good   string // a token that is good, and stays so
	listed string // members with n2 among them
}

func (c *newcomer) with(flags ...string) { c.n2.args(flags...) }

// joining has n2 join with the good token.
func (c *newcomer) joining(flags ...string) {
	c.with(append(flags, "--join", c.n1.peer, "--advertise", c.n2.peer, "--token-file", c.good)...)
}

// certified has n2 found the cluster with n1, with files that a test has spoilt.
func (c *newcomer) certified(spoil func(dir string)) {
	c.Helper()
	dir := c.TempDir()
	c.must("cert", "issue", "n2", "--dir", c.certs, "--out", dir)
	spoil(dir)
	c.with("--cluster", c.listed, "--cert-dir", dir)
}

// forge has the authority issue what 'setpoint cert' would not.
func (c *newcomer) forge(dir string, from, until time.Time) {
	c.Helper()
	key, keyPEM, err := pki.NewKey()
	c.check(err)
	ca, err := pki.ReadCertificates(filepath.Join(c.certs, "ca.pem"))
	c.check(err)
	caKey, err := pki.ReadKey(filepath.Join(c.certs, "ca-key.pem"))
	c.check(err)
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: from, NotAfter: until,
		Subject:  pkix.Name{CommonName: "n2", Organization: []string{pki.Organization}},
		DNSNames: []string{"n2"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, ca[0], (*ecdsa.PublicKey)(&key.PublicKey), caKey)
	c.check(err)
	c.check(pki.WriteNode(pki.FilesIn(dir, "n2"), pki.Material{
		Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), Key: keyPEM,
	}))
}

func (c *newcomer) check(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

// otherAuthority makes one of another cluster.
func (c *newcomer) otherAuthority() (dir string) {
	dir = filepath.Join(c.TempDir(), "other")
	c.must("cert", "init", "--dir", dir)
	return dir
}

// badStart is a start that must be refused.
type badStart struct {
	name string
	make func(c *newcomer)
	want string // all that is said; … stands for anything
}

func badSettings() []badStart {
	return []badStart{
		{"a name that is none", func(c *newcomer) { c.n2.process.Args = []string{"serve", "--name", "n/2", "--cluster", c.listed} }, "settings: invalid: 2 problems\n" +
			"error: cluster.cert_file: is missing; nodes that found a cluster together need certificates of one authority: make them with 'setpoint cert init' and 'setpoint cert issue', or found with one node and let the others join\n" +
			"error: --name: cluster.name: \"n/2\" is no name; use 1 to 63 letters, digits, '.', '_' or '-', beginning with a letter or digit"},
		{"not among the members", func(c *newcomer) {
			c.with("--cluster", "n1="+c.n1.peer, "--cert-dir", c.n1.certs)
		}, "start cluster.members: invalid: this node, n2, is not among n1=ADDR1; set cluster.name to one of them, or add it there on every node"},
		{"two members at one address", func(c *newcomer) { c.with("--cluster", "n1="+c.n1.peer+",n2="+c.n1.peer) }, "settings: invalid: 2 problems\n" +
			"error: cluster.cert_file: is missing; nodes that found a cluster together need certificates of one authority: make them with 'setpoint cert init' and 'setpoint cert issue', or found with one node and let the others join\n" +
			"error: --cluster: cluster.members: n1 and n2 have the same address ADDR1; each member has its own"},
		{"an edge among members", func(c *newcomer) { c.with("--edge", "--cluster", c.listed) }, "settings: invalid: 2 problems\n" +
			"error: cluster.join: is missing; an edge needs the address of a node of its cluster\n" +
			"error: --cluster: cluster.members: must be empty for an edge, which is none; use join"},
		{"an edge that joins nobody", func(c *newcomer) { c.with("--edge") }, "settings: invalid: cluster.join: is missing; an edge needs the address of a node of its cluster"},
		{"founders without certificates", func(c *newcomer) { c.with("--cluster", c.listed) }, "settings: invalid: cluster.cert_file: is missing; nodes that found a cluster together need certificates of one authority: make them with 'setpoint cert init' and 'setpoint cert issue', or found with one node and let the others join"},
		{"a token for nobody", func(c *newcomer) { c.with("--token-file", c.good) }, "settings: invalid: cluster.join: is missing; join_token is of use only with the address of a node to join"},
		{"a token file that is not there", func(c *newcomer) { c.with("--join", c.n1.peer, "--token-file", "/nowhere/token") }, "serve --token-file: invalid: open /nowhere/token: no such file or directory"},
		{"a token that is none", func(c *newcomer) { c.with("--join", c.n1.peer, "--token-file", c.tokenFile("spj_hunter2")) }, "settings: invalid: --token-file: cluster.join_token: invalid: this is no join token: it begins with spj_ and has 108 characters; 'setpoint cluster add' makes one"},
		{"no token at all", func(c *newcomer) { c.with("--join", c.n1.peer) }, "start cluster.join_token: invalid: is missing; this node has no certificate yet: make a token with 'setpoint cluster add' on the cluster, or give it files of the cluster's authority with cluster.cert_file"},
		{"a folder without certificates", func(c *newcomer) { c.with("--cluster", c.listed, "--cert-dir", c.TempDir()) }, "certificate …/n2.pem: invalid: cannot be read: no such file or directory; issue one with 'setpoint cert issue n2', or have your own authority do so"},
		{"an address without a port", func(c *newcomer) { c.with("--join", "127.0.0.1", "--token-file", c.good) }, `settings: invalid: --join: cluster.join: "127.0.0.1" is no address; write host:port`},
	}
}

func badCertificates() []badStart {
	day := 24 * time.Hour
	return []badStart{
		{"a certificate that has expired", func(c *newcomer) {
			c.certified(func(dir string) { c.forge(dir, time.Now().Add(-2*day), time.Now().Add(-day)) })
		}, "certificate …/n2.pem: invalid: expired on …; issue one with 'setpoint cert issue n2', or have your own authority do so"},
		{"a certificate of the future", func(c *newcomer) {
			c.certified(func(dir string) { c.forge(dir, time.Now().Add(day), time.Now().Add(2*day)) })
		}, "certificate …/n2.pem: invalid: is not valid before …, and this machine's clock says …: set the clock, if that is wrong; issue one with 'setpoint cert issue n2', or have your own authority do so"},
		{"a certificate for another name", func(c *newcomer) {
			c.certified(func(dir string) {
				c.must("cert", "issue", "n7", "--dir", c.certs, "--out", dir)
				c.copy(filepath.Join(dir, "n7.pem"), filepath.Join(dir, "n2.pem"))
				c.copy(filepath.Join(dir, "n7-key.pem"), filepath.Join(dir, "n2-key.pem"))
			})
		}, `certificate …/n2.pem: invalid: is that of the node "n7", and this is "n2"; issue one with 'setpoint cert issue n2', or have your own authority do so`},
		{"a certificate for another host", func(c *newcomer) {
			c.certified(func(dir string) { c.must("cert", "issue", "n2=192.0.2.7", "--dir", c.certs, "--out", dir) })
		}, `certificate …/n2.pem: invalid: is not good for "127.0.0.1", where others reach this node; it is good for n2, 192.0.2.7; issue one with 'setpoint cert issue n2', or have your own authority do so`},
		{"a certificate of another authority", func(c *newcomer) {
			c.certified(func(dir string) {
				ca := c.otherAuthority()
				c.must("cert", "issue", "n2", "--dir", ca)
				c.copy(filepath.Join(ca, "n2.pem"), filepath.Join(dir, "n2.pem"))
				c.copy(filepath.Join(ca, "n2-key.pem"), filepath.Join(dir, "n2-key.pem"))
			})
		}, `certificate …/n2.pem: invalid: was issued by "setpoint authority …", which is not in …/ca.pem: that holds "setpoint authority …"; issue one with 'setpoint cert issue n2', or have your own authority do so`},
		{"all of another authority", func(c *newcomer) {
			c.certified(func(dir string) { c.must("cert", "issue", "n2", "--dir", c.otherAuthority(), "--out", dir) })
		}, `start ADDR1: invalid: this node and the node n1 do not take each other for nodes of one cluster: its certificate, that of "n1", was issued by "setpoint authority …", which this node does not trust; it is another cluster's, or its authority is missing in this node's ca file`},
		{"the key of another certificate", func(c *newcomer) {
			c.certified(func(dir string) {
				c.must("cert", "issue", "n7", "--dir", c.certs, "--out", dir)
				c.copy(filepath.Join(dir, "n7-key.pem"), filepath.Join(dir, "n2-key.pem"))
			})
		}, "certificate …/n2-key.pem: invalid: does not match the certificate …/n2.pem: they were not made together; issue one with 'setpoint cert issue n2', or have your own authority do so"},
		{"no certificate of the authority", func(c *newcomer) {
			c.certified(func(dir string) { c.check(os.Remove(filepath.Join(dir, "ca.pem"))) })
		}, "certificate …/ca.pem: invalid: cannot be read: no such file or directory; copy the certificate of the cluster's authority there, the ca.pem of 'setpoint cert' or that of your own"},
		{"no key", func(c *newcomer) {
			c.certified(func(dir string) { c.check(os.Remove(filepath.Join(dir, "n2-key.pem"))) })
		}, "certificate …/n2-key.pem: invalid: cannot be read: no such file or directory; issue one with 'setpoint cert issue n2', or have your own authority do so"},
		{"a damaged certificate", func(c *newcomer) {
			c.certified(func(dir string) { c.check(os.WriteFile(filepath.Join(dir, "n2.pem"), []byte("-----BEGIN"), 0o600)) })
		}, "certificate …/n2.pem: invalid: holds no PEM certificate; issue one with 'setpoint cert issue n2', or have your own authority do so"},
	}
}

func badCompany() []badStart {
	none := func(string) {}
	return []badStart{
		{"another cluster token", func(c *newcomer) {
			c.certified(none)
			c.n2.set("CLUSTER_TOKEN=staging")
		}, `start cluster.token: invalid: the node n1 at ADDR1 is of a cluster with another token than "staging"; set cluster.token to that cluster's, or mend the address`},
		{"another cluster token, joining", func(c *newcomer) {
			c.joining()
			c.n2.set("CLUSTER_TOKEN=staging")
		}, "join ADDR1: invalid: the cluster's token is another; leave cluster.token out, it comes with joining"},
		{"the name of a node that runs", func(c *newcomer) {
			c.n2.process.Args = []string{"serve", "--name", "n1", "--cluster", "n1=" + c.n2.peer + ",n3=" + c.n1.peer, "--cert-dir", c.n1.certs}
		}, "start cluster.name: already exists: a node named n1 runs already, at ADDR1; give this one another name"},
		{"the name of a member, joining", func(c *newcomer) {
			c.n2.process.Args = []string{"serve", "--name", "n1"}
			c.joining()
		}, "join ADDR1: already exists: a member named n1 is in the cluster already, at ADDR1; give this node another name, or remove that one first"},
		{"the port of another node", func(c *newcomer) { c.with("--cluster-addr", c.n1.peer); c.joining() }, "start cluster.addr: unavailable: the address ADDR1 is in use by another process; stop that one, or set cluster.addr to another"},
		{"the HTTP port of another node", func(c *newcomer) { c.with("--http-addr", c.n1.http); c.joining() }, "start http.addr: unavailable: the address HTTP1 is in use by another process; stop that one, or set http.addr to another"},
		{"the admin port of another node", func(c *newcomer) { c.with("--admin-addr", c.n1.admin); c.joining() }, "start admin.addr: unavailable: the address ADMIN1 is in use by another process; stop that one, or set admin.addr to another"},
		{"the address of another node", func(c *newcomer) {
			c.with("--cluster-addr", c.n2.peer, "--join", c.n1.peer, "--advertise", c.n1.peer, "--token-file", c.invite(c.n1, client.NewJoinToken{}))
		}, "join ADDR1: already exists: the address ADDR1 is that of the member n1; set cluster.advertise to this node's own, or remove that one first"},
		{"an address where nobody reaches it", func(c *newcomer) {
			c.with("--cluster-addr", c.n2.peer, "--join", c.n1.peer, "--advertise", c.addr(), "--token-file", c.invite(c.n1, client.NewJoinToken{}))
		}, "join ADDR1: invalid: the node n2 cannot be reached at … from n1 (nothing listens there; is the node running?); set its cluster.advertise to an address that other nodes reach"},
		{"a clock that is ahead", func(c *newcomer) {
			c.certified(none)
			c.clock("+3600s")
		}, "start: invalid: this machine's clock is 1h0m0s ahead of that of the node n1, more than the 10s of cluster.max_clock_offset; set it, and keep it with NTP"},
		{"a clock that is behind", func(c *newcomer) {
			c.certified(none)
			c.clock("-60s")
		}, "start: invalid: this machine's clock is 1m0s behind that of the node n1, more than the 10s of cluster.max_clock_offset; set it, and keep it with NTP"},
		{"a cluster that was founded without it", func(c *newcomer) { c.certified(none) }, "start cluster.members: conflict: the cluster was founded without n2; let it join: make a token with 'setpoint cluster add' and start it with --join ADDR1 --token TOKEN"},
		{"members mixed up", func(c *newcomer) {
			c.must("cert", "issue", "n2", "--dir", c.certs)
			c.with("--cluster", "n3="+c.n1.peer+",n2="+c.n2.peer, "--cert-dir", c.certs)
		}, "start cluster.members: invalid: at ADDR1 runs the node n1, and not n3; mend the addresses"},
		{"an edge with a member's token", func(c *newcomer) {
			c.with("--edge", "--join", c.n1.peer, "--token-file", c.invite(c.n1, client.NewJoinToken{}))
		}, "join ADDR1: invalid: the token lets a member in, and n2 is to be an edge; start it without --edge, or make a token with 'setpoint cluster add --edge'"},
		{"a member with an edge's token", func(c *newcomer) {
			c.with("--join", c.n1.peer, "--advertise", c.n2.peer, "--token-file", c.invite(c.n1, client.NewJoinToken{Edge: true}))
		}, "join ADDR1: invalid: the token lets an edge in, and n2 is to be a member; start it with --edge, or make a token for a member"},
		{"a token that has expired", func(c *newcomer) {
			c.with("--join", c.n1.peer, "--advertise", c.n2.peer, "--token-file", c.invite(c.n1, client.NewJoinToken{TTL: time.Nanosecond}))
		}, "join ADDR1: denied: the join token is not good here: it may be mistyped, expired, revoked or used by another node; 'setpoint cluster add' makes a new one"},
		{"a token that was used", func(c *newcomer) {
			used := c.invite(c.n1, client.NewJoinToken{Edge: true})
			e := c.node("e1")
			e.args("--edge", "--join", c.n1.peer, "--token-file", used)
			e.restart()
			e.stop()
			c.with("--edge", "--join", c.n1.peer, "--token-file", used)
		}, "join ADDR1: denied: the join token is not good here: it may be mistyped, expired, revoked or used by another node; 'setpoint cluster add' makes a new one"},
		{"a token of another cluster", func(c *newcomer) {
			text, err := os.ReadFile(c.good)
			c.check(err)
			token, err := config.ParseJoinToken(config.NewSecret(string(text)))
			c.check(err)
			token.Fingerprint = strings.Repeat("0", len(token.Fingerprint))
			c.with("--join", c.n1.peer, "--advertise", c.n2.peer, "--token-file", c.tokenFile(token.Text().Reveal()))
		}, `join ADDR1: denied: the join token is for another cluster than the one there: the certificate was issued by "setpoint authority …", and not by the authority with the fingerprint …: it is another cluster's, or someone is in between`},
	}
}

// clock has n2 run with a clock that is off.
func (c *newcomer) clock(off string) {
	c.Helper()
	var err error
	c.n2.process.Program, err = clockBinary()
	c.check(err)
	file := filepath.Join(c.TempDir(), "clock")
	c.check(os.WriteFile(file, []byte(off), 0o600))
	c.n2.process.Env = append(c.n2.process.Env, "FAULT_CLOCK="+file)
}

// TestBadStarts starts a node in all the ways that must fail: each is told in
// words, at once, and at last the same node on the same data directory starts as
// it should, with a token that was shown many times.
func TestBadStarts(t *testing.T) {
	t.Parallel()
	h, nodes := foundedBy(t, "n1")
	c := &newcomer{house: h, n1: nodes[0], n2: h.node("n2"), good: ""}
	c.good = h.invite(c.n1, client.NewJoinToken{})
	c.listed = "n1=" + c.n1.peer + ",n2=" + c.n2.peer
	args, env := c.n2.process.Args, c.n2.process.Env
	for _, tc := range slices.Concat(badSettings(), badCertificates(), badCompany()) {
		t.Run(tc.name, func(t *testing.T) {
			outer := c.TB
			c.TB = t
			defer func() { c.TB = outer }()
			c.n2.process.Program, c.n2.process.Args, c.n2.process.Env = binary, slices.Clone(args), slices.Clone(env)
			tc.make(c)
			want := strings.NewReplacer("ADDR1", c.n1.peer, "HTTP1", c.n1.http, "ADMIN1", c.n1.admin).Replace(tc.want)
			wantText(t, want, c.n2.refused())
			if left := c.left(); len(left) > 0 {
				t.Errorf("want nothing in the data directory that a good start would stumble over, got %v", left)
			}
		})
	}
	c.n2.process.Program, c.n2.process.Args, c.n2.process.Env = binary, slices.Clone(args), slices.Clone(env)
	c.joining()
	c.n2.restart()
	h.roles(c.n1, map[string]config.Role{"n1": config.Voter, "n2": config.Voter})
}

// left lists the files that bad starts left behind, but for a lock and a request
// for a certificate, which is good for the next attempt.
func (c *newcomer) left() (found []string) {
	c.Helper()
	err := filepath.WalkDir(c.n2.data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), "node-request") || d.Name() == "lock" {
			return err
		}
		found = append(found, path)
		return nil
	})
	if err != nil && !os.IsNotExist(err) {
		c.Fatal(err)
	}
	return found
}
