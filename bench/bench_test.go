package bench

import (
	"bytes"
	"encoding/json"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/client"
)

func TestMeasuresARunningServerAndLeavesNothingBehind(t *testing.T) {
	node, stop, err := startNode()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	o := options(t)
	o.Server, o.GRPC = node.options(), node.GRPC
	o.Scenarios = slices.DeleteFunc(Scenarios(), func(s string) bool { return s == scenarioCluster || s == scenarioBeside })
	o.Rounds, o.Duration = 1, 250*time.Millisecond
	o.Connections, o.Writers, o.Subscribers, o.Idle, o.Publishes, o.Instances = 4, 4, 10, 14, 3, 12
	report, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, result := range report.Results {
		for _, row := range result.Rows {
			got = append(got, result.Scenario+": "+row.Subject)
			if row.Ops == 0 || row.Rate <= 0 || len(row.RoundRates) != o.Rounds {
				t.Errorf("%s: %s: not measured: %+v", result.Title, row.Subject, row)
			}
			if called := row.AllocsPerOp != nil; called != (result.Scenario == scenarioResolve) || !called && (row.Latency.P50 <= 0 || row.Latency.Max < row.Latency.P50) {
				t.Errorf("%s: %s: want the latencies of all but what is called in this process: %+v", result.Title, row.Subject, row)
			}
			deliveries := o.Publishes * o.Subscribers
			switch {
			case result.Scenario == scenarioIdle:
				deliveries = max(1, o.Publishes/idleShare) * o.Idle
			case result.Scenario == scenarioSwitch:
				deliveries = 2 * o.Publishes * o.Instances
			case !strings.HasPrefix(result.Scenario, scenarioWatch):
				deliveries = 0
			}
			if fanout := deliveries > 0; fanout != (row.Last != nil) || fanout && row.Ops != int64(o.Rounds*deliveries) {
				t.Errorf("%s: %s: want each subscriber to have each event once: %+v", result.Title, row.Subject, row)
			}
		}
	}
	want := []string{
		"read: setpoint", "read: bare handler", "read: setpoint", "read: bare handler",
		"not-modified: setpoint", "not-modified: bare handler", "not-modified: setpoint", "not-modified: bare handler",
		"publish: setpoint", "publish: engine's bare transaction", "publish: setpoint", "publish: engine's bare transaction",
		"watch: setpoint", "watch: bare TLS write", "watch-ws: setpoint", "watch-ws: bare TLS write",
		"watch-grpc: setpoint", "watch-grpc: bare TLS write", "watch-grpc-http: setpoint", "watch-grpc-http: bare TLS write",
		"idle-ws: setpoint", "idle-ws: bare TLS write",
		"switch: setpoint", "switch: bare TLS write",
		"resolve: plain, no launch", "resolve: five rules",
		"etcd: setpoint GET", "etcd: etcd get, serializable", "etcd: etcd get, linearizable", "etcd: setpoint publish", "etcd: etcd put",
		"reads: setpoint, REST", "reads: setpoint, gRPC", "reads: etcd, serializable Range over gRPC",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("measured (-want +got):\n%s", diff)
	}
	left, err := os.ReadDir(o.Dir)
	if err != nil || len(left) > 0 {
		t.Errorf("want nothing left in the data folder, got %v, %v", left, err)
	}
	c, err := client.New(*o.Server)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for tenant, err := range c.Tenants(t.Context()) {
		t.Errorf("want no tenant left, got %s, %v", tenant.Name, err)
	}
	checkOutput(t, report)
}

func TestMeasuresAServerOfItsOwn(t *testing.T) {
	o := options(t)
	o.Rounds, o.Duration = 1, 250*time.Millisecond
	o.Connections, o.Writers, o.Subscribers = 1, 4, 5
	o.Scenarios = []string{scenarioNotModified, scenarioBeside}
	report, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if want, got := 2+3, len(report.Results); want != got {
		t.Errorf("want %d results, got %d", want, got)
	}
	for _, result := range report.Results {
		for _, row := range result.Rows {
			if row.Ops == 0 || runtime.GOOS == "linux" && row.RSS == 0 {
				t.Errorf("%s: %s: not measured: %+v", result.Title, row.Subject, row)
			}
		}
	}
	if left, err := os.ReadDir(o.Dir); err != nil || len(left) > 0 {
		t.Errorf("want nothing left in the data folder, got %v, %v", left, err)
	}
}

// checkOutput renders a report both ways.
func checkOutput(t *testing.T, report *Report) {
	t.Helper()
	var table bytes.Buffer
	if err := report.Write(&table); err != nil {
		t.Error(err)
	}
	for _, text := range []string{"bare handler", "SETPOINT IS", "SETPOINT'S P99", "fsync", "ALLOCS/CALL", "whole states only"} {
		if !strings.Contains(table.String(), text) {
			t.Errorf("want %q in the table:\n%s", text, table.String())
		}
	}
	text, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	var again Report
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*report, again); diff != "" {
		t.Errorf("report after JSON (-want +got):\n%s", diff)
	}
}
