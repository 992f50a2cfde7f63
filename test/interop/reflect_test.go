package interop

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// stranger is a gRPC client that knows what the server tells of itself, and
// nothing else: not a line of generated code of Setpoint's. It speaks JSON, as
// people do who use grpcurl.
type stranger struct {
	testing.TB
	ctx      context.Context
	conn     *grpc.ClientConn
	services []string
	sent     []*descriptorpb.FileDescriptorProto // as the server sent them
	files    *protoregistry.Files
	types    *dynamicpb.Types
}

// meet connects to a node, and asks it what it has.
func meet(n *node, addr string) *stranger {
	n.Helper()
	secure, err := credentials.NewClientTLSFromFile(n.ca, "")
	n.must(err)
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(secure))
	n.must(err)
	n.Cleanup(func() { n.must(conn.Close()) })
	ctx, cancel := context.WithTimeout(n.Context(), patience)
	n.Cleanup(cancel)
	s := &stranger{TB: n, ctx: ctx, conn: conn}
	if err := s.ask(); err != nil {
		n.Fatalf("reflection: %v", err)
	}
	return s
}

// ask lists the services, and gets everything that they are described by.
func (s *stranger) ask() error {
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	stream, err := reflectionv1.NewServerReflectionClient(s.conn).ServerReflectionInfo(ctx)
	if err != nil {
		return err
	}
	listed, err := answered(stream, &reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}})
	if err != nil {
		return err
	}
	var symbols []string
	for _, service := range listed.GetListServicesResponse().GetService() {
		s.services = append(s.services, service.GetName())
	}
	slices.Sort(s.services)
	// What errors carry in their details no service names.
	symbols = append(symbols, "google.rpc.ErrorInfo")
	seen := map[string]bool{}
	for _, symbol := range append(symbols, s.services...) {
		found, err := answered(stream, &reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: symbol}})
		if err != nil {
			return err
		}
		for _, text := range found.GetFileDescriptorResponse().GetFileDescriptorProto() {
			file := &descriptorpb.FileDescriptorProto{}
			if err := proto.Unmarshal(text, file); err != nil {
				return err
			}
			if !seen[file.GetName()] {
				seen[file.GetName()] = true
				s.sent = append(s.sent, file)
			}
		}
	}
	if s.files, err = protodesc.NewFiles(&descriptorpb.FileDescriptorSet{File: s.sent}); err != nil {
		return err
	}
	s.types = dynamicpb.NewTypes(s.files)
	return nil
}

// answered asks one question.
func answered(stream reflectionv1.ServerReflection_ServerReflectionInfoClient, q *reflectionv1.ServerReflectionRequest) (*reflectionv1.ServerReflectionResponse, error) {
	if err := stream.Send(q); err != nil {
		return nil, err
	}
	a, err := stream.Recv()
	if wrong := a.GetErrorResponse(); wrong != nil {
		return nil, fmt.Errorf("%v: %s", q, wrong.GetErrorMessage())
	}
	return a, err
}

// method finds a call, "setpoint.v1.DataService/ReadConfig".
func (s *stranger) method(name string) protoreflect.MethodDescriptor {
	s.Helper()
	found, err := s.files.FindDescriptorByName(protoreflect.FullName(strings.ReplaceAll(name, "/", ".")))
	if err != nil {
		s.Fatal(err)
	}
	m, is := found.(protoreflect.MethodDescriptor)
	if !is {
		s.Fatalf("%s is no call", name)
	}
	return m
}

// bearer has calls carry a token.
func (s *stranger) bearer(token string) {
	s.ctx = metadata.AppendToOutgoingContext(s.ctx, "authorization", "Bearer "+token)
}

// try makes a call, JSON in and out.
func (s *stranger) try(name, request string) (string, error) {
	s.Helper()
	m := s.method(name)
	in, out := dynamicpb.NewMessage(m.Input()), dynamicpb.NewMessage(m.Output())
	s.read(request, in)
	if err := s.conn.Invoke(s.ctx, "/"+name, in, out); err != nil {
		return "", err
	}
	return s.json(out), nil
}

// call makes a call that goes well.
func (s *stranger) call(name, request string) string {
	s.Helper()
	text, err := s.try(name, request)
	if err != nil {
		s.Fatalf("%s %s: %v", name, request, err)
	}
	return text
}

func (s *stranger) read(text string, into proto.Message) {
	s.Helper()
	if err := (protojson.UnmarshalOptions{Resolver: s.types}).Unmarshal([]byte(text), into); err != nil {
		s.Fatalf("%s: %v", text, err)
	}
}

func (s *stranger) json(m proto.Message) string {
	s.Helper()
	text, err := (protojson.MarshalOptions{Resolver: s.types}).Marshal(m)
	if err != nil {
		s.Fatal(err)
	}
	return string(text)
}

// conversation is a call in which both sides say many things.
type conversation struct {
	*stranger
	method protoreflect.MethodDescriptor
	stream grpc.ClientStream
}

func (s *stranger) converse(name string) *conversation {
	s.Helper()
	m := s.method(name)
	stream, err := s.conn.NewStream(s.ctx, &grpc.StreamDesc{ClientStreams: m.IsStreamingClient(), ServerStreams: m.IsStreamingServer()}, "/"+name)
	if err != nil {
		s.Fatal(err)
	}
	return &conversation{stranger: s, method: m, stream: stream}
}

func (c *conversation) say(text string) {
	c.Helper()
	m := dynamicpb.NewMessage(c.method.Input())
	c.read(text, m)
	if err := c.stream.SendMsg(m); err != nil {
		c.Fatalf("say %s: %v", text, err)
	}
}

func (c *conversation) hear() string {
	c.Helper()
	m := dynamicpb.NewMessage(c.method.Output())
	if err := c.stream.RecvMsg(m); err != nil {
		c.Fatalf("hear: %v", err)
	}
	return c.json(m)
}
