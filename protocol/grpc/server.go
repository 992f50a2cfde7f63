package grpc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"time"

	rpc "google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip" // clients may compress; answers are compressed as their questions were
	"google.golang.org/grpc/keepalive"
)

// window is how much a client may send in a call before anybody asks for it, in bytes.
const window = 128 << 10

// newServer makes the server of the own port; secure is nil for one that speaks
// plainly.
func (a *api) newServer(secure *tls.Config) *rpc.Server {
	s := a.settings
	server := rpc.NewServer(
		rpc.ForceServerCodecV2(codec{}),
		rpc.InTapHandle(meet),
		rpc.Creds(newSecurity(secure)),
		rpc.MaxRecvMsgSize(a.maxMessage),
		rpc.MaxConcurrentStreams(uint32(s.MaxStreams)),
		rpc.MaxHeaderListSize(uint32(s.MaxHeader)),
		rpc.ConnectionTimeout(s.HandshakeTimeout),
		rpc.KeepaliveParams(keepalive.ServerParameters{
			Time: s.KeepaliveTime, Timeout: s.KeepaliveTimeout, MaxConnectionIdle: s.MaxIdle,
			MaxConnectionAge: s.MaxAge, MaxConnectionAgeGrace: s.MaxAgeGrace,
		}),
		rpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: s.KeepaliveMin, PermitWithoutStream: true}),
		// Thousands of connections do nothing most of the time: none needs a second
		// buffer for reading beside that of TLS.
		rpc.ReadBufferSize(0),
		// Windows that adapt cost a ping for every call, and let a client that is not
		// read leave megabytes here.
		rpc.StaticStreamWindowSize(window),
		rpc.StaticConnWindowSize(4*window),
	)
	for i := range a.services.descs {
		server.RegisterService(&a.services.descs[i], nil)
	}
	return server
}

// security secures connections to the own port, or does not. The library's would
// keep a copy of everything that was agreed upon for as long as the connection lasts.
type security struct {
	credentials.TransportCredentials // for what is asked of clients
	config                           *tls.Config
}

func newSecurity(secure *tls.Config) *security {
	if secure == nil {
		return &security{TransportCredentials: insecure.NewCredentials()}
	}
	secure = secure.Clone()
	secure.NextProtos = []string{"h2"}
	return &security{TransportCredentials: credentials.NewTLS(secure), config: secure}
}

// connection is what is known of a connection to the own port.
type connection struct {
	credentials.CommonAuthInfo
	address      string
	since        time.Time
	certificates []*x509.Certificate // that the client has shown
}

// AuthType implements credentials.AuthInfo.
func (connection) AuthType() string { return "tls" }

// ServerHandshake implements credentials.TransportCredentials.
func (s *security) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	known := connection{address: raw.RemoteAddr().String(), since: time.Now()}
	known.SecurityLevel = credentials.NoSecurity
	if s.config == nil {
		return raw, known, nil
	}
	conn := tls.Server(raw, s.config)
	err := conn.HandshakeContext(context.Background()) // the library has set a deadline
	if err == nil && conn.ConnectionState().NegotiatedProtocol != "h2" {
		err = errors.New("the client does not offer HTTP/2 (ALPN)")
	}
	if err != nil {
		_ = raw.Close() // nothing was said that could be lost
		return nil, nil, err
	}
	known.SecurityLevel, known.certificates = credentials.PrivacyAndIntegrity, conn.ConnectionState().PeerCertificates
	return conn, known, nil
}

var _ credentials.TransportCredentials = (*security)(nil)
