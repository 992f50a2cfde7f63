package grpc

import (
	"context"
	"io"
	"slices"
	"testing"

	rpc "google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/setpointhq/setpoint/api/setpointv1"
)

// bytesStream is a call whose messages are given bytes, one for each.
type bytesStream struct {
	ctx      context.Context
	messages [][]byte
	result   error // of end
}

func (s *bytesStream) Context() context.Context   { return s.ctx }
func (s *bytesStream) came() *origin              { return originOf(s.ctx) }
func (s *bytesStream) end(err error)              { s.result = err }
func (*bytesStream) SetHeader(metadata.MD) error  { return nil }
func (*bytesStream) SendHeader(metadata.MD) error { return nil }
func (*bytesStream) SetTrailer(metadata.MD)       {}
func (*bytesStream) SendMsg(m any) error          { _, err := codec{}.Marshal(m); return err }
func (s *bytesStream) RecvMsg(m any) error {
	if len(s.messages) == 0 {
		return io.EOF
	}
	b := s.messages[0]
	s.messages = s.messages[1:]
	return codec{}.Unmarshal(mem.BufferSlice{mem.SliceBuffer(b)}, m)
}

// FuzzCalls gives bytes as the messages of any call, by somebody who may do it
// or who may not. Whatever they are, the answer is one of ours, and no defect.
func FuzzCalls(f *testing.F) {
	seeds := []proto.Message{
		&setpointv1.ReadConfigRequest{Path: "acme/shop/prod/a.json", Freshness: &setpointv1.Freshness{MinRevision: "x", Consistency: 1}},
		&setpointv1.PublishRequest{Tenant: "acme", Items: []*setpointv1.PublishItem{{Path: "acme/shop/prod/a.json", Source: &setpointv1.PublishItem_Content{Content: []byte("1")}}},
			Options: &setpointv1.ReleaseOptions{Launch: &setpointv1.LaunchOptions{Strategy: &setpointv1.Strategy{
				Kind: 2, Rule: &setpointv1.Rule{All: []*setpointv1.Rule{{Labels: "a in (b)", Addresses: []string{"10.0.0.0/8"}}}, Share: proto.Int32(5)},
			}, ExpiresAfter: &durationpb.Duration{Seconds: -1, Nanos: 5}}}},
		&setpointv1.ExplainRequest{Path: "acme/shop/prod/a.json", Labels: &setpointv1.Labels{}, Address: "::1"},
		&setpointv1.PreviewRequest{About: &setpointv1.PreviewRequest_Change{Change: &setpointv1.PreviewChange{Change: 9}}},
		&setpointv1.WatchRequest{Act: &setpointv1.WatchRequest_Hello{Hello: &setpointv1.WatchHello{}}},
		&setpointv1.ImportEnvRequest{Part: &setpointv1.ImportEnvRequest_Start{Start: &setpointv1.ImportEnvStart{Env: "acme/shop/prod"}}},
		&setpointv1.FreezeEnvRequest{Path: "acme/shop/prod", Freeze: &setpointv1.Freeze{Weekly: &setpointv1.Weekly{Begins: "x"}}},
	}
	for i, m := range seeds {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		for call := range uint8(100) {
			if int(call)%len(seeds) == i {
				f.Add(call, i%2 == 0, b, b)
			}
		}
	}
	n := start(f)
	n.api.started.Store(true)
	calls := everyCall(n.api)
	f.Fuzz(func(t *testing.T, at uint8, known bool, first, second []byte) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c := calls[int(at)%len(calls)]
		stream := &bytesStream{ctx: ctx, messages: [][]byte{first, second}}
		err := n.api.guarded(ctx, func() error {
			who := t.Context()
			if known {
				who = n.root
			}
			return c.Handler(&service{api: n.api}, &call{wire: stream, api: n.api, ctx: who})
		})
		if err == nil {
			return
		}
		if s := status.Convert(n.api.fail(ctx, c.StreamName, "id", err)); s.Code() == codes.Unknown || s.Code() == codes.OK {
			t.Errorf("%s: got %v", c.StreamName, err)
		}
		if err := err.Error(); err == errPanic.Error() {
			t.Errorf("%s: %s", c.StreamName, err)
		}
	})
}

// everyCall is all calls but the one that waits for its end.
func everyCall(*api) []rpc.StreamDesc {
	var all []rpc.StreamDesc
	for _, d := range descriptions() {
		all = append(all, asStreams(d)...)
	}
	return slices.DeleteFunc(all, func(s rpc.StreamDesc) bool { return s.StreamName == "Watch" })
}

// FuzzWatch gives bytes as what a client says on a watch.
func FuzzWatch(f *testing.F) {
	var seeds [][]byte
	for _, m := range []*setpointv1.WatchRequest{
		{Act: &setpointv1.WatchRequest_Hello{Hello: &setpointv1.WatchHello{Client: &setpointv1.ClientIdentity{Id: "a"}}}},
		{Act: &setpointv1.WatchRequest_Subscribe{Subscribe: patterns(1, "*")}},
		unsubscribe(1),
		acknowledge(&setpointv1.InstanceReport{Path: "acme/shop/prod/a.json", Version: 1, State: 1}),
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		seeds = append(seeds, b)
	}
	f.Add(seeds[0], seeds[1], seeds[3])
	f.Add(seeds[0], seeds[1], seeds[2])
	f.Add(seeds[1], seeds[2], []byte{0xff})
	n := start(f)
	n.publish("a.json", "1")
	f.Fuzz(func(t *testing.T, first, second, third []byte) {
		// It ends, since what is not closed by the messages is by their end.
		stream := &bytesStream{ctx: t.Context(), messages: [][]byte{first, second, third, first, first}}
		open := &rpc.GenericServerStream[setpointv1.WatchRequest, setpointv1.WatchResponse]{ServerStream: &call{wire: stream, api: n.api, ctx: n.root, id: []string{"id"}}}
		if err := (&service{api: n.api}).Watch(open); err != nil || stream.result == nil || status.Code(stream.result) == codes.Internal {
			t.Errorf("want the stream to be refused, got %v", err)
		}
	})
}
