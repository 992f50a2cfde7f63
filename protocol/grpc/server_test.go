package grpc

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	rpc "google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/encoding/gzip"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/setpointhq/setpoint/api/setpointv1"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/plugin"
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/protocol/protocoltest"
)

// What grpcurl does for "list" and "describe", on both ports and without a token.
func TestReflection(t *testing.T) {
	n := start(t)
	for port, address := range map[string]string{"own": n.api.address.String(), "http": addressOf(t, n.Node)} {
		t.Run(port, func(t *testing.T) {
			c := dial(t, address, n.TLS, protocoltest.Caller{})
			ask, err := reflectionv1.NewServerReflectionClient(c.conn).ServerReflectionInfo(n.ctx())
			n.must(err)
			n.must(ask.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}}))
			answer, err := ask.Recv()
			n.must(err)
			var names []string
			for _, s := range answer.GetListServicesResponse().GetService() {
				names = append(names, s.GetName())
			}
			for _, d := range descriptions() {
				if !slices.Contains(names, d.ServiceName) {
					t.Errorf("want %s to be listed, got %q", d.ServiceName, names)
				}
			}
			n.must(ask.Send(&reflectionv1.ServerReflectionRequest{
				MessageRequest: &reflectionv1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "setpoint.v1.DataService.Watch"},
			}))
			answer, err = ask.Recv()
			n.must(err)
			file := &descriptorpb.FileDescriptorProto{}
			n.must(proto.Unmarshal(answer.GetFileDescriptorResponse().GetFileDescriptorProto()[0], file))
			if got := file.GetName(); got != "setpoint/v1/data_service.proto" {
				t.Errorf("want the file, got %s", got)
			}
		})
	}
	off := start(t, func(s *Settings) { s.Reflection = false })
	ask, err := reflectionv1.NewServerReflectionClient(off.dial(protocoltest.Caller{}).conn).ServerReflectionInfo(n.ctx())
	n.must(err)
	if _, err := ask.Recv(); status.Code(err) != codes.Unimplemented {
		t.Errorf("want it not to be there, got %v", err)
	}
}

// Health follows readiness, and nothing is served before the node is ready.
func TestHealthFollowsReadiness(t *testing.T) {
	var ready atomic.Bool
	n := startOn(t, func(h *protocol.Host) { h.Ready = ready.Load })
	c := n.dial(protocoltest.Caller{})
	health := healthv1.NewHealthClient(c.conn)
	is := func(service string, want healthv1.HealthCheckResponse_ServingStatus) {
		t.Helper()
		got, err := health.Check(n.ctx(), &healthv1.HealthCheckRequest{Service: service})
		if err != nil || got.GetStatus() != want {
			t.Errorf("want %s, got %v, %v", want, got, err)
		}
	}
	is("", healthv1.HealthCheckResponse_NOT_SERVING)
	_, err := c.data.GetVersion(n.ctx(), &setpointv1.GetVersionRequest{})
	refused(t, "a call before the node is ready", codes.Unavailable, err)
	ready.Store(true)
	is("", healthv1.HealthCheckResponse_SERVING)
	is("setpoint.v1.DataService", healthv1.HealthCheckResponse_SERVING)
	if _, err := health.Check(n.ctx(), &healthv1.HealthCheckRequest{Service: "nothing"}); status.Code(err) != codes.NotFound {
		t.Errorf("want it not to be known, got %v", err)
	}
	_, err = c.data.GetVersion(n.ctx(), &setpointv1.GetVersionRequest{})
	refused(t, "a call without proof", codes.Unauthenticated, err)

	seen, err := health.Watch(n.ctx(), &healthv1.HealthCheckRequest{})
	n.must(err)
	for _, want := range []healthv1.HealthCheckResponse_ServingStatus{healthv1.HealthCheckResponse_SERVING, healthv1.HealthCheckResponse_NOT_SERVING} {
		got, err := seen.Recv()
		if err != nil || got.GetStatus() != want {
			t.Fatalf("want %s, got %v, %v", want, got, err)
		}
		ready.Store(false)
	}
	n.must(n.Opened.Close(n.ctx()))
	if _, err := seen.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("want who watches the health to be let go, got %v", err)
	}
}

