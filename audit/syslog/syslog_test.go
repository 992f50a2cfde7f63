package syslog_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/audit/audittest"
	"github.com/setpointhq/setpoint/audit/syslog"
	"github.com/setpointhq/setpoint/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// receiver is a syslog server that reads counted messages over TLS, and asks
// for a client's certificate.
type receiver struct {
	*audittest.Arrivals
	address string
	server  *tls.Config // nil: plain TCP

	mu       sync.Mutex
	running  sync.WaitGroup
	listener net.Listener
	conns    map[net.Conn]bool
	messages []string      // without the length
	hang     chan struct{} // not nil: closed by the next connection, which nobody serves
}

func receive(t *testing.T, server *tls.Config) *receiver {
	t.Helper()
	r := &receiver{Arrivals: audittest.NewArrivals(), address: "127.0.0.1:0", server: server, conns: map[net.Conn]bool{}}
	r.listen(t)
	t.Cleanup(func() { r.stop(t) })
	return r
}

func (r *receiver) listen(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", r.address)
	if err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.address, r.listener = l.Addr().String(), l
	r.running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			r.mu.Lock()
			r.conns[conn] = true
			if r.hang != nil {
				close(r.hang)
				r.hang = nil
			} else {
				r.running.Go(func() { r.serve(t, conn) })
			}
			r.mu.Unlock()
		}
	})
}

func (r *receiver) stop(*testing.T) {
	r.mu.Lock()
	r.listener.Close()
	for conn := range r.conns {
		conn.Close()
	}
	r.mu.Unlock()
	r.running.Wait()
}

func (r *receiver) serve(t *testing.T, conn net.Conn) {
	defer conn.Close()
	if r.server != nil {
		conn = tls.Server(conn, r.server)
		defer conn.Close()
	}
	for from := bufio.NewReader(conn); ; {
		count, err := from.ReadString(' ')
		if err != nil {
			return
		}
		n, err := strconv.Atoi(strings.TrimSuffix(count, " "))
		if err != nil {
			t.Errorf("want the length of a message, got %q", count)
			return
		}
		message := make([]byte, n)
		if _, err := io.ReadFull(from, message); err != nil {
			return
		}
		r.mu.Lock()
		r.messages = append(r.messages, string(message))
		r.mu.Unlock()
		r.Add(audittest.Decode(t, []byte(parse(t, string(message)).text)))
	}
}

// message is what an RFC 5424 message says.
type message struct {
	header []string
	data   map[string]string // the parameters, and the name under ""
	text   string
}

func parse(t *testing.T, raw string) message {
	t.Helper()
	parts := strings.SplitN(raw, " ", 7)
	if len(parts) != 7 || !strings.HasPrefix(parts[6], "[") {
		t.Fatalf("want seven parts, got %q", raw[:min(len(raw), 200)])
	}
	m := message{header: parts[:6], data: map[string]string{}}
	rest := parts[6][1:]
	end := strings.IndexAny(rest, " ]")
	m.data[""], rest = rest[:end], rest[end:]
	for rest[0] == ' ' {
		name, after, _ := strings.Cut(rest[1:], `="`)
		var value strings.Builder
		for after[0] != '"' {
			if after[0] == '\\' {
				after = after[1:]
			}
			value.WriteByte(after[0])
			after = after[1:]
		}
		m.data[name], rest = value.String(), after[1:]
	}
	m.text = strings.TrimPrefix(rest, "] ")
	return m
}

func serverOf(c audittest.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{c.Pair}, ClientCAs: c.Authority, ClientAuth: tls.RequireAndVerifyClientCert}
}

func settings(r *receiver, c audittest.Certificate) *syslog.Settings {
	var s syslog.Settings
	s.Defaults()
	s.Address = r.address
	if r.server == nil {
		s.Network = "tcp"
	}
	s.TLS.CAFile, s.TLS.CertFile, s.TLS.KeyFile = c.CertFile, c.CertFile, c.KeyFile
	return &s
}

