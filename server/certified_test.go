package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/setpointhq/setpoint/api/setpointv1"
	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/cmd/setpoint/certificates"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/freeport"
	"github.com/setpointhq/setpoint/test/harness"
)

// cert runs 'setpoint cert'.
func cert(t *testing.T, args ...string) {
	t.Helper()
	root := &cobra.Command{Use: "setpoint", SilenceUsage: true}
	root.PersistentFlags().BoolP("quiet", "q", true, "")
	root.PersistentFlags().StringP("output", "o", "table", "")
	root.AddCommand(certificates.Command())
	root.SetArgs(append([]string{"cert"}, args...))
	root.SetOut(io.Discard)
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
}

// certified is a node that knows clients by certificates, and what they need.
type certified struct {
	*harness.Server
	dir   string // of the clients' authority
	grpc  string // the address of gRPC's own port
	roots *x509.CertPool
}

func startCertified(t *testing.T, settings map[string]string) *certified {
	t.Helper()
	c := &certified{dir: filepath.Join(t.TempDir(), "clients"), grpc: freeport.For(t), roots: x509.NewCertPool()}
	cert(t, "init", "--clients", "--dir", c.dir)
	all := map[string]string{
		"auth": "token,basic,mtls", "auth.mtls.ca_file": filepath.Join(c.dir, "ca.pem"), "auth.mtls.groups": "organizational_unit",
		"protocols": "rest,grpc,graphql,ws", "protocols.grpc.port.addr": c.grpc,
	}
	for key, value := range settings {
		if all[key] = value; value == "" {
			delete(all, key)
		}
	}
	c.Server = harness.Start(t, harness.Options{Store: "memory", Settings: all})
	text, err := os.ReadFile(filepath.Join(c.DataDir, "tls", "cert.pem"))
	if err != nil || !c.roots.AppendCertsFromPEM(text) {
		t.Fatalf("the node's certificate: %v", err)
	}
	return c
}

// issue makes a client's certificate.
func (c *certified) issue(t *testing.T, name string, flags ...string) *tls.Certificate {
	t.Helper()
	cert(t, append([]string{"client", name, "--dir", c.dir}, flags...)...)
	return pair(t, c.dir, name)
}

