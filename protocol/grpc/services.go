package grpc

import (
	"context"
	"slices"

	rpc "google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"

	"github.com/setpointhq/setpoint/api/setpointv1"
)

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

// handler serves one call.
type handler func(wire) error

// services are what both ports serve.
type services struct {
	handlers map[string]handler // by path, "/setpoint.v1.DataService/Watch"
	descs    []rpc.ServiceDesc  // all calls of which are streams
}

// newServices gathers all services.
func (a *api) newServices() *services {
	s := &services{handlers: map[string]handler{}}
	all := &service{api: a}
	for _, desc := range descriptions() {
		s.add(desc, all, a.known)
		a.health.serves(desc.ServiceName)
	}
	s.add(healthv1.Health_ServiceDesc, a.health, a.open)
	if a.settings.Reflection {
		options := reflection.ServerOptions{Services: s}
		s.add(reflectionv1.ServerReflection_ServiceDesc, reflection.NewServerV1(options), a.open)
		s.add(reflectionv1alpha.ServerReflection_ServiceDesc, reflection.NewServer(options), a.open)
	}
	return s
}

// GetServiceInfo implements reflection.ServiceInfoProvider.
func (s *services) GetServiceInfo() map[string]rpc.ServiceInfo {
	all := map[string]rpc.ServiceInfo{}
	for _, desc := range s.descs {
		all[desc.ServiceName] = rpc.ServiceInfo{Metadata: desc.Metadata}
	}
	return all
}

// admission decides who may call, and how the call is served then. Nothing of the
// call's messages was read before.
type admission func(s wire, m method) error

// method is one of a service's calls.
type method struct {
	op     string // "DataService.Watch"
	single bool   // the client sends one message
	do     func(rpc.ServerStream) error
}

func (s *services) add(desc rpc.ServiceDesc, impl any, admit admission) {
	streams := asStreams(desc)
	for i, stream := range streams {
		m := method{
			op: operation(desc.ServiceName, stream.StreamName), single: !stream.ClientStreams,
			do: func(open rpc.ServerStream) error { return stream.Handler(impl, open) },
		}
		serve := func(w wire) error { return admit(w, m) }
		s.handlers["/"+desc.ServiceName+"/"+stream.StreamName] = serve
		streams[i].Handler = func(_ any, open rpc.ServerStream) error { return serve(ownStream{open, originOf(open.Context())}) }
	}
	desc.Methods, desc.Streams = nil, streams
	desc.HandlerType = nil // the handlers have the implementation
	s.descs = append(s.descs, desc)
}

// asStreams makes streams of all calls of a service.
//
// The library reads the message of any other call before it lets anybody look at
// the metadata, and a message can be large: of a stream nothing is read before
// somebody asks for it, so not of who is not known.
func asStreams(desc rpc.ServiceDesc) []rpc.StreamDesc {
	streams := slices.Clone(desc.Streams)
	for _, m := range desc.Methods {
		answer := answers(desc, m.MethodName)
		streams = append(streams, rpc.StreamDesc{StreamName: m.MethodName, Handler: func(impl any, stream rpc.ServerStream) error {
			out, err := m.Handler(impl, stream.Context(), stream.RecvMsg, answer)
			if err != nil {
				return err
			}
			return stream.SendMsg(out)
		}})
	}
	return streams
}

// answers are the interceptors of methods whose answers are encoded already.
func answers(desc rpc.ServiceDesc, name string) rpc.UnaryServerInterceptor {
	if "/"+desc.ServiceName+"/"+name == setpointv1.DataService_ReadConfig_FullMethodName {
		return readEncoded
	}
	return nil
}

func readEncoded(ctx context.Context, in any, info *rpc.UnaryServerInfo, typed rpc.UnaryHandler) (any, error) {
	s, ours := info.Server.(*service)
	read, known := in.(*setpointv1.ReadConfigRequest)
	if !ours || !known {
		return typed(ctx, in)
	}
	return s.readConfig(ctx, read)
}

// known serves calls that prove first who is calling.
func (a *api) known(s wire, m method) error {
	return a.call(s, m, func(c *call) error { return m.do(c) })
}

// open serves calls that ask nobody who is calling. They end when the server
// drains, whatever they wait for.
func (a *api) open(s wire, m method) error {
	ended := make(chan error, 1)
	// It ends when this returns, since the stream then does.
	run := func() {
		ended <- a.guarded(s.Context(), func() error { return m.do(openStream{s, a.settings.RequestTimeout}) })
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
