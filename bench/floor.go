package bench

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"time"
)

// FloorCommand is the first argument of a process that is to be a floor; the
// second is the floor's name, for Floor.
const FloorCommand = "floor"

// The floors.
const (
	floorHTTP   = "http"
	floorFanout = "fanout"
	floorEngine = "engine"
	floorEtcd   = "etcd"
)

// Floor is a floor's process: the least that has to be done for the same
// effect. It reads its setup from in, says on out that it is ready, does as it
// is told, and ends when in does.
func Floor(ctx context.Context, name string, in io.Reader, out io.Writer) error {
	t := newTalk(in, out)
	switch name {
	case floorHTTP:
		return serveHTTPFloor(t)
	case floorFanout:
		return serveFanoutFloor(t)
	case floorEngine:
		return serveEngineFloor(ctx, t)
	case floorEtcd:
		return serveEtcdFloor(ctx, t)
	default:
		return fmt.Errorf("there is no floor %q", name)
	}
}

// talk is a child's end of the talk with its parent.
type talk struct {
	in  *bufio.Scanner
	out *json.Encoder
}

func newTalk(in io.Reader, out io.Writer) talk {
	s := bufio.NewScanner(in)
	s.Buffer(nil, largestReply)
	return talk{in: s, out: json.NewEncoder(out)}
}

// hear reads the next line; io.EOF if there is none.
func (t talk) hear(v any) error {
	if !t.in.Scan() {
		if err := t.in.Err(); err != nil {
			return err
		}
		return io.EOF
	}
	return json.Unmarshal(t.in.Bytes(), v)
}

func (t talk) say(v any) error { return t.out.Encode(v) }

// end waits until the parent has nothing more to say.
func (t talk) end() error {
	var more any
	switch err := t.hear(&more); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	default:
		return errors.New("the floor takes no further orders")
	}
}

// tellHeld answers each order with the memory that the process holds, until the
// parent has nothing more to say.
func (t talk) tellHeld() error {
	for {
		var order struct{}
		switch err := t.hear(&order); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := t.say(held()); err != nil {
			return err
		}
	}
}

// listening is what a floor with a port says when it is ready.
type listening struct {
	Addr string `json:"addr"`
	CA   string `json:"ca"` // PEM
}

// server returns how to reach the floor.
func (l listening) server() (server, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(l.CA)) {
		return server{}, errors.New("the floor showed no certificate")
	}
	conf := &tls.Config{RootCAs: pool, ServerName: "localhost", MinVersion: tls.VersionTLS13}
	return server{addr: l.Addr, host: l.Addr, tls: conf}, nil
}

// listen opens a port on loopback with a new certificate.
func listen() (net.Listener, *tls.Config, listening, error) {
	certificate, key, err := selfSigned()
	if err != nil {
		return nil, nil, listening{}, err
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, nil, listening{}, err
	}
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, listening{}, err
	}
	conf := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	return l, conf, listening{Addr: l.Addr().String(), CA: string(certificate)}, nil
}

// selfSigned makes a certificate of the kind that the server makes for itself.
func selfSigned() (certificate, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:         true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return nil, nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	certificate = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return certificate, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), nil
}
