package graphql

import (
	"encoding/json"
	"testing"

	gql "github.com/99designs/gqlgen/graphql"
	"go.uber.org/goleak"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/protocol/protocoltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestScenarios runs the suite over requests.
func TestScenarios(t *testing.T) {
	t.Parallel() // it waits now and then
	protocoltest.Run(t, protocoltest.Protocol{
		Name: Name, Driver: driver, Native: native,
		Connect: func(tb testing.TB, n *protocoltest.Node, as protocoltest.Caller) protocoltest.Client {
			return &questioner{asker: connect(n, as), tb: tb}
		},
		Lacks: map[protocoltest.Part]string{protocoltest.PartWatches: "a request ends with its answer"},
	})
}

func driver() protocol.Driver {
	var s Settings
	s.Defaults()
	return &s
}

// native answers with an error as this protocol does, and reads it as clients do.
func native(e *config.Error) (string, error) {
	wire, err := json.Marshal(gql.Response{Errors: refusals(e, "r1")})
	if err != nil {
		return "", err
	}
	a, err := readAnswer(wire)
	if err != nil {
		return "", err
	}
	return a.Errors[0].Extensions.Code, a.Errors[0].back()
}
