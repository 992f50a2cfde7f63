package ldap

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"text/template"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/setpointhq/setpoint/internal/freeport"
)

// authority is one that tests make, in a folder of their own.
type authority struct {
	tb   testing.TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(tb testing.TB) *authority {
	tb.Helper()
	a := &authority{tb: tb, dir: tb.TempDir()}
	a.cert = certificate("test authority", time.Now().Add(time.Hour))
	a.cert.IsCA, a.cert.BasicConstraintsValid, a.cert.KeyUsage = true, true, x509.KeyUsageCertSign
	a.key = newKey(tb)
	a.file, _ = a.write("ca", a.cert, a.key)
	return a
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func certificate(name string, until time.Time) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-2 * time.Hour), NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
}

// issue makes a server's certificate for loopback, as files.
func (a *authority) issue(name string, until time.Time) (certFile, keyFile string) {
	a.tb.Helper()
	c := certificate(name, until)
	c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	c.DNSNames = []string{"directory.example.org"}
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	return a.write(name, c, newKey(a.tb))
}

func (a *authority) pair(name string, until time.Time) tls.Certificate {
	a.tb.Helper()
	pair, err := tls.LoadX509KeyPair(a.issue(name, until))
	if err != nil {
		a.tb.Fatal(err)
	}
	return pair
}

func (a *authority) write(name string, cert *x509.Certificate, key *ecdsa.PrivateKey) (certFile, keyFile string) {
	a.tb.Helper()
	der, err := x509.CreateCertificate(rand.Reader, cert, a.cert, key.Public(), a.key)
	if err != nil {
		a.tb.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.tb.Fatal(err)
	}
	certFile, keyFile = filepath.Join(a.dir, name+".pem"), filepath.Join(a.dir, name+"-key.pem")
	err = errors.Join(
		os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600),
	)
	if err != nil {
		a.tb.Fatal(err)
	}
	return certFile, keyFile
}

// The server's settings. Nobody may look anything up but the entry that the
// driver is given, and users their own and the groups; binds without a password
// count as nobody's, as some directories have it.
var slapdConf = template.Must(template.New("slapd.conf").Parse(`
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
pidfile {{.Dir}}/slapd.pid
allow bind_anon_cred bind_anon_dn
sizelimit 1000
TLSCertificateFile {{.Cert}}
TLSCertificateKeyFile {{.Key}}
database mdb
suffix dc=example,dc=org
directory {{.Dir}}/data
rootdn cn=root,dc=example,dc=org
rootpw root
overlay memberof
memberof-refint TRUE
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="cn=setpoint,dc=example,dc=org" read by users read by * none
`))

// people are the directory's entries. Passwords are plain here: how a directory
// keeps them is its own matter.
const people = `dn: dc=example,dc=org
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: cn=setpoint,dc=example,dc=org
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: setpoint
userPassword: service secret

dn: ou=people,dc=example,dc=org
objectClass: organizationalUnit
ou: people

dn: uid=alice,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: alice
cn: Alice Example
sn: Example
mail: alice@example.org
userPassword: correct horse battery

dn: uid=bob,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: bob
cn: Bob Example
sn: Example
mail: shared@example.org
userPassword: another secret

dn: uid=carol,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: carol
uid: admin
cn: Carol of Two Names
sn: Example
mail: shared@example.org
userPassword: carols secret

dn: uid=o'hara\, \"x\"\+#(*)\\,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: o'hara, "x"+#(*)\
cn: Odd
sn: Odd
userPassword: odd secret

dn: uid=nopassword,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: nopassword
cn: None
sn: None

dn: ou=groups,dc=example,dc=org
objectClass: organizationalUnit
ou: groups

dn: ou=elsewhere,dc=example,dc=org
objectClass: organizationalUnit
ou: elsewhere

dn: ou=away,ou=people,dc=example,dc=org
objectClass: referral
objectClass: extensibleObject
ou: away
ref: ldap://127.0.0.1:1/ou=people,dc=evil,dc=example
`

// groups are added by the protocol, so that the server notes whose they are in
// memberOf. A circle is closed last.
var groups = []struct{ dn, member string }{
	{"cn=platform,ou=groups,dc=example,dc=org", "uid=alice,ou=people,dc=example,dc=org"},
	{"cn=engineering,ou=groups,dc=example,dc=org", "cn=platform,ou=groups,dc=example,dc=org"},
	{"cn=everyone,ou=groups,dc=example,dc=org", "cn=engineering,ou=groups,dc=example,dc=org"},
	{"cn=circle,ou=groups,dc=example,dc=org", "cn=everyone,ou=groups,dc=example,dc=org"},
	{"cn=admins,ou=elsewhere,dc=example,dc=org", "uid=alice,ou=people,dc=example,dc=org"},
}

