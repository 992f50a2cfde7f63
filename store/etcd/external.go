package etcd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"os"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/setpointhq/setpoint/config"
)

// Keep-alive of connections to an external cluster. etcd closes connections
// that ping more often than every 5 s.
const (
	keepAliveTime    = 10 * time.Second
	keepAliveTimeout = 5 * time.Second
)

// reconnect is how soon a lost connection is tried again: by default gRPC would
// pause for up to two minutes.
func reconnect() grpc.ConnectParams {
	delay := backoff.DefaultConfig
	delay.BaseDelay, delay.MaxDelay = 100*time.Millisecond, 2*time.Second
	return grpc.ConnectParams{Backoff: delay, MinConnectTimeout: 5 * time.Second}
}

// overhead is what a message needs beside the bytes that are counted.
const overhead = 512 << 10

// connect returns a store on an external cluster once it has answered.
func connect(ctx context.Context, c Settings, log *slog.Logger) (*Store, error) {
	tlsConfig, err := c.tls(log)
	if err != nil {
		return nil, err
	}
	const op = "connect to etcd"
	where := strings.Join(c.Endpoints, ",")
	client, err := clientv3.New(clientv3.Config{
		Endpoints:            c.Endpoints,
		DialTimeout:          c.DialTimeout,
		DialKeepAliveTime:    keepAliveTime,
		DialKeepAliveTimeout: keepAliveTimeout,
		MaxCallSendMsgSize:   int(c.MaxRequestBytes) + overhead,
		MaxUnaryRetries:      1, // see remote
		DialOptions:          []grpc.DialOption{grpc.WithConnectParams(reconnect())},
		TLS:                  tlsConfig,
		Username:             c.Username,
		Password:             c.Password.Reveal(),
		// The client never ends the process; should it ever want to, that is logged.
		Logger: zapLogger(log, func(string) {}),
	})
	if err != nil {
		e := config.AsError(translate(op, err))
		e.Path = where
		return nil, e
	}
	s := newStore(context.Background(), c, client, newRemote(client, c), log)
	dial, cancel := context.WithTimeout(ctx, c.DialTimeout)
	defer cancel()
	if _, err := client.Get(dial, s.touch, clientv3.WithKeysOnly()); err != nil {
		err = translate(op, err)
		if ctx.Err() != nil {
			err = &config.Error{Op: op, Kind: config.KindOf(ctx.Err()), Err: ctx.Err()}
		}
		e := config.AsError(err)
		e.Path = where
		return nil, errors.Join(e, s.Close())
	}
	return s, nil
}

// tls returns nil for endpoints that do not speak it.
func (c *Settings) tls(log *slog.Logger) (*tls.Config, error) {
	plain := func(endpoint string) bool { return strings.HasPrefix(endpoint, "http://") }
	all := true
	for _, e := range c.Endpoints {
		all = all && plain(e)
		if plain(e) {
			log.Warn("the connection to etcd is not encrypted; use an https:// endpoint", "endpoint", e)
		}
	}
	if all {
		return nil, nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, &config.Error{Op: "settings", Kind: config.Invalid, Path: "ca_file", Err: err}
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, config.Errorf(config.Invalid, "settings", "ca_file", "%s holds no PEM certificate", c.CAFile)
		}
	}
	if c.CertFile != "" {
		load := func() (*tls.Certificate, error) {
			cert, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
			return &cert, err
		}
		if _, err := load(); err != nil {
			return nil, &config.Error{Op: "settings", Kind: config.Invalid, Path: "cert_file", Err: err}
		}
		t.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	}
	return t, nil
}
