package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/config"
)

// strategyFrom runs the flags of a command line.
func strategyFrom(t testing.TB, args ...string) (*config.Strategy, error) {
	t.Helper()
	var f strategyFlags
	cmd := &cobra.Command{Use: "x"}
	f.register(cmd)
	if err := cmd.ParseFlags(args); err != nil {
		return nil, err
	}
	return (&app{env: Env{Stdin: strings.NewReader("kind: all\n")}}).strategyOf(&f)
}

func TestStrategyFlags(t *testing.T) {
	file := filepath.Join(t.TempDir(), "s.yaml")
	const text = "kind: progressive\nrule:\n  any:\n    - labels: region = eu\n    - addresses: [10.0.0.0/8]\n      instances: [b, a]\nsteps:\n  - share: 100\n    hold_seconds: 0.5\n  - share: 10000\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		args []string
		want string // as JSON; "null" for none
	}{
		"nothing":            {nil, `null`},
		"percent":            {[]string{"--percent", "12.5"}, `{"kind":"canary","rule":{"share":1250}}`},
		"percent with salt":  {[]string{"--percent", "0.01%", "--salt", "s1"}, `{"kind":"canary","rule":{"share":1},"salt":"s1"}`},
		"labels":             {[]string{"--labels", "region in (eu, us)"}, `{"kind":"canary","rule":{"labels":"region in (eu, us)"}}`},
		"addresses":          {[]string{"--address", "10.0.0.0/8", "--address", "::1, 192.0.2.1"}, `{"kind":"canary","rule":{"addresses":["10.0.0.0/8","::1","192.0.2.1"]}}`},
		"instances":          {[]string{"--instance", "b", "--instance", "a,c"}, `{"kind":"canary","rule":{"instances":["a,c","b"]}}`},
		"all of them":        {[]string{"--percent", "5", "--labels", "a", "--address", "::1", "--instance", "i"}, `{"kind":"canary","rule":{"share":500,"labels":"a","addresses":["::1"],"instances":["i"]}}`},
		"any of them":        {[]string{"--percent", "5", "--labels", "a", "--any"}, `{"kind":"canary","rule":{"any":[{"share":500},{"labels":"a"}]}}`},
		"targets":            {[]string{"--targets", "b,a", "--targets", "c"}, `{"kind":"targets","targets":["a","b","c"]}`},
		"steps":              {[]string{"--steps", "1%:10m,10%:1d, 50:0,100%"}, `{"kind":"progressive","steps":[{"share":100,"hold_seconds":600},{"share":1000,"hold_seconds":86400},{"share":5000,"hold_seconds":0},{"share":10000,"hold_seconds":0}]}`},
		"steps among labels": {[]string{"--steps", "100", "--labels", "!a"}, `{"kind":"progressive","rule":{"labels":"!a"},"steps":[{"share":10000,"hold_seconds":0}]}`},
		"blue-green":         {[]string{"--blue-green"}, `{"kind":"blue-green"}`},
		"blue-green, named":  {[]string{"--blue-green=green,blue"}, `{"kind":"blue-green","slots":{"stable":"green","candidate":"blue","active":"green"}}`},
		"standard input":     {[]string{"--strategy-file", "-"}, `{"kind":"all"}`},
		"file":               {[]string{"--strategy-file", file}, `{"kind":"progressive","rule":{"any":[{"labels":"region = eu"},{"addresses":["10.0.0.0/8"],"instances":["a","b"]}]},"steps":[{"share":100,"hold_seconds":0.5},{"share":10000,"hold_seconds":0}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := strategyFrom(t, tt.args...)
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(s)
			if diff := cmp.Diff(tt.want, string(got)); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestStrategyFlagsRefused(t *testing.T) {
	for args, want := range map[string]string{
		"--percent 101":                       `--percent "101": want 0 to 100 percent`,
		"--percent -1":                        `--percent "-1": want a percentage such as 5 or 12.5`,
		"--percent 12.345":                    `--percent "12.345": hundredths of a percent, 0.01, are as fine as it gets`,
		"--percent=":                          `--percent "": want a percentage such as 5 or 12.5`,
		"--labels region(eu":                  `--labels: label expression, column 7`,
		"--address 10.0.0.1/8":                `--address: network "10.0.0.1/8" has bits set beyond its length`,
		"--any":                               `--any wants at least two of`,
		"--any --percent 5":                   `--any wants at least two of`,
		"--salt s":                            `--salt is for a share`,
		"--steps 1%:10x":                      `--steps, step 1: "10x" is no length of time`,
		"--steps 1%,x":                        `--steps, step 2: "x": want a percentage`,
		"--steps 1%:":                         `--steps, step 1: the time is missing behind ':'`,
		"--steps 1%:-5m":                      `--steps, step 1: "-5m" is no length of time`,
		"--steps=":                            `--steps, step 1: "": want a percentage`,
		"--steps 1% --percent 5":              `give either --steps or --percent, not both`,
		"--targets a --labels b":              `give either --targets or --labels, not both`,
		"--blue-green --steps 1%":             `give either --blue-green or --steps, not both`,
		"--blue-green --targets a":            `give either --targets or --blue-green, not both`,
		"--blue-green=green":                  `--blue-green "green": name the stable release's slot and the candidate's`,
		"--strategy-file - --any --labels ab": `give either --strategy-file or --labels, not both`,
	} {
		t.Run(args, func(t *testing.T) {
			_, err := strategyFrom(t, strings.Fields(args)...)
			var usage usageError
			if !errors.As(err, &usage) || !strings.Contains(err.Error(), want) {
				t.Errorf("want %q, got %v", want, err)
			}
		})
	}
}

func TestStrategyFilesRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "there is nothing in it",
		"kind: all\n---\nkind: all\n":         "there is more in it than one strategy",
		"kind: canary\nrule:\n  shares: 10\n": "rule.shares: there is no such field",
		"kind: canary\nKind: all\n":           "Kind: there is no such field",
		"kind: canary\nkind: all\n":           `[2:1] mapping key "kind" already defined`,
		"rule: {any: [{}, {share: 1, all: [{x: 1}]}]}": "rule.any[1].all[0].x: there is no such field",
		"steps: [{share: 1, Hold: 2}]":                 "steps[0].Hold: there is no such field",
		"rule: {share: 12.5}":                          "rule.share: want a whole number, got number 12.5",
		"rule: {share: '5'}":                           "rule.share: want a whole number, got string",
		"kind: 5":                                      "kind: want text, got number",
		"steps: [{hold_seconds: .nan}]":                "unsupported value: NaN",
		"rule: {labels: 'a ~'}":                        "label expression, column 3",
		"rule: {addresses: [10.0.0.1/8]}":              "has bits set beyond its length",
		"[]":                                           "[1:1] sequence was used where mapping is expected",
		"{":                                            "[1:1] could not find flow mapping end token",
		strings.Repeat("#", 1<<20+1):                   "more than 1048576 bytes",
	} {
		t.Run(text[:min(len(text), 40)], func(t *testing.T) {
			if s, err := parseStrategy([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("want %q, got %v and %+v", want, err, s)
			}
		})
	}
}

// Every share that there is is written and read back as itself.
func TestPercentIsExact(t *testing.T) {
	for want := range config.FullShare + 1 {
		got, err := parsePercent(want.String())
		if err != nil || got != want {
			t.Fatalf("%s: want %d, got %d, %v", want, want, got, err)
		}
	}
	for text, want := range map[string]config.Share{"5": 500, " 5% ": 500, "05.50": 550, "12.500": 1250, "100.00%": 10000, "0": 0, "00000000000000000001": 100} {
		if got, err := parsePercent(text); err != nil || got != want {
			t.Errorf("%q: want %d, got %d, %v", text, want, got, err)
		}
	}
	for _, text := range []string{"", "%", ".5", "5.", "5%%", "+5", "1e1", "५", "0x5", "1_0", "100.01", "99999999999999999999", "NaN"} {
		if got, err := parsePercent(text); err == nil {
			t.Errorf("%q: was taken for %d", text, got)
		}
	}
}

// FuzzStrategyFile holds that whatever is read is written and read again as the
// same, with nothing lost.
func FuzzStrategyFile(f *testing.F) {
	for _, seed := range []string{
		"kind: all", "kind: canary\nrule: {share: 100, labels: 'a in (b, c)'}\nsalt: x", "kind: targets\ntargets: [b, a]",
		"kind: progressive\nsteps: [{share: 1, hold_seconds: 1e3}]\nstep: 0", `{"kind":"blue-green","slots":{"stable":"blue","candidate":"green","active":"blue"}}`,
		"a: &a [*a]", "? a\n: b", "<<: {kind: all}", "kind: !!binary YWxs", "kind: |\n  all",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		s, err := parseStrategy(content)
		if err != nil {
			return
		}
		first, err := json.Marshal(s)
		if err != nil {
			return // an operator or a network that only Check refuses
		}
		again, err := parseStrategy(first)
		second, _ := json.Marshal(again)
		if err != nil || !bytes.Equal(first, second) {
			t.Errorf("%q: read as %s, then as %s, %v", content, first, second, err)
		}
	})
}

// FuzzSteps holds that what is read as steps means what was written.
func FuzzSteps(f *testing.F) {
	for _, seed := range []string{"1%:10m,10%:30m,50%:1h,100%", "5", "0.01:1d", "1%:", ":", ",", "1:2:3"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		steps, err := parseSteps(text)
		if err != nil {
			return
		}
		if want := strings.Count(text, ",") + 1; len(steps) != want {
			t.Errorf("%q: want %d steps, got %d", text, want, len(steps))
		}
		for _, s := range steps {
			if s.Share < 0 || s.Share > config.FullShare || s.Hold < 0 {
				t.Errorf("%q: got %+v", text, s)
			}
		}
	})
}
