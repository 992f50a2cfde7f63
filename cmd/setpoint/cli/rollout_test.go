package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

func releaseFrom(t *testing.T, args ...string) (client.ReleaseOptions, error) {
	t.Helper()
	var f releaseFlags
	cmd := &cobra.Command{Use: "x"}
	f.register(cmd)
	if err := cmd.ParseFlags(args); err != nil {
		return client.ReleaseOptions{}, err
	}
	return (&app{env: Env{Stdin: strings.NewReader("kind: all\n")}}).releaseOptions(&f)
}

func TestReleaseFlags(t *testing.T) {
	for name, tt := range map[string]struct {
		args []string
		want string // as JSON
	}{
		"nothing":       {nil, `{}`},
		"canary":        {[]string{"--percent", "5", "--expires", "1d"}, `{"rollout":{"strategy":{"kind":"canary","rule":{"share":500}},"expires_after_seconds":86400}}`},
		"gate":          {[]string{"--steps", "100", "--gate-applied", "95%", "--gate-at-least", "3", "--gate-refused", "2", "--gate-refused-share", "0.5%", "--gate-patience", "10m"}, `{"rollout":{"strategy":{"kind":"progressive","steps":[{"share":10000,"hold_seconds":0}]},"gate":{"applied_share":9500,"at_least":3,"refused":2,"refused_share":50,"patience_seconds":600}}}`},
		"an empty gate": {[]string{"--targets", "a", "--gate-refused", "0"}, `{"rollout":{"strategy":{"kind":"targets","targets":["a"]},"gate":{}}}`},
		"later":         {[]string{"--at", "2027-01-31T10:00:00Z"}, `{"begins_at":"2027-01-31T10:00:00Z"}`},
		"over others":   {[]string{"--on-running", "after", "--override-freeze"}, `{"on_running":"after","override_freeze":true}`},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := releaseFrom(t, tt.args...)
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(o)
			if diff := cmp.Diff(tt.want, string(got)); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
	before := time.Now()
	o, err := releaseFrom(t, "--at", "+2h")
	if at := o.BeginsAt; err != nil || at.Before(before.Add(2*time.Hour)) || at.After(time.Now().Add(2*time.Hour)) {
		t.Errorf("+2h: got %s, %v", at, err)
	}
}

func TestReleaseFlagsRefused(t *testing.T) {
	for args, want := range map[string]string{
		"--expires 2h":                        "--expires and --gate-… are for a launch",
		"--gate-refused 1":                    "--expires and --gate-… are for a launch",
		"--percent 5 --expires soon":          `--expires: "soon" is no length of time`,
		"--percent 5 --gate-applied 101":      `--gate-applied "101": want 0 to 100 percent`,
		"--percent 5 --gate-refused-share x":  `--gate-refused-share "x": want a percentage`,
		"--percent 5 --gate-patience -1m":     `--gate-patience: "-1m" is no length of time`,
		"--percent 5 --on-running sometimes":  "--on-running sometimes: want supersede, before, after",
		"--at then":                           `--at: "then" is no time`,
		"--percent 200":                       "want 0 to 100 percent",
		"--strategy-file - --percent 5 --any": "give either --strategy-file or --percent",
	} {
		_, err := releaseFrom(t, strings.Fields(args)...)
		var usage usageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: want %q, got %v", args, want, err)
		}
	}
}

