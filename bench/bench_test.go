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
	measured := []string{scenarioCluster, scenarioBeside, scenarioIdentities} // which start servers of their own
	for _, tt := range []struct {
		scenarios []string
		want      []string // of subjects
		text      []string // in the table
	}{
		{
			[]string{scenarioRead, scenarioNotModified, scenarioPublish},
			[]string{
				"read: setpoint", "read: bare handler", "read: setpoint", "read: bare handler",
				"not-modified: setpoint", "not-modified: bare handler", "not-modified: setpoint", "not-modified: bare handler",
				"publish: setpoint", "publish: engine's bare transaction", "publish: setpoint", "publish: engine's bare transaction",
			},
			[]string{"bare handler", "SETPOINT IS", "fsync"},
		},
		{
			[]string{scenarioWatch, scenarioWatch + "-ws", scenarioWatch + "-grpc", scenarioWatch + "-grpc-http", scenarioWatch + "-graphql"},
			[]string{
				"watch: setpoint", "watch: bare TLS write", "watch-ws: setpoint", "watch-ws: bare TLS write",
				"watch-grpc: setpoint", "watch-grpc: bare TLS write", "watch-grpc-http: setpoint", "watch-grpc-http: bare TLS write",
				"watch-graphql: setpoint", "watch-graphql: bare TLS write",
			},
			[]string{"SETPOINT'S P99", "over gRPC, an event", "over gRPC on the HTTP port, an event"},
		},
		{
			[]string{scenarioIdle, scenarioSwitch, scenarioResolve},
			[]string{
				"idle-ws: setpoint", "idle-ws: bare TLS write", "switch: setpoint", "switch: bare TLS write",
				"resolve: plain, no launch", "resolve: five rules",
			},
			[]string{"connecting took", "whole states only", "ALLOCS/CALL"},
		},
		{
			[]string{scenarioEtcd, scenarioReads},
			[]string{
				"etcd: setpoint GET", "etcd: etcd get, serializable", "etcd: etcd get, linearizable", "etcd: setpoint publish", "etcd: etcd put",
				"reads: setpoint, REST", "reads: setpoint, gRPC", "reads: etcd, serializable Range over gRPC",
			},
			[]string{"of etcd's rate: REST "},
		},
		{
			[]string{scenarioNever},
			slices.Repeat([]string{"never-reading: others, while some do not read", "never-reading: others, alone"}, len(neverReaderKinds())),
			[]string{"let read again, 10 of 10 had the latest version", "no window is opened"},
		},
	} {
		measured = append(measured, tt.scenarios...)
		t.Run(strings.Join(tt.scenarios, " "), func(t *testing.T) {
			t.Parallel() // most of it is waiting
			o := options(t)
			o.Scenarios = tt.scenarios
			o.Rounds, o.Duration, o.Stall = 1, 150*time.Millisecond, 150*time.Millisecond
			o.Connections, o.Writers, o.Subscribers, o.Idle, o.Publishes, o.Instances = 4, 4, 10, 14, 2, 12
			report := measureRunning(t, o)
			var got []string
			for _, result := range report.Results {
				for _, row := range result.Rows {
					got = append(got, result.Scenario+": "+row.Subject)
					checkRow(t, o, result, row)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("measured (-want +got):\n%s", diff)
			}
			checkOutput(t, report, tt.text)
		})
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(Scenarios())), slices.Sorted(slices.Values(measured))); diff != "" {
		t.Errorf("want every scenario measured (-want +got):\n%s", diff)
	}
}

// measureRunning measures a server that runs, and sees that nothing is left.
func measureRunning(t *testing.T, o Options) *Report {
	t.Helper()
	node, stop, err := startNode()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	o.Server, o.GRPC = node.options(), node.GRPC
	report, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
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
	return report
}

// checkRow sees that a subject was measured in all that its scenario is about.
func checkRow(t *testing.T, o Options, result Result, row Row) {
	t.Helper()
	if row.Ops == 0 || row.Rate <= 0 || len(row.RoundRates) != o.Rounds {
		t.Errorf("%s: %s: not measured: %+v", result.Title, row.Subject, row)
	}
	if called := row.AllocsPerOp != nil; called != (result.Scenario == scenarioResolve) || !called && (row.Latency.P50 <= 0 || row.Latency.Max < row.Latency.P50) {
		t.Errorf("%s: %s: want the latencies of all but what is called in this process: %+v", result.Title, row.Subject, row)
	}
	if fanout := result.Subscribers > 0; fanout != (row.Last != nil) {
		t.Errorf("%s: %s: want the time until the last had it of fan-outs alone: %+v", result.Title, row.Subject, row)
	}
	deliveries := 0
	switch {
	case result.Scenario == scenarioIdle:
		deliveries = max(1, o.Publishes/idleShare) * o.Idle
	case result.Scenario == scenarioSwitch:
		deliveries = 2 * o.Publishes * o.Instances
	case strings.HasPrefix(result.Scenario, scenarioWatch):
		deliveries = o.Publishes * o.Subscribers
	}
	if deliveries > 0 && row.Ops != int64(o.Rounds*deliveries) {
		t.Errorf("%s: %s: want each subscriber to have each event once: %+v", result.Title, row.Subject, row)
	}
}

func TestMeasuresAServerOfItsOwn(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.Rounds, o.Duration = 1, 150*time.Millisecond
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
func checkOutput(t *testing.T, report *Report, want []string) {
	t.Helper()
	var table bytes.Buffer
	if err := report.Write(&table); err != nil {
		t.Error(err)
	}
	for _, text := range want {
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
