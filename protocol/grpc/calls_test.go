package grpc

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	rpc "google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/setpointhq/setpoint/api/setpointv1"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/protocol/protocoltest"
)

// methods are all calls that the description has, by their full names.
func methods(t testing.TB) map[string]protoreflect.MethodDescriptor {
	t.Helper()
	all := map[string]protoreflect.MethodDescriptor{}
	protoregistry.GlobalFiles.RangeFilesByPackage("setpoint.v1", func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			s := f.Services().Get(i)
			for j := range s.Methods().Len() {
				all[fmt.Sprintf("/%s/%s", s.FullName(), s.Methods().Get(j).Name())] = s.Methods().Get(j)
			}
		}
		return true
	})
	if len(all) < 80 {
		t.Fatalf("want all calls, got %d", len(all))
	}
	return all
}

// ask makes a call with an empty message.
func (c *client) ask(ctx context.Context, method string, d protoreflect.MethodDescriptor) error {
	desc := &rpc.StreamDesc{ClientStreams: d.IsStreamingClient(), ServerStreams: d.IsStreamingServer()}
	s, err := c.conn.NewStream(ctx, desc, method)
	if err != nil {
		return err
	}
	_ = s.SendMsg(dynamicpb.NewMessage(d.Input())) // what is wrong RecvMsg returns
	_ = s.CloseSend()
	return s.RecvMsg(dynamicpb.NewMessage(d.Output()))
}

// Every call of the description is there, on both ports, and none answers to
// whom nobody knows.
func TestEveryCallIsThereAndAsksWhoCalls(t *testing.T) {
	n := start(t)
	nobody := n.dial(protocoltest.Caller{})
	onHTTP := dial(t, addressOf(t, n.Node), n.TLS, protocoltest.Caller{})
	stranger := n.user("stranger")
	open := map[string]bool{"WhoAmI": true, "GetVersion": true, "ListRoles": true, "ListTokens": true, "Logout": true, "CreateToken": true, "ListTenants": true, "ListUsers": true, "ListBindings": true, "EndSessions": true}
	for name, d := range methods(t) {
		t.Run(string(d.Name()), func(t *testing.T) {
			for port, c := range map[string]*client{"own": nobody, "http": onHTTP} {
				want := codes.Unauthenticated
				if d.Name() == "Login" {
					want = codes.InvalidArgument
				}
				if detail := refused(t, port, want, c.ask(n.ctx(), name, d)); detail.GetRequestId() == "" {
					t.Errorf("want a request id, got %v", detail)
				}
			}
			if open[string(d.Name())] {
				return
			}
			switch code := status.Code(stranger.ask(n.ctx(), name, d)); code {
			case codes.PermissionDenied, codes.InvalidArgument, codes.NotFound, codes.Unauthenticated:
			default:
				t.Errorf("want a stranger to be refused, got %s", code)
			}
		})
	}
}

