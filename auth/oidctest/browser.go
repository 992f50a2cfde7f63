package oidctest

import (
	"crypto/x509"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"strings"
	"testing"
)

// Browser returns a new one, which has cookies, trusts the provider, and goes
// wherever it is sent but to CallbackHost.
func (p *Provider) Browser(t testing.TB) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(p.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig.RootCAs = x509.NewCertPool()
	if !transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
		t.Fatalf("want a certificate in %s", p.CAFile)
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Jar: jar, Transport: transport, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if r.URL.Host == CallbackHost {
			return http.ErrUseLastResponse
		}
		return nil
	}}
}

// Visit opens a page, or sends a form to it, and returns what is shown.
func Visit(t testing.TB, c *http.Client, page string, form url.Values) (*http.Response, string) {
	t.Helper()
	method, sent := http.MethodGet, io.Reader(nil)
	if form != nil {
		method, sent = http.MethodPost, strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(t.Context(), method, page, sent)
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	answer, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(body)
}

// Login logs User in on the page to which a client has sent it, and returns what
// comes back to Callback.
func (p *Provider) Login(t testing.TB, page string) url.Values {
	t.Helper()
	b := p.Browser(t)
	form, _ := Visit(t, b, page, nil)
	id := form.Request.URL.Query().Get("authRequestID")
	if id == "" {
		t.Fatalf("want the login page, got %s %s", form.Status, form.Request.URL)
	}
	back, body := Visit(t, b, p.Issuer+"/login/username", url.Values{"id": {id}, "username": {User}, "password": {Password}})
	where, err := back.Location()
	if err != nil || !strings.HasPrefix(where.String(), Callback+"?") {
		t.Fatalf("want to be sent to the callback, got %s %v: %s", back.Status, err, body)
	}
	return where.Query()
}

// Consent logs User in on the page of a device, which shows the code, and allows
// the device what it asks for.
func (p *Provider) Consent(t testing.TB, page, code string) {
	t.Helper()
	p.decide(t, page, code, "allowed")
}

// Refuse is Consent, but denies it.
func (p *Provider) Refuse(t testing.TB, page, code string) {
	t.Helper()
	p.decide(t, page, code, "denied")
}

func (p *Provider) decide(t testing.TB, page, code, action string) {
	t.Helper()
	b := p.Browser(t)
	if _, body := Visit(t, b, page, nil); !strings.Contains(body, code) {
		t.Fatalf("want the code %s on the page, got %s", code, body)
	}
	Visit(t, b, p.Issuer+"/device/login", url.Values{"user_code": {code}, "username": {User}, "password": {Password}})
	if _, body := Visit(t, b, p.Issuer+"/device/confirm?action="+action, nil); !strings.Contains(body, action) {
		t.Fatalf("want it %s, got %s", action, body)
	}
}
