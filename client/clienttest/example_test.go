package clienttest_test

import (
	"testing"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/client/clienttest"
	"github.com/setpointhq/setpoint/config"
)

// testProgram is what stands in a test of a program that reads its limits.
func testProgram(t *testing.T) {
	srv := clienttest.NewServer(t)
	srv.Put("acme/checkout/prod/limits.json", `{"rate":5}`)
	set, err := srv.Client(t, client.Options{}).Open(t.Context(), client.SetOptions{Patterns: []string{"acme/checkout/prod"}})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	path := config.Path{Tenant: "acme", App: "checkout", Env: "prod", Name: "limits.json"}
	limits, err := client.Bind(set, path, client.BindOptions[map[string]int]{})
	if err != nil {
		t.Fatal(err)
	}

	// A version that the program cannot use: it goes on with the one before, and
	// says why.
	bad := srv.Put(path.String(), `{"rate":"many"}`)
	report, err := srv.WaitReport(t.Context(), func(r clienttest.Report) bool { return r.Version == bad })
	if err != nil || report.State != config.AckRefused {
		t.Errorf("want it refused, got %+v, %v", report, err)
	}
	if got := (*limits.Value())["rate"]; got != 5 {
		t.Errorf("want the rate 5, got %d", got)
	}
}

func Example() {
	_ = testProgram // called by a TestProgram(t *testing.T)
}