func TestProofs(t *testing.T) {
	n := start(t)
	n.publish("a.json", "1")
	_, err := n.Center.CreateUser(n.root, center.NewUser{Name: "alice", Password: config.NewSecret("correct horse battery")})
	n.must(err)
	_, err = n.Center.CreateBinding(n.root, auth.Binding{User: "alice", Role: auth.RoleViewer, Scope: prod})
	n.must(err)
	nobody := n.dial(protocoltest.Caller{})
	basic := func(text string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(text)) }
	for name, c := range map[string]struct {
		proofs []string
		want   codes.Code
	}{
		"none":                 {nil, codes.Unauthenticated},
		"a password":           {[]string{basic("alice:correct horse battery")}, codes.OK},
		"a wrong password":     {[]string{basic("alice:wrong")}, codes.Unauthenticated},
		"no token":             {[]string{"Bearer sp_nonsense"}, codes.Unauthenticated},
		"two":                  {[]string{basic("alice:correct horse battery"), basic("alice:correct horse battery")}, codes.Unauthenticated},
		"an unknown scheme":    {[]string{"Digest x"}, codes.Unauthenticated},
		"no base64":            {[]string{"Basic !"}, codes.Unauthenticated},
		"nothing behind":       {[]string{"Bearer "}, codes.Unauthenticated},
		"something altogether": {[]string{strings.Repeat("x", 5000)}, codes.Unauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := n.ctx()
			for _, p := range c.proofs {
				ctx = metadata.AppendToOutgoingContext(ctx, "authorization", p)
			}
			_, err := nobody.data.ReadConfig(ctx, &setpointv1.ReadConfigRequest{Path: prod.Join("a.json").String()})
			if got := status.Code(err); got != c.want {
				t.Errorf("want %s, got %v", c.want, err)
			}
		})
	}
	t.Run("a session", func(t *testing.T) {
		identity := setpointv1.NewIdentityServiceClient(nobody.conn)
		_, err := identity.Login(n.ctx(), &setpointv1.LoginRequest{Username: "alice", Password: "wrong"})
		refused(t, "a wrong password", codes.Unauthenticated, err)
		in, err := identity.Login(n.ctx(), &setpointv1.LoginRequest{Username: "alice", Password: "correct horse battery"})
		n.must(err)
		c := n.dial(protocoltest.Caller{Token: config.NewSecret(in.GetSecret())})
		identity = setpointv1.NewIdentityServiceClient(c.conn)
		who, err := identity.WhoAmI(n.ctx(), &setpointv1.WhoAmIRequest{})
		if err != nil || who.GetUser() != "alice" || !who.GetSession() || who.GetGrants()[0].GetScope() != prod.String() {
			t.Errorf("want alice's session, got %v, %v", who, err)
		}
		_, err = identity.SetPassword(n.ctx(), &setpointv1.SetPasswordRequest{OldPassword: "wrong", NewPassword: "another horse battery"})
		refused(t, "a wrong old password", codes.Unauthenticated, err)
		_, err = identity.SetPassword(n.ctx(), &setpointv1.SetPasswordRequest{OldPassword: "correct horse battery", NewPassword: "another horse battery"})
		n.must(err)
		_, err = identity.WhoAmI(n.ctx(), &setpointv1.WhoAmIRequest{})
		refused(t, "a session that the new password has ended", codes.Unauthenticated, err)
		identity = setpointv1.NewIdentityServiceClient(nobody.conn)
		in, err = identity.Login(n.ctx(), &setpointv1.LoginRequest{Username: "alice", Password: "another horse battery"})
		n.must(err)
		identity = setpointv1.NewIdentityServiceClient(n.dial(protocoltest.Caller{Token: config.NewSecret(in.GetSecret())}).conn)
		_, err = identity.Logout(n.ctx(), &setpointv1.LogoutRequest{})
		n.must(err)
		_, err = identity.WhoAmI(n.ctx(), &setpointv1.WhoAmIRequest{})
		refused(t, "a session that has ended", codes.Unauthenticated, err)
	})
	t.Run("too many", func(t *testing.T) {
		var err error
		for range 100 {
			ctx := metadata.AppendToOutgoingContext(n.ctx(), "authorization", basic("mallory:guess"))
			if _, err = nobody.data.GetVersion(ctx, &setpointv1.GetVersionRequest{}); status.Code(err) != codes.Unauthenticated {
				break
			}
		}
		if detail := refused(t, "a guess too many", codes.ResourceExhausted, err); detail.GetKind() != setpointv1.ErrorKind_ERROR_KIND_THROTTLED {
			t.Errorf("want it to be throttled, got %v", detail)
		}
	})
	t.Run("in the audit", func(t *testing.T) {
		n.eventually("the failed logins to be recorded with where they came from", func() bool {
			records, err := n.Center.Audit(n.root, center.AuditRequest{Actor: "mallory"})
			n.must(err)
			return len(records.Items) > 0 && records.Items[0].Actor.Address == "127.0.0.1"
		})
	})
}