func pair(t *testing.T, dir, name string) *tls.Certificate {
	t.Helper()
	p, err := tls.LoadX509KeyPair(filepath.Join(dir, name+".pem"), filepath.Join(dir, name+"-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return &p
}

func (c *certified) tls(shown *tls.Certificate) *tls.Config {
	conf := &tls.Config{RootCAs: c.roots, ServerName: "localhost", MinVersion: tls.VersionTLS12}
	if shown != nil {
		conf.Certificates = []tls.Certificate{*shown}
	}
	return conf
}

// ask sends a request over HTTP on a connection of its own.
func (c *certified) ask(t *testing.T, conf *tls.Config, method, path, body string, header http.Header) (status int, answer string) {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: conf, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), method, c.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// call asks over gRPC who is calling and for a tenant.
func (c *certified) call(t *testing.T, addr string, conf *tls.Config, md ...string) (who string, code codes.Code) {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(credentials.NewTLS(conf)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx := metadata.AppendToOutgoingContext(t.Context(), md...)
	me, err := setpointv1.NewIdentityServiceClient(conn).WhoAmI(ctx, &setpointv1.WhoAmIRequest{})
	if err != nil {
		return "", status.Code(err)
	}
	_, err = setpointv1.NewScopeServiceClient(conn).GetTenant(ctx, &setpointv1.GetTenantRequest{Tenant: "acme"})
	return me.GetUser(), status.Code(err)
}

func (c *certified) host(t *testing.T) string {
	t.Helper()
	u, err := url.Parse(c.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

func TestClientsByCertificateHaveWhatIsBoundToThem(t *testing.T) {
	c := startCertified(t, nil)
	admin := c.Client(t)
	if _, err := admin.CreateTenant(t.Context(), config.Tenant{Name: "acme"}); err != nil {
		t.Fatal(err)
	}
	deployer := c.tls(c.issue(t, "deployer", "--group", "ci"))
	web := c.tls(c.issue(t, "web", "--spiffe", "spiffe://example.org/shop/web"))
	wants := func(conf *tls.Config, who string, http int, rpc codes.Code) {
		t.Helper()
		if code, answer := c.ask(t, conf, "GET", "/v1/auth/whoami", "", nil); code != 200 || !strings.Contains(answer, `"user":"`+who+`"`) {
			t.Errorf("REST: want %s, got %d %s", who, code, answer)
		}
		if code, answer := c.ask(t, conf, "GET", "/v1/tenants/acme", "", nil); code != http {
			t.Errorf("REST: want %d for %s, got %d %s", http, who, code, answer)
		}
		if _, answer := c.ask(t, conf, "POST", "/graphql", `{"query":"{whoAmI{user}}"}`, nil); !strings.Contains(answer, `"user":"`+who+`"`) {
			t.Errorf("GraphQL: want %s, got %s", who, answer)
		}
		for name, addr := range map[string]string{"gRPC on its own port": c.grpc, "gRPC on the HTTP port": c.host(t)} {
			if got, code := c.call(t, addr, conf); got != who || code != rpc {
				t.Errorf("%s: want %s and %s, got %q and %s", name, who, rpc, got, code)
			}
		}
	}
	// Nothing is bound to them: they are somebody, and may do nothing.
	wants(deployer, "mtls:deployer", http.StatusForbidden, codes.PermissionDenied)
	wants(web, "mtls:spiffe://example.org/shop/web", http.StatusForbidden, codes.PermissionDenied)

	grant := client.Grant{Role: "viewer", Scope: config.Path{Tenant: "acme"}}
	if _, err := admin.CreateGroupBinding(t.Context(), "mtls:ci", grant); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.CreateBinding(t.Context(), "mtls:spiffe://example.org/shop/web", grant); err != nil {
		t.Fatal(err)
	}
	wants(deployer, "mtls:deployer", http.StatusOK, codes.OK)
	wants(web, "mtls:spiffe://example.org/shop/web", http.StatusOK, codes.OK)
}

func TestCertificatesAreNobodysByHeader(t *testing.T) {
	c := startCertified(t, nil)
	shown := c.issue(t, "deployer")
	der := url.QueryEscape(string(shown.Certificate[0]))
	for name, value := range map[string]string{
		"X-Forwarded-Client-Cert": `By=spiffe://a/b;Hash=00;Cert="` + der + `";Subject="CN=deployer"`,
		"X-Ssl-Client-Cert":       der,
		"X-Ssl-Client-S-Dn":       "CN=deployer",
		"X-Ssl-Client-Verify":     "SUCCESS",
		"X-Client-Cert":           der,
		"Ssl-Client-Cert":         der,
		"Client-Cert":             ":" + der + ":",
		"X-Amzn-Mtls-Clientcert":  der,
		"X-Remote-User":           "mtls:deployer",
	} {
		if code, answer := c.ask(t, c.tls(nil), "GET", "/v1/auth/whoami", "", http.Header{name: {value}}); code != http.StatusUnauthorized {
			t.Errorf("%s: want 401, got %d %s", name, code, answer)
		}
		for _, addr := range []string{c.grpc, c.host(t)} {
			if _, code := c.call(t, addr, c.tls(nil), strings.ToLower(name), "deployer"); code != codes.Unauthenticated {
				t.Errorf("%s over gRPC: want it unauthenticated, got %s", name, code)
			}
		}
	}
}

func TestWhatARequestSaysComesBeforeItsCertificate(t *testing.T) {
	c := startCertified(t, nil)
	shown := c.tls(c.issue(t, "deployer"))
	basic := func(password string) http.Header {
		r := &http.Request{Header: http.Header{}}
		r.SetBasicAuth("admin", password)
		return r.Header
	}
	for name, tc := range map[string]struct {
		header http.Header
		code   int
		who    string
	}{
		"a right password": {basic(c.AdminPassword.Reveal()), http.StatusOK, `"user":"admin"`},
		"a wrong password": {basic("wrong"), http.StatusUnauthorized, ""},
		"a wrong token":    {http.Header{"Authorization": {"Bearer sp_x"}}, http.StatusUnauthorized, ""},
		"another's token":  {http.Header{"Authorization": {"Bearer eyJ"}}, http.StatusUnauthorized, ""},
	} {
		if code, answer := c.ask(t, shown, "GET", "/v1/auth/whoami", "", tc.header); code != tc.code || !strings.Contains(answer, tc.who) {
			t.Errorf("%s: want %d with %s, got %d %s", name, tc.code, tc.who, code, answer)
		}
	}
}

func TestCertificatesThatAreNoClients(t *testing.T) {
	c := startCertified(t, nil)
	nodes, others := filepath.Join(t.TempDir(), "nodes"), filepath.Join(t.TempDir(), "others")
	cert(t, "init", "--dir", nodes)
	cert(t, "issue", "n1", "--dir", nodes)
	cert(t, "init", "--clients", "--dir", others)
	cert(t, "client", "deployer", "--dir", others)
	for name, shown := range map[string]*tls.Certificate{"a node's": pair(t, nodes, "n1"), "another authority's": pair(t, others, "deployer")} {
		conf := c.tls(nil)
		// Whatever the server says whose it takes.
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return shown, nil }
		if code, answer := c.ask(t, conf, "GET", "/v1/auth/whoami", "", nil); code != http.StatusUnauthorized || !strings.Contains(answer, "the client certificate proves nobody here") {
			t.Errorf("%s: want 401, got %d %s", name, code, answer)
		}
		if _, code := c.call(t, c.grpc, conf); code != codes.Unauthenticated {
			t.Errorf("%s over gRPC: want it unauthenticated, got %s", name, code)
		}
		// It keeps nobody from logging in, over GraphQL as elsewhere.
		login := `{"query":"mutation{login(input:{username:\"admin\",password:\"` + c.AdminPassword.Reveal() + `\"}){token{user}}}"}`
		if _, answer := c.ask(t, conf, "POST", "/graphql", login, nil); !strings.Contains(answer, `"user":"admin"`) {
			t.Errorf("%s: want a login over GraphQL to be possible, got %s", name, answer)
		}
	}
}

func TestClientsAreToldWhichAuthoritiesCount(t *testing.T) {
	errSeen := errors.New("seen")
	told := func(c *certified, addr string) (authorities int, asked bool) {
		conf := c.tls(nil)
		conf.NextProtos = []string{"h2"}
		conf.GetClientCertificate = func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			authorities, asked = len(r.AcceptableCAs), true
			return nil, errSeen
		}
		conn, err := (&tls.Dialer{Config: conf}).DialContext(context.WithoutCancel(t.Context()), "tcp", addr)
		if err == nil {
			conn.Close()
		}
		return authorities, asked
	}
	c := startCertified(t, nil)
	for _, addr := range []string{c.grpc, c.host(t)} {
		if n, asked := told(c, addr); !asked || n != 1 {
			t.Errorf("want clients asked for a certificate of one authority, got asked %v, %d", asked, n)
		}
	}
	without := startCertified(t, map[string]string{"auth": "token,basic", "auth.mtls.ca_file": "", "auth.mtls.groups": ""})
	if _, asked := told(without, without.host(t)); asked {
		t.Error("want nobody asked for a certificate where no driver proves one")
	}
}

// client_ca_file decides who is connected, the driver who that is: by certificate
// alone is known who satisfies both.
func TestAnAuthorityForEveryClientBesideTheDriver(t *testing.T) {
	gate := filepath.Join(t.TempDir(), "gate")
	cert(t, "init", "--clients", "--dir", gate)
	cert(t, "client", "deployer", "--dir", gate)
	c := startCertified(t, map[string]string{"tls.client_ca_file": filepath.Join(gate, "ca.pem")})
	admitted := c.tls(pair(t, gate, "deployer"))
	if code, answer := c.ask(t, admitted, "GET", "/v1/auth/whoami", "", nil); code != http.StatusUnauthorized {
		t.Errorf("want who is connected nobody to the driver, got %d %s", code, answer)
	}
	r := &http.Request{Header: http.Header{}}
	r.SetBasicAuth("admin", c.AdminPassword.Reveal())
	if code, answer := c.ask(t, admitted, "GET", "/v1/auth/whoami", "", r.Header); code != http.StatusOK {
		t.Errorf("want a password to count for who is connected, got %d %s", code, answer)
	}
	conf, known := c.tls(nil), c.issue(t, "web")
	conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return known, nil }
	for name, refused := range map[string]*tls.Config{"without a certificate": c.tls(nil), "with one for the driver alone": conf} {
		if code, answer := c.ask(t, refused, "GET", "/v1/auth/whoami", "", nil); code != 0 {
			t.Errorf("%s: want no connection, got %d %s", name, code, answer)
		}
	}
}

func TestCertificatesNeedTLS(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "clients")
	cert(t, "init", "--clients", "--dir", dir)
	n, err := harness.Run(harness.Options{Store: "memory", Settings: map[string]string{
		"auth": "token,basic,mtls", "auth.mtls.ca_file": filepath.Join(dir, "ca.pem"), "tls.enabled": "false",
	}})
	if err == nil {
		_ = n.Stop()
		t.Fatal("want an error")
	}
	if !strings.Contains(err.Error(), "while tls.enabled is false") {
		t.Errorf("want it to say why, got %v", err)
	}
}

func TestAClientByCertificateIsWelcomedOverWebSocket(t *testing.T) {
	c := startCertified(t, nil)
	conf := c.tls(c.issue(t, "deployer"))
	conf.NextProtos = []string{"http/1.1"}
	conn, err := (&tls.Dialer{Config: conf}).DialContext(t.Context(), "tcp", c.host(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const hello = "GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	if _, err := io.WriteString(conn, hello); err != nil {
		t.Fatal(err)
	}
	from := bufio.NewReader(conn)
	resp, err := http.ReadResponse(from, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("want the connection taken over, got %+v, %v", resp, err)
	}
	message, err := from.ReadString('}') // who is nobody yet is told nothing
	if err != nil || !strings.Contains(message, `"type":"welcome"`) {
		t.Errorf("want a welcome without a hello, got %q, %v", message, err)
	}
}
