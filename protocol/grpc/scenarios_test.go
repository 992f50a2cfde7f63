package grpc

import (
	"net/url"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc/status"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/protocol/protocoltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestScenarios runs the suite over the own port.
func TestScenarios(t *testing.T) {
	t.Parallel() // it waits now and then
	protocoltest.Run(t, protocoltest.Protocol{
		Name: Name, Driver: driver("127.0.0.1:0"), Native: native,
		Connect: func(tb testing.TB, n *protocoltest.Node, as protocoltest.Caller) protocoltest.Client {
			return dial(tb, n.Opened.(*api).address.String(), n.TLS, as)
		},
	})
}

// dataOnly is a client of the data plane.
type dataOnly struct {
	protocoltest.Client
	protocoltest.Reads
	protocoltest.Watches
	protocoltest.Reports
}

// TestScenariosOnTheHTTPPort runs the data plane over the HTTP port, which other
// code of the library serves.
func TestScenariosOnTheHTTPPort(t *testing.T) {
	t.Parallel() // it waits now and then
	const elsewhere = "TestScenarios has the same calls"
	protocoltest.Run(t, protocoltest.Protocol{
		Name: Name, Driver: driver(""), Native: native,
		Connect: func(tb testing.TB, n *protocoltest.Node, as protocoltest.Caller) protocoltest.Client {
			c := dial(tb, addressOf(tb, n), n.TLS, as)
			return dataOnly{c, c, c, c}
		},
		Lacks: map[protocoltest.Part]string{
			protocoltest.PartScopes: elsewhere, protocoltest.PartConfigs: elsewhere, protocoltest.PartDrafts: elsewhere,
			protocoltest.PartReleases: elsewhere, protocoltest.PartLaunches: elsewhere, protocoltest.PartForesight: elsewhere,
			protocoltest.PartInstances: elsewhere,
		},
	})
}

func addressOf(tb testing.TB, n *protocoltest.Node) string {
	u, err := url.Parse(n.URL)
	if err != nil {
		tb.Fatal(err)
	}
	return u.Host
}

func driver(addr string) func() protocol.Driver {
	return func() protocol.Driver {
		var s Settings
		s.Defaults()
		s.Port.Addr, s.Recheck = addr, 50*time.Millisecond
		return &s
	}
}

func native(e *config.Error) (string, error) {
	s := statusOf(e, "r1")
	return s.Code().String() + " " + s.Proto().String(), back(status.FromProto(s.Proto()).Err())
}