// A gate that is adjusted keeps what nothing was said of.
func TestGateIsChangedInPart(t *testing.T) {
	var f gateFlags
	cmd := &cobra.Command{Use: "x"}
	f.register(cmd)
	if err := cmd.ParseFlags([]string{"--gate-refused", "7"}); err != nil {
		t.Fatal(err)
	}
	base := config.Gate{Applied: 9500, AtLeast: 1, Refused: 2, RefusedShare: 100, Patience: 60}
	got, err := f.over(&base)
	want := base
	want.Refused = 7
	if diff := cmp.Diff(&want, got); diff != "" || err != nil || base.Refused != 2 {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func ptr[T any](v T) *T { return &v }

func TestWhatComesNext(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	plan := func(step int) config.Strategy {
		return config.Strategy{Kind: config.StrategyProgressive, Step: step, Steps: []config.Step{{Share: 100, Hold: 600}, {Share: 5000, Hold: 60}, {Share: 10000, Hold: 3600}}}
	}
	reports := &config.Gate{Applied: 9500, AtLeast: 1}
	for name, tt := range map[string]struct {
		l    config.Launch
		want string
	}{
		"scheduled":        {config.Launch{State: config.LaunchScheduled, BeginsAt: now.Add(time.Hour)}, "begins at " + when(now.Add(time.Hour)) + " (in 1h0m0s)"},
		"due":              {config.Launch{State: config.LaunchScheduled, BeginsAt: now}, "begins any moment"},
		"canary":           {config.Launch{State: config.LaunchRunning, Strategy: config.Strategy{Kind: config.StrategyCanary}}, "nothing by itself: adjust, promote or abort it"},
		"blue-green":       {config.Launch{State: config.LaunchRunning, Strategy: config.Strategy{Kind: config.StrategyBlueGreen}}, "nothing by itself: switch, promote or abort it"},
		"paused canary":    {config.Launch{State: config.LaunchPaused, Strategy: config.Strategy{Kind: config.StrategyCanary}}, "nothing until it is resumed, promoted or aborted"},
		"first step":       {config.Launch{State: config.LaunchRunning, Strategy: plan(0), StepAt: now}, "50% at " + when(now.Add(10*time.Minute)) + " (in 10m0s)"},
		"with reports":     {config.Launch{State: config.LaunchRunning, Strategy: plan(0), StepAt: now, Gate: reports}, "50% at " + when(now.Add(10*time.Minute)) + " (in 10m0s), if enough instances have applied it by then"},
		"waits":            {config.Launch{State: config.LaunchRunning, Strategy: plan(1), StepAt: now.Add(-time.Hour), Gate: reports}, "100% as soon as enough instances have applied it"},
		"last step":        {config.Launch{State: config.LaunchRunning, Strategy: plan(2), StepAt: now.Add(-time.Hour)}, "promoted any moment"},
		"paused":           {config.Launch{State: config.LaunchPaused, Strategy: plan(0), Held: 90}, "nothing until it is resumed; the step has lasted 1m30s of 10m0s"},
		"ends below all":   {config.Launch{State: config.LaunchRunning, Strategy: config.Strategy{Kind: config.StrategyProgressive, Steps: []config.Step{{Share: 5000}}}}, "nothing by itself: it stays at 50% until it is adjusted, promoted or aborted"},
		"no such step":     {config.Launch{State: config.LaunchRunning, Strategy: plan(9)}, "-"},
		"paused, no steps": {config.Launch{State: config.LaunchPaused, Strategy: plan(-1)}, "nothing until it is resumed; the step has lasted 0s of -"},
	} {
		if got := nextText(&tt.l, now); got != tt.want {
			t.Errorf("%s: want %q, got %q", name, tt.want, got)
		}
	}
}

func TestWhomAStrategyClaims(t *testing.T) {
	region, err := config.ParseSelector("region in (eu, us), !legacy")
	if err != nil {
		t.Fatal(err)
	}
	network, err := config.ParseNetwork("10.0.0.0/8")
	if err != nil {
		t.Fatal(err)
	}
	many := make([]string, 12)
	for i := range many {
		many[i] = string(rune('a' + i))
	}
	for want, s := range map[string]config.Strategy{
		"everybody": {Kind: config.StrategyAll},
		"nobody":    {Kind: config.StrategyCanary},
		"12.5% of the instances and labels region in (eu, us), !legacy and from 10.0.0.0/8": {Kind: config.StrategyCanary, Rule: &config.Rule{
			Share: ptr(config.Share(1250)), Labels: region, Addresses: []config.Network{network}}},
		"(named a) or (1% of the instances and (from 10.0.0.0/8))": {Kind: config.StrategyCanary, Rule: &config.Rule{Any: []config.Rule{
			{Instances: config.NewInstanceSet("a")}, {Share: ptr(config.Share(100)), All: []config.Rule{{Addresses: []config.Network{network}}}}}}},
		"the instances a, b, c, d, e, f, g, h, i, j, one of 2 more":      {Kind: config.StrategyTargets, Targets: config.NewInstanceSet(many...)},
		"whoever gets slot green; everybody who asks for none gets blue": {Kind: config.StrategyBlueGreen, Slots: &config.Slots{Stable: "blue", Candidate: "green", Active: "blue"}},
		"1% of the instances": {Kind: config.StrategyProgressive, Steps: []config.Step{{Share: 100}}},
	} {
		if got := claimsText(&s); got != want {
			t.Errorf("want %q, got %q", want, got)
		}
	}
}

func TestEventsAfter(t *testing.T) {
	at := func(s int) time.Time { return time.Date(2026, 1, 1, 0, 0, s, 0, time.UTC) }
	a, b, c := config.LaunchEvent{At: at(1), What: "started"}, config.LaunchEvent{At: at(2), What: "begun"}, config.LaunchEvent{At: at(2), What: "promoted"}
	all := []config.LaunchEvent{a, b, c}
	for name, tt := range map[string]struct {
		last config.LaunchEvent
		want []config.LaunchEvent
	}{
		"from the start":              {config.LaunchEvent{}, all},
		"two of one moment":           {b, all[2:]},
		"nothing new":                 {c, all[3:]},
		"a forgotten one":             {config.LaunchEvent{At: at(1).Add(1), What: "adjusted"}, all[1:]},
		"a forgotten one, none since": {config.LaunchEvent{At: at(9), What: "adjusted"}, nil},
	} {
		if diff := cmp.Diff(tt.want, eventsAfter(all, tt.last)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// A server that is away for a moment does not end a follow; one that says no does.
func TestFollowOutlastsTheServer(t *testing.T) {
	answers := []struct {
		status int
		body   string
	}{
		{http.StatusOK, `{"id":"l1","tenant":"acme","state":"running","events":[{"at":"2026-01-01T00:00:00Z","by":"al","what":"started","why":"x\u001b"}]}`},
		{http.StatusTooManyRequests, `{"code":"throttled","detail":"later"}`},
		{http.StatusOK, `{"id":"l1","tenant":"acme","state":"fallen-back","events":[{"at":"2026-01-01T00:00:00Z","by":"al","what":"started"},{"at":"2026-01-01T00:00:01Z","by":"system","what":"fallen-back","why":"3 refused"}]}`},
	}
	asked := 0
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		next := answers[min(asked, len(answers)-1)]
		asked++
		if next.status == http.StatusTooManyRequests {
			w.Header().Set("Retry-After", "60") // longer than the client waits by itself
		}
		w.WriteHeader(next.status)
		w.Write([]byte(next.body))
	})
	got := run(t, h, "rollout", "status", "acme", "--launch", "l1", "--follow")
	want := when(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)) + "  started by al: x\uFFFD\n" +
		when(time.Date(2026, 1, 1, 0, 0, 1, 0, time.UTC)) + "  fallen-back by system: 3 refused\n"
	if diff := cmp.Diff(want, got.stdout); diff != "" || got.code != 3 || !strings.Contains(got.stderr, "trying on") {
		t.Errorf("code %d, stderr %q, output (-want +got):\n%s", got.code, got.stderr, diff)
	}
	denied := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		w.Write([]byte(`{"code":"denied"}`))
	})
	if got := run(t, denied, "rollout", "status", "acme", "--launch", "l1", "--follow"); got.code != exitDenied {
		t.Errorf("want %d, got %d", exitDenied, got.code)
	}
}

func TestImportOfManyCannotBeLaunched(t *testing.T) {
	dir := t.TempDir()
	for i := range batchFiles + 1 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("f%d.yaml", i)), []byte("a: 1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := run(t, answer(`{"items":[]}`), "import", "a/b/c", dir, "--percent", "5")
	if got.code != exitInvalid || !strings.Contains(got.stderr, "a launch is of one; import fewer at a time") {
		t.Errorf("got %d: %s", got.code, got.stderr)
	}
}
