package clienttest_test

import (
	"encoding/json"
	"testing"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/client/clienttest"
	"github.com/setpointhq/setpoint/config"
)

func ExampleNewServer() {
	var t *testing.T // of your test

	srv := clienttest.NewServer(t)
	srv.Put("acme/checkout/prod/limits.json", `{"rate":5}`)
	set, err := srv.Client(t, client.Options{}).Open(t.Context(), client.SetOptions{Patterns: []string{"acme/checkout/prod"}})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()

	// What the program does with a version that it cannot use: it says so.
	path := config.Path{Tenant: "acme", App: "checkout", Env: "prod", Name: "limits.json"}
	if _, err := client.Bind(set, path, client.BindOptions[map[string]int]{Decode: json.Unmarshal}); err != nil {
		t.Fatal(err)
	}
	bad := srv.Put(path.String(), `{"rate":"many"}`)
	report, err := srv.WaitReport(t.Context(), func(r clienttest.Report) bool { return r.Version == bad })
	if err != nil || report.State != config.AckRefused {
		t.Errorf("want it refused, got %+v, %v", report, err)
	}

	// And when the servers are gone: it goes on with what it has.
	srv.Stop()
	srv.Start()
}
