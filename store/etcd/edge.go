package etcd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
)

const (
	// memberSilence is when an edge takes a member for dead that says nothing:
	// etcd's keep-alive would need more than ten seconds.
	memberSilence = 3 * pingEdges
	// refreshEach is how often an edge asks who the members are.
	refreshEach = 10 * time.Second
)

// edge returns a store on the engines of other nodes once one of them has answered.
func edge(ctx context.Context, c Settings, p *store.Peering, log *slog.Logger) (*Store, error) {
	const op = "connect to the members of the cluster"
	if len(p.Members) == 0 {
		return nil, config.Errorf(config.Invalid, op, "", "an edge must know at least one member")
	}
	shown := &nodeCredentials{certFile: p.CertFile, keyFile: p.KeyFile, caFile: p.CAFile}
	if _, err := shown.config(); err != nil {
		return nil, &config.Error{Op: op, Kind: config.Invalid, Err: err}
	}
	endpoints := make([]string, 0, len(p.Members))
	for _, address := range p.Members {
		endpoints = append(endpoints, peerURL(address))
	}
	slices.Sort(endpoints)
	client, err := clientv3.New(clientv3.Config{
		Endpoints:          endpoints,
		MaxUnaryRetries:    1, // see remote
		MaxCallSendMsgSize: int(c.MaxRequestBytes) + overhead,
		DialOptions: []grpc.DialOption{
			grpc.WithConnectParams(reconnect()),
			grpc.WithTransportCredentials(shown),
			grpc.WithContextDialer(dialMember),
		},
		// The client never ends the process; should it ever want to, that is logged.
		Logger: zapLogger(log, func(string) {}),
	})
	if err != nil {
		return nil, translate(op, err)
	}
	refreshing, stop := context.WithCancel(context.Background())
	r := &members{remote: newRemote(client, c), known: endpoints, stop: stop}
	s := newStore(context.Background(), c, client, r, log)
	s.edge = true
	r.refreshing.Go(func() { r.refresh(refreshing) })
	if err := s.hello(ctx, op, p); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// hello waits until a member answers.
func (s *Store) hello(ctx context.Context, op string, p *store.Peering) error {
	ctx, cancel := context.WithTimeout(ctx, s.settings.StartTimeout)
	defer cancel()
	var last error
	for {
		_, err := s.get(ctx, false, s.touch, clientv3.WithKeysOnly())
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || last == nil {
			last = err
		}
		if pause(ctx) == nil && passing(err) {
			continue
		}
		kind := config.Unavailable
		if errors.Is(ctx.Err(), context.Canceled) {
			kind = config.Canceled
		}
		return config.Errorf(kind, op, "", "none of %s answers: check that they run, and that this node's certificate is of their authority: %w", list(p.Members), last)
	}
}

// members is the link of an edge.
type members struct {
	*remote
	known      []string // only refresh uses it
	stop       context.CancelFunc
	refreshing sync.WaitGroup
}

// close implements link.
func (m *members) close() {
	m.stop()
	m.refreshing.Wait()
}

// refresh follows the membership: a member that left must not be asked any more,
// one that came can be.
func (m *members) refresh(ctx context.Context) {
	tick := time.NewTicker(refreshEach)
	defer tick.Stop()
	for {
		m.look(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// look asks for the members once. What goes wrong shows in calls.
func (m *members) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, refreshEach)
	defer cancel()
	var resp *clientv3.MemberListResponse
	err := m.read(ctx, false, func(ctx context.Context) (err error) {
		resp, err = m.client.MemberList(ctx)
		return err
	})
	if err != nil {
		return
	}
	var now []string
	for _, member := range resp.Members {
		if !member.IsLearner {
			now = append(now, member.ClientURLs...)
		}
	}
	slices.Sort(now)
	if len(now) > 0 && !slices.Equal(now, m.known) {
		m.known = now
		m.client.SetEndpoints(now...)
	}
}

// dialMember connects to a member. The connection breaks when nothing comes for
// longer than a living member is ever silent.
func dialMember(ctx context.Context, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &attentive{conn}, nil
}

// attentive is a connection on which silence is an error.
type attentive struct{ net.Conn }

// Read implements net.Conn.
func (c *attentive) Read(b []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(memberSilence)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

// nodeCredentials are those of a node that calls a member. The files are read for
// each connection, so that they can be exchanged while the node runs.
type nodeCredentials struct {
	certFile, keyFile, caFile string
}

// config reads the files.
func (c *nodeCredentials) config() (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return nil, fmt.Errorf("this node's certificate: %w", err)
	}
	pem, err := os.ReadFile(c.caFile)
	if err != nil {
		return nil, fmt.Errorf("the authority's certificate: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("the authority's certificate: %s holds no PEM certificate", c.caFile)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, Certificates: []tls.Certificate{cert}}, nil
}

// ClientHandshake implements credentials.TransportCredentials.
func (c *nodeCredentials) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	t, err := c.config()
	if err != nil {
		return nil, nil, err
	}
	return credentials.NewTLS(t).ClientHandshake(ctx, authority, raw)
}

// ServerHandshake implements credentials.TransportCredentials.
func (c *nodeCredentials) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("these credentials are for calling only")
}

// Info implements credentials.TransportCredentials.
func (c *nodeCredentials) Info() credentials.ProtocolInfo {
	return credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12}).Info()
}

// Clone implements credentials.TransportCredentials.
func (c *nodeCredentials) Clone() credentials.TransportCredentials {
	clone := *c
	return &clone
}

// OverrideServerName implements credentials.TransportCredentials; members are
// called by the names in their addresses.
func (c *nodeCredentials) OverrideServerName(string) error {
	return errors.New("the name of a member cannot be overridden")
}

var (
	_ link                             = (*members)(nil)
	_ credentials.TransportCredentials = (*nodeCredentials)(nil)
)
