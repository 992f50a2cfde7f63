package grpc

import (
	"crypto/tls"
	"slices"

	rpc "google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/encoding/gzip" // clients may compress; answers are compressed as their questions were
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"github.com/setpointhq/setpoint/api/setpointv1"
)

// newServer makes a server of all services; secure is nil for one that speaks
// plainly, or to which somebody else brings the requests.
func (a *api) newServer(secure *tls.Config) *rpc.Server {
	s := a.settings
	options := []rpc.ServerOption{
		rpc.ForceServerCodecV2(codec{}),
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
	}
	if secure != nil {
		secure = secure.Clone()
		secure.NextProtos = []string{"h2"}
		options = append(options, rpc.Creds(credentials.NewTLS(secure)))
	}
	server := rpc.NewServer(options...)
	all := &service{api: a}
	for _, desc := range descriptions() {
		a.register(server, desc, all)
		a.health.serves(desc.ServiceName)
	}
	a.registerOpen(server, healthv1.Health_ServiceDesc, a.health)
	if s.Reflection {
		reflection.Register(&registrar{Server: server, api: a})
	}
	return server
}

// descriptions are all services of setpoint.v1.
func descriptions() []rpc.ServiceDesc {
	return []rpc.ServiceDesc{
		setpointv1.DataService_ServiceDesc,
		setpointv1.ScopeService_ServiceDesc,
		setpointv1.ConfigService_ServiceDesc,
		setpointv1.ReleaseService_ServiceDesc,
		setpointv1.LaunchService_ServiceDesc,
		setpointv1.InsightService_ServiceDesc,
		setpointv1.InstanceService_ServiceDesc,
		setpointv1.IdentityService_ServiceDesc,
		setpointv1.AuditService_ServiceDesc,
		setpointv1.ClusterService_ServiceDesc,
		setpointv1.TransferService_ServiceDesc,
	}
}

// service implements all services. That each call of theirs is there is seen by
// the compiler: nothing answers that a call is not implemented.
type service struct {
	*api
	setpointv1.UnsafeDataServiceServer
	setpointv1.UnsafeScopeServiceServer
	setpointv1.UnsafeConfigServiceServer
	setpointv1.UnsafeReleaseServiceServer
	setpointv1.UnsafeLaunchServiceServer
	setpointv1.UnsafeInsightServiceServer
	setpointv1.UnsafeInstanceServiceServer
	setpointv1.UnsafeIdentityServiceServer
	setpointv1.UnsafeAuditServiceServer
	setpointv1.UnsafeClusterServiceServer
	setpointv1.UnsafeTransferServiceServer
}

// asStreams makes streams of all calls of a service.
//
// The library reads the message of any other call before it lets anybody look at
// the metadata, and a message can be large: of a stream nothing is read before
// somebody asks for it, so not of who is not known.
func asStreams(desc rpc.ServiceDesc) []rpc.StreamDesc {
	streams := slices.Clone(desc.Streams)
	for _, m := range desc.Methods {
		streams = append(streams, rpc.StreamDesc{StreamName: m.MethodName, Handler: func(impl any, stream rpc.ServerStream) error {
			answer, err := m.Handler(impl, stream.Context(), stream.RecvMsg, nil)
			if err != nil {
				return err
			}
			return stream.SendMsg(answer)
		}})
	}
	return streams
}

// register registers a service each call of which proves first who is calling.
func (a *api) register(server *rpc.Server, desc rpc.ServiceDesc, impl any) {
	streams := asStreams(desc)
	for i, s := range streams {
		op, next := operation(desc.ServiceName, s.StreamName), s.Handler
		streams[i].Handler = func(impl any, stream rpc.ServerStream) error {
			return a.call(stream, op, func(c *call) error { return next(impl, c) })
		}
	}
	desc.Methods, desc.Streams = nil, streams
	server.RegisterService(&desc, impl)
}

// registerOpen registers a service that asks nobody who is calling. Its streams
// end when the server drains, whatever they wait for.
func (a *api) registerOpen(server *rpc.Server, desc rpc.ServiceDesc, impl any) {
	streams := asStreams(desc)
	for i, s := range streams {
		next := s.Handler
		streams[i].Handler = func(impl any, stream rpc.ServerStream) error {
			ended := make(chan error, 1)
			// It ends when this returns, since the stream then does.
			run := func() {
				ended <- a.guarded(stream.Context(), func() error { return next(impl, openStream{stream}) })
			}
			if !a.streams.run(run) {
				return statusOf(errGoing(""), "").Err()
			}
			select {
			case err := <-ended:
				return err
			case <-a.ending:
				return statusOf(errGoing(""), "").Err()
			}
		}
	}
	desc.Methods, desc.Streams = nil, streams
	server.RegisterService(&desc, impl)
}

// openStream is the stream of a call that asks nobody who is calling.
type openStream struct{ rpc.ServerStream }

// RecvMsg implements rpc.ServerStream.
func (s openStream) RecvMsg(m any) error {
	defer wantMore(s.Context())()
	return s.ServerStream.RecvMsg(m)
}

// registrar registers what the library brings with it.
type registrar struct {
	*rpc.Server
	api *api
}

// RegisterService implements grpc.ServiceRegistrar.
func (r *registrar) RegisterService(desc *rpc.ServiceDesc, impl any) {
	r.api.registerOpen(r.Server, *desc, impl)
}