func TestRequestIDs(t *testing.T) {
	n := start(t)
	app := n.app()
	var header metadata.MD
	ctx := metadata.AppendToOutgoingContext(n.ctx(), "x-request-id", "mine-7")
	_, err := app.data.ReadConfig(ctx, &setpointv1.ReadConfigRequest{Path: prod.Join("none").String()}, rpc.Header(&header))
	if detail := refused(t, "nothing there", codes.NotFound, err); detail.GetRequestId() != "mine-7" || header["x-request-id"][0] != "mine-7" {
		t.Errorf("want the id of the client, got %v and %v", detail, header)
	}
	ctx = metadata.AppendToOutgoingContext(n.ctx(), "x-request-id", "not fit \"to be\" logged")
	_, err = app.data.GetVersion(ctx, &setpointv1.GetVersionRequest{}, rpc.Header(&header))
	n.must(err)
	if got := header["x-request-id"]; len(got) != 1 || strings.Contains(got[0], " ") {
		t.Errorf("want another id, got %v", got)
	}
}

// What a client says of itself goes in the message or in the metadata.
func TestClaims(t *testing.T) {
	n := start(t)
	n.publish("a.json", "1")
	app := n.app()
	request := &setpointv1.ReadConfigRequest{Path: prod.Join("a.json").String()}
	for name, pairs := range map[string][]string{
		"labels that are none": {"setpoint-labels", "region"}, "a label twice": {"setpoint-labels", "a=1,a=2"},
		"a long name": {"setpoint-instance", strings.Repeat("x", 257)},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := app.data.ReadConfig(metadata.AppendToOutgoingContext(n.ctx(), pairs...), request)
			refused(t, name, codes.InvalidArgument, err)
		})
	}
	_, err := app.data.ReadConfig(metadata.AppendToOutgoingContext(n.ctx(), "setpoint-instance", "pod-1", "setpoint-labels", "region=eu", "setpoint-slot", "green"), request)
	n.must(err)
	list, err := n.Center.Instances(n.root, center.InstanceRequest{Path: prod.Join("a.json")})
	n.must(err)
	if got := list.Items; len(got) != 1 || got[0].ID != "pod-1" || got[0].Labels["region"] != "eu" || got[0].Slot != "green" {
		t.Errorf("want the instance of the metadata, got %+v", got)
	}
}

func TestMessagesThatCannotBe(t *testing.T) {
	n := start(t, func(s *Settings) { s.MaxMessage = 64 << 10 })
	admin := n.admin()
	t.Run("too large", func(t *testing.T) {
		_, err := admin.releases.Publish(n.ctx(), &setpointv1.PublishRequest{Comment: strings.Repeat("x", 65<<10)})
		if status.Code(err) != codes.ResourceExhausted {
			t.Errorf("want it to be refused, got %v", err)
		}
	})
	t.Run("no protocol buffers", func(t *testing.T) {
		err := admin.conn.Invoke(n.ctx(), "/setpoint.v1.DataService/ReadConfig", []byte("\xff\xff\xff"), new([]byte), rpc.ForceCodecV2(bytesCodec{}))
		if detail := refused(t, "nonsense", codes.InvalidArgument, err); !strings.Contains(detail.GetMessage(), "ReadConfigRequest") {
			t.Errorf("want to be told what was expected, got %v", detail)
		}
	})
	t.Run("an unknown call", func(t *testing.T) {
		err := admin.conn.Invoke(n.ctx(), "/setpoint.v1.DataService/Nothing", &setpointv1.GetVersionRequest{}, &setpointv1.GetVersionResponse{})
		if status.Code(err) != codes.Unimplemented {
			t.Errorf("want it not to be there, got %v", err)
		}
	})
	t.Run("too much metadata", func(t *testing.T) {
		_, err := admin.data.GetVersion(metadata.AppendToOutgoingContext(n.ctx(), "x-large", strings.Repeat("x", 20<<10)), &setpointv1.GetVersionRequest{})
		if err == nil {
			t.Error("want it to be refused")
		}
	})
	for name, call := range map[string]func() error{
		"a path that is none": func() error { _, err := admin.Config(n.ctx(), config.Path{Tenant: "A B"}); return err },
		"a page too large":    func() error { _, err := admin.ListTenants(n.ctx(), center.PageRequest{Limit: 1001}); return err },
		"nothing to publish": func() error {
			_, err := admin.releases.Publish(n.ctx(), &setpointv1.PublishRequest{Tenant: "acme", Items: []*setpointv1.PublishItem{{Path: "acme/shop/prod/a.json"}}})
			return err
		},
		"nothing to preview": func() error { _, err := admin.insight.Preview(n.ctx(), &setpointv1.PreviewRequest{}); return err },
		"nothing to adjust": func() error {
			_, err := admin.launches.AdjustLaunch(n.ctx(), &setpointv1.AdjustLaunchRequest{})
			return err
		},
		"an address of nothing": func() error {
			_, err := admin.insight.Explain(n.ctx(), &setpointv1.ExplainRequest{Path: prod.Join("a").String(), Address: "here"})
			return err
		},
		"a time before time": func() error {
			_, err := admin.Explain(n.ctx(), center.ExplainRequest{Path: prod.Join("a"), Time: time.Unix(-1<<40, 0)})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := call()
			var e *config.Error
			if !errors.As(err, &e) {
				refused(t, name, codes.InvalidArgument, err)
			} else if e.Kind != config.Invalid {
				t.Errorf("want it to be refused, got %v", err)
			}
		})
	}
}

