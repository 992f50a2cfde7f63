package grpc_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/protocol/grpc"
	"github.com/setpointhq/setpoint/protocol/protocoltest"
)

// The example does what it says, on the HTTP port of a node.
func TestTheExample(t *testing.T) {
	n := protocoltest.Start(t, func() protocol.Driver {
		var s grpc.Settings
		s.Defaults()
		return &s
	})
	ctx, cancel := context.WithTimeout(auth.WithIdentity(t.Context(), auth.Identity{Subject: center.AdminUser, Method: "basic"}), 20*time.Second)
	defer cancel()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	path := config.Path{Tenant: "acme", App: "checkout", Env: "prod", Name: "app.yaml"}
	_, err := n.Center.CreateTenant(ctx, config.Tenant{Name: path.Tenant})
	must(err)
	_, err = n.Center.CreateApp(ctx, config.App{Tenant: path.Tenant, Name: path.App})
	must(err)
	_, err = n.Center.CreateEnv(ctx, config.Env{Tenant: path.Tenant, App: path.App, Name: path.Env})
	must(err)
	_, secret, err := n.Center.CreateToken(ctx, center.NewToken{})
	must(err)
	publish := func(content string) {
		_, err := n.Center.Publish(ctx, center.Publish{Tenant: path.Tenant, Items: []center.PublishItem{{Path: path, Content: []byte(content)}}})
		must(err)
	}
	publish("a: 1")

	from, to := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := readAndWatch(ctx, to, strings.TrimPrefix(n.URL, "https://"), n.TLS.RootCAs, secret.Reveal())
		to.Close()
		ended <- err
	}()
	var out strings.Builder
	room := make([]byte, 1<<10)
	for {
		size, err := from.Read(room)
		out.Write(room[:size])
		if err != nil {
			break
		}
		if strings.HasSuffix(out.String(), "watched version 1: a: 1\n") {
			publish("a: 2")
		}
	}
	must(<-ended)
	if want := "read version 1: a: 1\nwatched version 1: a: 1\nwatched version 2: a: 2\n"; out.String() != want {
		t.Errorf("want\n%s\ngot\n%s", want, out.String())
	}
}
