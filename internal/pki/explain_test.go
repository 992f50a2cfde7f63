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
	"syscall"
	"testing"
)

func TestErrorsOfConnectionsAreExplained(t *testing.T) {
	alert := func(text string) error { return &net.OpError{Op: "remote error", Err: errors.New("tls: " + text)} }
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"none":                {nil, ""},
		"unknown":             {errors.New("something else"), "something else"},
		"refused":             {&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, "nothing listens there; is the node running?"},
		"reset":               {&net.OpError{Op: "read", Err: syscall.ECONNRESET}, "it closed the connection before it was established"},
		"closed":              {fmt.Errorf("handshake: %w", io.EOF), "it closed the connection before it was established"},
		"deadline":            {context.DeadlineExceeded, "it did not answer in time"},
		"read deadline":       {&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, "it did not answer in time"},
		"canceled":            {context.Canceled, "context canceled"},
		"unknown name":        {&net.DNSError{Err: "no such host", Name: "h1"}, `the name "h1" is not known: no such host`},
		"no certificate":      {alert("certificate required"), "it wants a certificate, and this node showed none"},
		"other protocols":     {alert("no application protocol"), "it speaks TLS but not what nodes speak; is this the port of its peers?"},
		"an unheard-of alert": {alert("user canceled"), "remote error: tls: user canceled"},
		"an unknown authority, bare": {
			x509.UnknownAuthorityError{}, "its certificate was issued by an authority that this node does not trust",
		},
		"for clients only": {
			&tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.IncompatibleUsage}},
			`its certificate, that of "", may not be used by a server`,
		},
		"a host without a certificate": {x509.CertificateInvalidError{Reason: x509.Expired}, x509.CertificateInvalidError{Reason: x509.Expired}.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Explain(c.err); got != c.want {
				t.Errorf("want %q, got %q", c.want, got)
			}
		})
	}
}

func TestAClientOfPlainTextIsExplained(t *testing.T) {
	raw, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if conn, err := raw.Accept(); err == nil {
			fmt.Fprint(conn, "HTTP/1.1 400 Bad Request\r\n\r\n")
			io.Copy(io.Discard, conn)
			conn.Close()
		}
	}()
	defer func() { raw.Close(); <-done }()
	dir, a := authority(t)
	_, err = keeper(t, write(t, dir, a, local("n1"))).Dial(t.Context(), "tcp", raw.Addr().String())
	if err == nil {
		t.Fatal("want no connection")
	}
	wantText(t, Explain(err), "it does not speak TLS")
}