// bytesCodec sends bytes as they are.
type bytesCodec struct{}

func (bytesCodec) Name() string { return "proto" }
func (bytesCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}
func (bytesCodec) Unmarshal(mem.BufferSlice, any) error { return nil }

// A defect in one call is an error of that call.
func TestAPanicIsAnErrorOfOneCall(t *testing.T) {
	n := start(t)
	stream := &fakeStream{ctx: t.Context()}
	n.api.started.Store(true)
	err := n.api.call(stream, method{op: public}, func(*call) error { panic("secret") })
	if s := status.Convert(err); s.Code() != codes.Internal || strings.Contains(s.Proto().String(), "secret") {
		t.Errorf("want an internal error that tells nothing, got %v", s.Proto())
	}
}

type fakeStream struct {
	wire
	ctx context.Context
}

func (f *fakeStream) Context() context.Context  { return f.ctx }
func (f *fakeStream) came() *origin             { return originOf(f.ctx) }
func (*fakeStream) SetHeader(metadata.MD) error { return nil }

// noted is an observer that keeps what it is told.
type noted struct {
	mu    sync.Mutex
	calls []string
}

func (o *noted) ObserveRequest(protocol, op, code string, _ time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.calls = append(o.calls, protocol+" "+op+" "+code)
}
func (*noted) ObserveStreams(string, int)                 {}
func (*noted) ObserveDelivery(string, int, time.Duration) {}

func TestCallsAreMeasured(t *testing.T) {
	o := &noted{}
	n := startOn(t, func(h *protocol.Host) { h.Observer = o })
	n.api.started.Store(true)
	_ = n.api.call(&fakeStream{ctx: t.Context()}, method{op: "DataService.GetVersion"}, func(*call) error { return nil })
	_ = n.api.call(&fakeStream{ctx: t.Context()}, method{op: public}, func(*call) error { return config.Errorf(config.Conflict, "", "", "x") })
	_ = n.api.call(&fakeStream{ctx: t.Context()}, method{op: public}, func(c *call) error { c.note(ok); return errors.New("x") })
	want := []string{"grpc - unauthenticated", "grpc IdentityService.Login conflict", "grpc IdentityService.Login ok"}
	if strings.Join(o.calls, "; ") != strings.Join(want, "; ") {
		t.Errorf("want %q, got %q", want, o.calls)
	}
}