// slapd is OpenLDAP's server, as a process of the test's own.
type slapd struct {
	dir     string
	plain   string // host:port of ldap://, StartTLS included
	secure  string // host:port of ldaps://
	ca      string
	command *exec.Cmd
	log     *bytes.Buffer
	ended   sync.WaitGroup
}

func lookSlapd(tb testing.TB) string {
	tb.Helper()
	if path, err := exec.LookPath("slapd"); err == nil {
		return path
	}
	path, err := exec.LookPath("/usr/sbin/slapd")
	if err != nil {
		tb.Fatal("slapd, OpenLDAP's server, is not installed; get it with: make test-deps")
	}
	return path
}

// start makes a directory with the people in it and serves it.
func startSlapd(tb testing.TB) *slapd {
	tb.Helper()
	program := lookSlapd(tb)
	ca := newAuthority(tb)
	s := &slapd{dir: tb.TempDir(), plain: freeport.For(tb), secure: freeport.For(tb), ca: ca.file, log: new(bytes.Buffer)}
	cert, key := ca.issue("slapd", time.Now().Add(time.Hour))
	var conf bytes.Buffer
	if err := slapdConf.Execute(&conf, map[string]string{"Dir": s.dir, "Cert": cert, "Key": key}); err != nil {
		tb.Fatal(err)
	}
	file, ldif := filepath.Join(s.dir, "slapd.conf"), filepath.Join(s.dir, "people.ldif")
	err := errors.Join(
		os.Mkdir(filepath.Join(s.dir, "data"), 0o700),
		os.WriteFile(file, conf.Bytes(), 0o600),
		os.WriteFile(ldif, []byte(people), 0o600),
	)
	if err != nil {
		tb.Fatal(err)
	}
	s.program(tb, program, "-Tadd", "-f", file, "-l", ldif)
	s.command = exec.CommandContext(tb.Context(), program, "-d", "0", "-f", file, "-h", "ldap://"+s.plain+"/ ldaps://"+s.secure+"/")
	s.command.Stderr = s.log
	s.command.Stdout = s.log
	if err := s.command.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.stop(tb) })
	exited := make(chan struct{})
	s.ended.Go(func() { defer close(exited); _ = s.command.Wait() })
	s.awaitReady(tb, exited)
	s.addGroups(tb)
	return s
}

// root returns a connection that may do anything.
func (s *slapd) root(tb testing.TB) *ldap.Conn {
	tb.Helper()
	c, err := ldap.DialURL("ldap://" + s.plain)
	if err == nil {
		err = c.Bind("cn=root,dc=example,dc=org", "root")
	}
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func (s *slapd) addGroups(tb testing.TB) {
	tb.Helper()
	c := s.root(tb)
	defer c.Close()
	for _, g := range groups {
		add := ldap.NewAddRequest(g.dn, nil)
		add.Attribute("cn", []string{leading(g.dn, "cn")})
		add.Attribute("objectClass", []string{"groupOfNames"})
		add.Attribute("member", []string{g.member})
		if err := c.Add(add); err != nil {
			tb.Fatalf("adding %s: %v", g.dn, err)
		}
	}
	circle := ldap.NewModifyRequest("cn=everyone,ou=groups,dc=example,dc=org", nil)
	circle.Add("member", []string{"cn=circle,ou=groups,dc=example,dc=org"})
	if err := c.Modify(circle); err != nil {
		tb.Fatal(err)
	}
}

func (s *slapd) program(tb testing.TB, name string, args ...string) {
	tb.Helper()
	out, err := exec.CommandContext(tb.Context(), name, args...).CombinedOutput()
	if err != nil {
		tb.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// awaitReady waits until both ports are listened at.
func (s *slapd) awaitReady(tb testing.TB, exited <-chan struct{}) {
	tb.Helper()
	every := time.NewTicker(10 * time.Millisecond)
	defer every.Stop()
	for _, addr := range []string{s.plain, s.secure} {
		for {
			c, err := net.Dial("tcp", addr)
			if err == nil {
				c.Close()
				break
			}
			select {
			case <-every.C:
			case <-exited:
				tb.Fatalf("slapd ended:\n%s", s.log)
			case <-tb.Context().Done():
				tb.Fatal("slapd does not listen in time")
			}
		}
	}
}

func (s *slapd) stop(tb testing.TB) {
	tb.Helper()
	_ = s.command.Process.Kill() // it may have ended already
	s.ended.Wait()
}
