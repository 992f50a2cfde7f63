package e2e

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// dial opens a connection to the main port with a TLS handshake done.
func (s *server) dial() (*tls.Conn, error) {
	conf := s.trust()
	conf.NextProtos = []string{"http/1.1"}
	d := &tls.Dialer{NetDialer: &net.Dialer{Timeout: patience}, Config: conf}
	c, err := d.Dial("tcp", s.addr)
	if err != nil {
		return nil, err
	}
	conn, ok := c.(*tls.Conn)
	if !ok {
		return nil, errors.New("not a TLS connection")
	}
	return conn, conn.SetDeadline(time.Now().Add(patience))
}

// send writes bytes as they are, on a connection of their own, and reads the
// answer or, if there could be more than one, all that come.
func (s *server) send(t testing.TB, raw string, more bool) []answer {
	t.Helper()
	c, err := s.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	// The server may answer and close before it has read everything.
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		_, _ = io.WriteString(c, raw)
	}()
	var all []answer
	in := bufio.NewReader(c)
	for {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			break
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		all = append(all, answer{resp, body})
		if resp.Close || !more {
			break
		}
		// More answers come only to more requests, and those were sent at once.
		_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	}
	c.Close()
	<-wrote
	return all
}

// request writes an HTTP/1.1 request. headers are whole lines.
func request(method, target, body string, headers ...string) string {
	var b strings.Builder
	b.WriteString(method + " " + target + " HTTP/1.1\r\nHost: setpoint.test\r\n")
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	b.WriteString("\r\n" + body)
	return b.String()
}

// closes waits until the server closes the connection, and returns what it sent.
func closes(t testing.TB, c net.Conn) []byte {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	got, err := io.ReadAll(c)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		t.Error("the server keeps the connection open")
	}
	return bytes.TrimSpace(got)
}