func TestEveryKindOfErrorHasACode(t *testing.T) {
	for _, kind := range config.ErrorKinds() {
		line, found := kindCodes[kind]
		if !found || line.code == codes.OK || line.code == codes.Unknown {
			t.Errorf("%s: want a code, got %v", kind, line)
		}
		if got := wordOf(line.kind.Descriptor(), line.kind.Number()); got != kind.String() {
			t.Errorf("%s: got %s", kind, got)
		}
		if comment := line.kind.Descriptor().Values().ByNumber(line.kind.Number()); comment == nil {
			t.Errorf("%s is not described", line.kind)
		}
		var info *errdetails.ErrorInfo
		var retry bool
		for _, d := range statusOf(config.Errorf(kind, "op", "path", "why"), "id").Details() {
			switch is := d.(type) {
			case *errdetails.ErrorInfo:
				info = is
			case *errdetails.RetryInfo:
				retry = is.GetRetryDelay().AsDuration() > 0
			}
		}
		if info.GetReason() != kind.String() || info.GetDomain() != "setpoint.dev" {
			t.Errorf("%s: want the reason, got %v", kind, info)
		}
		if want := kind == config.Throttled || kind == config.Unavailable; retry != want {
			t.Errorf("%s: want a time to wait %t, got %t", kind, want, retry)
		}
	}
	if want := len(config.ErrorKinds()); len(kindCodes) != want {
		t.Errorf("want %d lines, got %d", want, len(kindCodes))
	}
}

// A status goes in trailers, which have little room.
func TestStatusesAreSmall(t *testing.T) {
	e := &config.Error{Kind: config.Invalid, Err: errors.New(strings.Repeat("größe", 10_000)), Path: strings.Repeat("p", 10_000)}
	for i := range 1000 {
		e.Problems = append(e.Problems, config.Problem{Line: i, Message: "wrong\xff"})
	}
	s := statusOf(e, "id")
	if size := proto.Size(s.Proto()); size > 6<<10 {
		t.Errorf("want at most 6 KiB, got %d", size)
	}
	found := config.AsError(back(s.Err())).Problems
	if len(found) < 10 || found[9].Line != 9 {
		t.Errorf("want the first problems, got %d", len(found))
	}
	if left := refused(t, "very many problems", codes.InvalidArgument, s.Err()).GetProblemsOmitted(); int(left)+len(found) != len(e.Problems) {
		t.Errorf("want the other %d counted, got %d", len(e.Problems)-len(found), left)
	}
}

func TestAddressesBehindProxies(t *testing.T) {
	n := start(t, func(s *Settings) { s.TrustedProxies = []string{"127.0.0.0/8"} })
	n.publish("a.json", "1")
	app := n.app()
	ctx := metadata.AppendToOutgoingContext(n.ctx(), "x-forwarded-for", "192.0.2.9, 198.51.100.7", "setpoint-instance", "i")
	_, err := app.data.ReadConfig(ctx, &setpointv1.ReadConfigRequest{Path: prod.Join("a.json").String()})
	n.must(err)
	list, err := n.Center.Instances(n.root, center.InstanceRequest{Path: prod.Join("a.json")})
	n.must(err)
	if len(list.Items) != 1 || list.Items[0].Address != "198.51.100.7" {
		t.Errorf("want the address that the proxy saw, got %+v", list.Items)
	}
}

// The own port speaks TLS, and nothing else.
func TestThePortIsSecure(t *testing.T) {
	n := start(t)
	wrong := n.TLS.Clone()
	wrong.ServerName = "elsewhere.example"
	conn, err := rpc.NewClient("passthrough:///"+n.api.address.String(), rpc.WithTransportCredentials(credentials.NewTLS(wrong)))
	n.must(err)
	defer conn.Close()
	if _, err := setpointv1.NewDataServiceClient(conn).GetVersion(n.ctx(), &setpointv1.GetVersionRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("want the certificate to be looked at, got %v", err)
	}
}
