package client_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"go.uber.org/goleak"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve runs a handler behind real TLS and returns a client that pins it.
func serve(t *testing.T, h http.Handler, change ...func(*client.Options)) *client.Client {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	o := client.Options{
		Endpoints: []string{srv.URL},
		Token:     config.NewSecret("sp_secret"),
		TLS:       client.TLS{Fingerprint: client.Fingerprint(srv.Certificate())},
	}
	for _, f := range change {
		f(&o)
	}
	return newClient(t, o)
}

func newClient(t *testing.T, o client.Options) *client.Client {
	t.Helper()
	c, err := client.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func mustPath(t *testing.T, s string) config.Path {
	t.Helper()
	p, err := config.ParsePath(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