func open(t *testing.T, s *syslog.Settings) audit.Sink {
	t.Helper()
	sink, err := s.Open(t.Context(), audit.Env{Node: "node-1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sink.Close() })
	return sink
}

func TestConformance(t *testing.T) {
	c := audittest.NewCertificate(t)
	for network, server := range map[string]*tls.Config{"tls": serverOf(c), "tcp": nil} {
		t.Run(network, func(t *testing.T) {
			audittest.Sink(t, func(t *testing.T) audittest.Peer {
				r := receive(t, server)
				s := settings(r, c)
				p := audittest.Peer{
					Sink: open(t, s), Arrived: r.Wait,
					Reopen: func(t *testing.T) audit.Sink { return open(t, s) },
					Break:  r.stop, Mend: r.listen,
				}
				if server != nil { // plain TCP has no handshake to hang in
					p.Hang = func(*testing.T) <-chan struct{} {
						r.mu.Lock()
						defer r.mu.Unlock()
						reached := make(chan struct{})
						r.hang = reached
						return reached
					}
				}
				return p
			})
		})
	}
}

func TestAMessage(t *testing.T) {
	r := receive(t, nil)
	sink := open(t, settings(r, audittest.NewCertificate(t)))
	records := audittest.Records(1, 2)
	records[1].Outcome, records[1].Action, records[1].Actor.Subject = audit.Denied, "spaced out\n", "a\"]\\\n\x1b\u202e"+strings.Repeat("ü", 300)
	if err := sink.Write(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	r.Wait(t, 2)
	want := []message{
		{
			header: []string{"<110>1", "2026-11-24T01:02:03.000001Z", "node-1", "setpoint", "-", "config.publish"},
			data: map[string]string{
				"": "setpoint@32473", "id": "0000000000000001", "action": "config.publish", "outcome": "done", "actor": "oidc:ann", "method": "oidc",
				"address": "192.0.2.7", "request": "request-1", "tenant": "acme", "path": "acme/checkout/prod/app.yaml",
			},
		},
		{
			header: []string{"<108>1", "2026-11-24T01:02:03.000002Z", "node-1", "setpoint", "-", "spaced_out_"},
			data: map[string]string{
				"": "setpoint@32473", "id": "0000000000000002", "action": "spaced out\ufffd", "outcome": "denied",
				"actor": "a\"]\\\ufffd\ufffd\ufffd" + strings.Repeat("ü", 249) + "…", "method": "oidc",
				"address": "192.0.2.7", "request": "request-2", "tenant": "acme", "path": "acme/checkout/prod/app.yaml",
			},
		},
	}
	for i, raw := range r.messages {
		got := parse(t, raw)
		got.text = ""
		if diff := cmp.Diff(want[i], got, cmp.AllowUnexported(message{})); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
}

func TestACertificateIsVerified(t *testing.T) {
	ours, theirs := audittest.NewCertificate(t), audittest.NewCertificate(t)
	for _, tc := range []struct {
		name           string
		server, client audittest.Certificate
		authorities    *x509.CertPool // of clients
		want           string
	}{
		{"the server's", theirs, ours, ours.Authority, "certificate"},
		{"the client's", ours, ours, theirs.Authority, "certificate"}, // refused after the handshake
	} {
		t.Run(tc.name, func(t *testing.T) {
			server := serverOf(tc.server)
			server.ClientCAs = tc.authorities
			r := receive(t, server)
			sink := open(t, settings(r, tc.client))
			err := sink.Write(t.Context(), audittest.Records(1, 1))
			if err == nil || config.KindOf(err) != config.Unavailable || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("want it unavailable for a %s, got %v", tc.want, err)
			}
		})
	}
}

func TestValidateNamesWhatIsWrong(t *testing.T) {
	for _, tc := range []struct {
		want   string
		change func(*syslog.Settings)
	}{
		{"audit.syslog.address", func(s *syslog.Settings) { s.Address = "host" }},
		{"audit.syslog.network", func(s *syslog.Settings) { s.Network = "udp" }},
		{"audit.syslog.facility", func(s *syslog.Settings) { s.Facility = "local8" }},
		{"audit.syslog.app_name", func(s *syslog.Settings) { s.AppName = "a b" }},
		{"audit.syslog.data_id", func(s *syslog.Settings) { s.DataID = "a]@1" }},
		{"audit.syslog.timeout", func(s *syslog.Settings) { s.Timeout = 0 }},
		{"audit.syslog.tls.cert_file", func(s *syslog.Settings) { s.TLS.CertFile = "a.pem" }},
		{"audit.syslog.tls.ca_file", func(s *syslog.Settings) { s.TLS.CAFile = "missing.pem" }},
	} {
		t.Run(tc.want, func(t *testing.T) {
			var s syslog.Settings
			s.Defaults()
			s.Address = "logs.example:6514"
			if err := s.Validate(); err != nil {
				t.Fatalf("defaults: %v", err)
			}
			tc.change(&s)
			_, err := s.Open(t.Context(), audit.Env{})
			if err == nil || config.KindOf(err) != config.Invalid || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("want an invalid %s, got %v", tc.want, err)
			}
		})
	}
}
