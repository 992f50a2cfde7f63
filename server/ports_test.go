package server_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/setpointhq/setpoint/internal/freeport"
	"github.com/setpointhq/setpoint/internal/pki"
	"github.com/setpointhq/setpoint/test/harness"
)

// ofAuthority is an authority with a certificate for loopback.
func ofAuthority(t *testing.T) (authority *pki.Authority, pair tls.Certificate, files pki.Files) {
	t.Helper()
	authority, err := pki.CreateAuthority(t.TempDir(), pki.Options{})
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := authority.Issue(pki.Request{Name: "n1", Hosts: []string{"127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	if pair, err = tls.X509KeyPair(cert, key); err != nil {
		t.Fatal(err)
	}
	files = pki.FilesIn(t.TempDir(), "n1")
	if err := pki.WriteNode(files, pki.Material{CA: authority.Bundle(), Cert: cert, Key: key}); err != nil {
		t.Fatal(err)
	}
	return authority, pair, files
}

// trusting is an HTTP client that trusts an authority and shows certificates.
func trusting(authority *pki.Authority, shown ...tls.Certificate) *http.Client {
	roots := x509.NewCertPool()
	roots.AddCert(authority.Certificate())
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: shown}}}
}

func TestAProtocolWithAPortOfItsOwn(t *testing.T) {
	authority, pair, files := ofAuthority(t)
	addr := freeport.For(t)
	n := harness.Start(t, harness.Options{Store: "memory", Settings: map[string]string{
		"protocols": "rest,ws", "protocols.ws.port.addr": addr,
		"protocols.ws.port.tls.cert_file": files.Cert, "protocols.ws.port.tls.key_file": files.Key, "protocols.ws.port.tls.client_ca_file": files.CA,
	}})
	const path = "/v1/ws"
	known := trusting(authority, pair)
	if status, body := get(t, known, "https://"+addr+path); status != http.StatusUpgradeRequired {
		t.Errorf("want the protocol on its port, got %d %q", status, body)
	}
	if status, _ := get(t, known, "https://"+addr+"/v1/tenants"); status != http.StatusNotFound {
		t.Errorf("want no other protocol on that port, got %d", status)
	}
	if status, body := get(t, known, "https://"+addr+"/readyz"); status != http.StatusOK {
		t.Errorf("want health on that port too, got %d %q", status, body)
	}
	if status, _ := get(t, n.HTTP(t), n.URL+path); status != http.StatusUnauthorized {
		t.Errorf("want the protocol on no other port, where REST asks who is calling, got %d", status)
	}
	if resp, err := trusting(authority).Get("https://" + addr + path); err == nil {
		resp.Body.Close()
		t.Error("want nobody let in without a certificate")
	}
}

func TestAPortWithoutFilesIsAsTheHTTPPort(t *testing.T) {
	addr := freeport.For(t)
	n := harness.Start(t, harness.Options{Store: "memory", Settings: map[string]string{"protocols": "rest,ws", "protocols.ws.port.addr": addr}})
	if status, body := get(t, n.HTTP(t), "https://"+addr+"/v1/ws"); status != http.StatusUpgradeRequired {
		t.Errorf("want the protocol under the certificate of the HTTP port, got %d %q", status, body)
	}
}

func TestWhatPortsAreRefused(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none.pem")
	for name, tc := range map[string]struct {
		settings map[string]string
		want     string
	}{
		"no address":                 {map[string]string{"addr": "ws"}, `protocols.ws.port.addr`},
		"a port in use":              {map[string]string{"addr": "ADMIN"}, "in use by another process; stop that one, or set protocols.ws.port.addr to another"},
		"a certificate without key":  {map[string]string{"addr": "127.0.0.1:0", "tls.cert_file": missing}, "protocols.ws.port.tls.key_file: is missing"},
		"files without a port":       {map[string]string{"tls.client_ca_file": missing}, "protocols.ws.port.addr: is missing"},
		"files that are not there":   {map[string]string{"addr": "127.0.0.1:0", "tls.cert_file": missing, "tls.key_file": missing}, "protocols.ws.port.tls"},
		"no connections":             {map[string]string{"addr": "127.0.0.1:0", "max_connections": "0"}, "protocols.ws.port.max_connections: must be at least 1"},
		"plain, for others to reach": {map[string]string{"addr": "0.0.0.0:0", "PLAIN": ""}, "can be reached from other machines"},
	} {
		t.Run(name, func(t *testing.T) {
			settings := map[string]string{"protocols": "rest,ws", "admin.addr": freeport.For(t)}
			for key, value := range tc.settings {
				switch {
				case key == "PLAIN":
					settings["tls.enabled"] = "false"
				case value == "ADMIN":
					settings["protocols.ws.port."+key] = settings["admin.addr"]
				default:
					settings["protocols.ws.port."+key] = value
				}
			}
			n, err := harness.Run(harness.Options{Store: "memory", Settings: settings})
			if err == nil {
				_ = n.Stop()
				t.Fatal("want an error")
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("want it to say %q, got %v", tc.want, err)
			}
		})
	}
}
