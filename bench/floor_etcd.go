package bench

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/setpointhq/setpoint/internal/freeport"
)

// serveEtcdFloor is etcd as it comes, one member, with its gRPC port over TLS.
func serveEtcdFloor(ctx context.Context, t talk) error {
	var setup engineSetup
	if err := t.hear(&setup); err != nil {
		return err
	}
	certificate, key, err := selfSigned()
	if err != nil {
		return err
	}
	conf, err := etcdConfig(setup.Dir, certificate, key)
	if err != nil {
		return err
	}
	e, err := embed.StartEtcd(conf)
	if err != nil {
		return err
	}
	defer e.Close()
	select {
	case <-e.Server.ReadyNotify():
	case err := <-e.Err():
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := t.say(listening{Addr: e.Clients[0].Addr().String(), CA: string(certificate)}); err != nil {
		return err
	}
	return t.end()
}

func etcdConfig(dir string, certificate, key []byte) (*embed.Config, error) {
	certFile, keyFile := filepath.Join(dir, "floor.crt"), filepath.Join(dir, "floor.key")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := errors.Join(os.WriteFile(certFile, certificate, 0o600), os.WriteFile(keyFile, key, 0o600)); err != nil {
		return nil, err
	}
	port, err := freeport.Addr()
	if err != nil {
		return nil, err
	}
	c := embed.NewConfig()
	c.Dir = filepath.Join(dir, "data")
	c.LogLevel = "fatal" // what matters is returned, and its end is not orderly in its own eyes
	c.LogOutputs = []string{"stderr"}
	here := []url.URL{{Scheme: "https", Host: port}}
	c.ListenClientUrls, c.AdvertiseClientUrls = here, here
	c.ListenPeerUrls = nil // a lone member has nobody to listen to
	c.ClientTLSInfo = transport.TLSInfo{CertFile: certFile, KeyFile: keyFile}
	return c, nil
}

// etcdClients connects so many clients to the floor, each with a connection of
// its own.
func etcdClients(l listening, n int) ([]*clientv3.Client, error) {
	s, err := l.server()
	if err != nil {
		return nil, err
	}
	var all []*clientv3.Client
	for range n {
		c, err := clientv3.New(clientv3.Config{Endpoints: []string{"https://" + l.Addr}, TLS: s.tls.Clone(), Logger: zap.NewNop(), DialTimeout: dialTimeout})
		if err != nil {
			return nil, errors.Join(err, closeClients(all))
		}
		all = append(all, c)
	}
	return all, nil
}

func closeClients(all []*clientv3.Client) error {
	var errs []error
	for _, c := range all {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}
