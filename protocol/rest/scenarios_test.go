package rest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/plugin"
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/protocol/internal/problem"
	"github.com/setpointhq/setpoint/protocol/protocoltest"
	"github.com/setpointhq/setpoint/protocol/rest"
)

// TestScenarios runs the suite over REST, with Server-Sent Events for watches.
func TestScenarios(t *testing.T) {
	t.Parallel() // it waits now and then
	protocoltest.Run(t, protocoltest.Protocol{
		Name: rest.Name, Driver: scenarioDriver, Native: native(t),
		Connect: func(tb testing.TB, n *protocoltest.Node, as protocoltest.Caller) protocoltest.Client {
			return connect(tb, n, as)
		},
	})
}

// TestScenariosOfPolls runs the suite over long polls.
func TestScenariosOfPolls(t *testing.T) {
	t.Parallel() // it waits now and then
	const elsewhere = "TestScenarios has the same calls"
	protocoltest.Run(t, protocoltest.Protocol{
		Name: rest.Name, Driver: scenarioDriver, Native: native(t),
		Connect: func(tb testing.TB, n *protocoltest.Node, as protocoltest.Caller) protocoltest.Client {
			return &poller{reader{connect(tb, n, as)}}
		},
		Lacks: map[protocoltest.Part]string{
			protocoltest.PartScopes: elsewhere, protocoltest.PartConfigs: elsewhere, protocoltest.PartDrafts: elsewhere,
			protocoltest.PartReleases: elsewhere, protocoltest.PartLaunches: elsewhere, protocoltest.PartForesight: elsewhere,
			protocoltest.PartInstances: elsewhere, protocoltest.PartReports: elsewhere,
			protocoltest.PartPresence: "between two polls nothing is open",
		},
	})
}

func scenarioDriver() protocol.Driver {
	var s rest.Settings
	s.Defaults()
	s.Heartbeat, s.MaxPatterns, s.ChangeSetBody = 50*time.Millisecond, 256, 8*plugin.MiB
	return &s
}

// native answers with an error as this protocol does, and reads it as the SDK
// does.
func native(t *testing.T) func(*config.Error) (string, error) {
	return func(e *config.Error) (string, error) {
		p := problem.New(e, "r1")
		server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", problem.ContentType)
			w.WriteHeader(p.Status)
			if err := json.NewEncoder(w).Encode(p); err != nil {
				t.Error(err)
			}
		}))
		defer server.Close()
		sdk, err := client.New(client.Options{
			Endpoints: []string{server.URL}, TLS: client.TLS{Fingerprint: client.Fingerprint(server.Certificate())},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer sdk.Close()
		_, err = sdk.UndeleteConfig(t.Context(), config.Path{Tenant: "t", App: "a", Env: "e", Name: "n"}, "")
		return fmt.Sprintf("%d %s %s", p.Status, p.Code, p.Type), err
	}
}

// connect makes a client of the SDK, and beside it one of net/http for what the
// SDK does by itself: to follow pages, to try again, to refuse what cannot be.
func connect(tb testing.TB, n *protocoltest.Node, as protocoltest.Caller) *caller {
	tb.Helper()
	c := &caller{url: n.URL, header: http.Header{}, raw: &http.Client{Transport: &http.Transport{TLSClientConfig: n.TLS.Clone(), ForceAttemptHTTP2: true}}}
	if !as.Token.Empty() {
		c.header.Set("Authorization", "Bearer "+as.Token.Reveal())
	}
	for name, value := range map[string]string{
		"Setpoint-Instance": as.Instance.ID, "Setpoint-Slot": as.Instance.Slot, "Setpoint-Labels": labels(as.Instance.Labels),
	} {
		if value != "" {
			c.header.Set(name, value)
		}
	}
	var err error
	c.sdk, err = client.New(client.Options{
		Endpoints: []string{n.URL}, Token: as.Token, Instance: as.Instance,
		TLS: client.TLS{Fingerprint: client.Fingerprint(n.Certificate)},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func labels(all map[string]string) (text string) {
	for k, v := range all {
		text += "," + k + "=" + v
	}
	if text != "" {
		text = text[1:]
	}
	return text
}

// Close implements protocoltest.Client.
func (c *caller) Close() {
	c.sdk.Close()
	c.raw.CloseIdleConnections()
}

// reader is a caller that only reads.
type reader struct{ c *caller }

func (r reader) Close() { r.c.Close() }

func (r reader) Get(ctx context.Context, q protocoltest.Read) (protocoltest.Served, error) {
	return r.c.Get(ctx, q)
}

func (r reader) Snapshot(ctx context.Context, q protocoltest.Read) (protocoltest.Snapshot, error) {
	return r.c.Snapshot(ctx, q)
}
