package grpc_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/setpointhq/setpoint/api/setpointv1"
)

// A client of the gRPC interface, with what is generated for it: it reads a config,
// and watches the whole env until it is told of a change. Applications in Go are
// better off with the SDK, which does this, keeps a copy and reconnects.
func Example() {
	authority, err := os.ReadFile("data/dev/tls/cert.pem") // where "setpoint dev" puts it
	if err != nil {
		panic(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	err = readAndWatch(context.Background(), os.Stdout, "localhost:7400", roots, os.Getenv("SETPOINT_TOKEN"))
	if err != nil {
		panic(err)
	}
}

// bearer sends a token with every call, over secure connections only.
type bearer string

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (bearer) RequireTransportSecurity() bool { return true }

func readAndWatch(ctx context.Context, out io.Writer, address string, roots *x509.CertPool, token string) error {
	conn, err := grpc.NewClient(address,
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12})),
		grpc.WithPerRPCCredentials(bearer(token)),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)), // 4 MiB is less than an env may have
	)
	if err != nil {
		return err
	}
	defer conn.Close()
	data := setpointv1.NewDataServiceClient(conn)
	me := &setpointv1.ClientIdentity{Id: "pod-1", Labels: map[string]string{"region": "eu"}}

	read, err := data.ReadConfig(ctx, &setpointv1.ReadConfigRequest{Path: "acme/checkout/prod/app.yaml", Client: me})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "read version %d: %s\n", read.GetConfig().GetVersion(), read.GetConfig().GetContent())

	watch, err := data.Watch(ctx)
	if err != nil {
		return err
	}
	for _, said := range []*setpointv1.WatchRequest{
		{Act: &setpointv1.WatchRequest_Hello{Hello: &setpointv1.WatchHello{Client: me}}},
		{Act: &setpointv1.WatchRequest_Subscribe{Subscribe: &setpointv1.WatchSubscribe{Id: 1, Patterns: []string{"acme/checkout/prod"}}}},
	} {
		if err := watch.Send(said); err != nil {
			return err
		}
	}
	for {
		heard, err := watch.Recv()
		if err != nil {
			return err // come back after the welcome's retry_after, and resume
		}
		changes := heard.GetChanges()
		for _, config := range changes.GetServed() {
			fmt.Fprintf(out, "watched version %d: %s\n", config.GetVersion(), config.GetContent())
		}
		if changes != nil && !changes.GetPartial() && !changes.GetReset_() {
			return nil // changes.GetRevision() is where to resume after
		}
	}
}