// A call under way ends well while the node drains; who holds on is cut.
func TestClosingWaitsForCalls(t *testing.T) {
	n := start(t)
	app := n.app()
	ask, err := reflectionv1.NewServerReflectionClient(app.conn).ServerReflectionInfo(n.ctx())
	n.must(err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	n.must(n.Opened.Close(ctx))
	if _, err := ask.Recv(); err == nil {
		t.Error("want the stream to have ended")
	}
	if _, err := app.data.GetVersion(n.ctx(), &setpointv1.GetVersionRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("want nothing to be served, got %v", err)
	}
	n.must(n.Opened.Close(ctx)) // twice is once
}

func TestCompression(t *testing.T) {
	n := start(t)
	content := strings.Repeat("compressible: true\n", 5000)
	n.publish("a.yaml", strings.Replace(content, "compressible", "first", 1)[:12])
	n.publish("b.json", `"`+strings.Repeat("x", 100_000)+`"`)
	app := n.app()
	got, err := app.data.ReadConfig(n.ctx(), &setpointv1.ReadConfigRequest{Path: prod.Join("b.json").String()}, rpc.UseCompressor(gzip.Name))
	if err != nil || len(got.GetConfig().GetContent()) != 100_002 {
		t.Errorf("want the content, got %v", err)
	}
	in, err := app.data.ReadEnv(n.ctx(), &setpointv1.ReadEnvRequest{Env: prod.String()}, rpc.UseCompressor(gzip.Name))
	n.must(err)
	m, err := in.Recv()
	if err != nil || len(m.GetConfigs()) != 2 || len(m.GetConfigs()[1].GetContent()) != 100_002 {
		t.Errorf("want both configs, got %v", err)
	}
}

// What comes to the paths of gRPC on the HTTP port and is none of it.
func TestOtherRequestsOnTheHTTPPort(t *testing.T) {
	n := start(t)
	plain := &http.Client{Transport: &http.Transport{TLSClientConfig: n.TLS, ForceAttemptHTTP2: true}}
	defer plain.CloseIdleConnections()
	for name, c := range map[string]struct {
		method, media string
		want          int
	}{
		"a page":       {http.MethodGet, "", http.StatusMethodNotAllowed},
		"JSON":         {http.MethodPost, "application/json", http.StatusUnsupportedMediaType},
		"gRPC, denied": {http.MethodPost, "application/grpc", http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(n.ctx(), c.method, n.URL+"/setpoint.v1.DataService/GetVersion", http.NoBody)
			n.must(err)
			r.Header.Set("Content-Type", c.media)
			got, err := plain.Do(r)
			n.must(err)
			defer got.Body.Close()
			if got.StatusCode != c.want {
				t.Errorf("want %d, got %d", c.want, got.StatusCode)
			}
		})
	}
}

func TestSettings(t *testing.T) {
	var s Settings
	s.Defaults()
	if err := s.Validate(); err != nil {
		t.Errorf("want the defaults to be good, got %v", err)
	}
	var limits center.Limits
	limits.Defaults()
	if got := s.maxMessage(limits); got != 17<<20 {
		t.Errorf("want messages of 17 MiB, got %d", got)
	}
	s.MaxMessage = 2 * plugin.MiB
	if got := s.maxMessage(limits); got != 2<<20 {
		t.Errorf("want messages of 2 MiB, got %d", got)
	}
	s = Settings{Port: protocol.Port{Addr: "nowhere"}, MaxMessage: 1, MaxSubscriptions: 1 << 20, TrustedProxies: []string{"x"}, KeepaliveTime: time.Millisecond}
	err := s.Validate()
	for _, key := range []string{
		"port.addr", "port.max_connections", "max_message", "max_subscriptions", "trusted_proxies", "max_concurrent_streams", "max_header",
		"handshake_timeout", "keepalive_time", "keepalive_timeout", "max_watchers", "fragment_cache", "recheck", "stream_write_timeout", "stream_retry",
	} {
		if err == nil || !strings.Contains(err.Error(), "protocols.grpc."+key+":") && !strings.Contains(err.Error(), "protocols.grpc."+key) {
			t.Errorf("want %s to be refused, got %v", key, err)
		}
	}
}

// A client that does not trust the port's authority, or speaks plainly, gets
// nothing.
func TestPlainClientsGetNothing(t *testing.T) {
	n := start(t)
	conn, err := rpc.NewClient("passthrough:///"+n.api.address.String(), rpc.WithTransportCredentials(credentials.NewTLS(nil)))
	n.must(err)
	defer conn.Close()
	if _, err := setpointv1.NewDataServiceClient(conn).GetVersion(n.ctx(), &setpointv1.GetVersionRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("want no connection, got %v", err)
	}
}
