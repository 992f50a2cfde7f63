package settings_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/plugin"
	"github.com/setpointhq/setpoint/server/internal/settings"
)

var update = flag.Bool("update", false, "write the golden files anew")

type engine interface{ plugin.Settings }

type disk struct {
	Dir   string      `yaml:"dir" doc:"where the files are"`
	Quota plugin.Size `yaml:"quota" doc:"largest size on disk"`
	Peers []string    `yaml:"peers" doc:"the other members"`
	Block plugin.Size `yaml:"block" doc:"how much is written at a time"`
	Sync  struct {
		Every time.Duration `yaml:"every" doc:"the pause between two syncs"`
	} `yaml:"sync" doc:"how changes reach the disk"`
}

func (d *disk) Defaults() {
	*d = disk{Dir: "store", Quota: 8 * plugin.GiB, Block: 4096}
	d.Sync.Every = 5 * time.Minute
}

func (d *disk) Validate() error {
	var errs []error
	if d.Quota < plugin.MiB {
		errs = append(errs, config.Errorf(config.Invalid, "settings", "store.disk.quota", "must be at least 1MiB, is %s", d.Quota))
	}
	if d.Block < 1 {
		errs = append(errs, fmt.Errorf("block: must be at least 1, is %d", d.Block))
	}
	if d.Sync.Every <= 0 {
		errs = append(errs, config.Errorf(config.Invalid, "settings", "sync.every", "must be more than 0, is %s", d.Sync.Every))
	}
	return errors.Join(errs...)
}

type ram struct{}

func (*ram) Defaults()       {}
func (*ram) Validate() error { return nil }

type check struct {
	Key config.Secret `yaml:"key" doc:"what it checks with | or not"`
}

func (c *check) Defaults()     { *c = check{} }
func (*check) Validate() error { return nil }

// sample has every sort of setting.
type sample struct {
	Name string `yaml:"name" doc:"what the node calls itself"`
	HTTP struct {
		Addr    string        `yaml:"addr" doc:"the address to listen at"`
		Timeout time.Duration `yaml:"timeout" doc:"how long a request may take"`
		Most    uint16        `yaml:"most" doc:"connections at most"`
		Rate    float64       `yaml:"rate" doc:"requests a second"`
		Quiet   bool          `yaml:"quiet" doc:"whether to say less"`
	} `yaml:"http" doc:"the HTTP port"`
	Labels map[string]string        `yaml:"labels" doc:"what the node is"`
	Store  settings.Drivers[engine] `yaml:"store" doc:"where it is kept"`
	Checks settings.Drivers[engine] `yaml:"checks" doc:"who is asked, in order"`
	Ports  settings.Drivers[engine] `yaml:"ports" doc:"what is spoken"`
	hidden int
}

func (s *sample) Defaults() {
	stores := plugin.NewRegistry[func() engine]("store")
	stores.Add("disk", func() engine { return new(disk) })
	stores.Add("ram", func() engine { return new(ram) })
	checks := plugin.NewRegistry[func() engine]("check")
	checks.Add("token", func() engine { return new(ram) })
	checks.Add("key", func() engine { return new(check) })
	*s = sample{
		Name:   "node",
		Store:  settings.NewDrivers(stores, settings.One, "disk"),
		Checks: settings.NewDrivers(checks, settings.Ordered, "token", "key"),
		Ports:  settings.NewDrivers(checks, settings.Several),
		hidden: 1,
	}
	s.HTTP.Addr, s.HTTP.Timeout, s.HTTP.Most, s.HTTP.Rate = ":7400", 30*time.Second, 100, 1.5
}

func (s *sample) Validate() error {
	var errs []error
	if s.HTTP.Most < 10 {
		errs = append(errs, config.Errorf(config.Invalid, "settings", "http.most", "must be at least 10, is %d", s.HTTP.Most))
	}
	if s.Name == "bad" {
		errs = append(errs, config.Errorf(config.Invalid, "settings", "name", "%q is taken", s.Name))
	}
	return errors.Join(errs...)
}

// TestGolden loads each case of testdata and compares what is printed, or the
// error. A case has the parts file (settings.yaml), env and flags.
func TestGolden(t *testing.T) {
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatalf("want cases in testdata, got %v, %v", cases, err)
	}
	for _, name := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			in, want := parts(ar)
			got := outcome(in)
			if *update {
				ar.Files[len(ar.Files)-1].Data = []byte(got)
				if err := os.WriteFile(name, txtar.Format(ar), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func parts(ar *txtar.Archive) (in settings.Input, want string) {
	in.File = "settings.yaml"
	in.Ignored = func(name string) bool { return name == "SETPOINT_TOKEN" }
	for _, f := range ar.Files {
		switch f.Name {
		case "settings.yaml":
			in.Content = f.Data
		case "env":
			in.Environ = strings.Split(strings.TrimSpace(string(f.Data)), "\n")
		case "presets":
			in.Presets = flags("preset ", f.Data)
		case "flags":
			in.Flags = flags("--", f.Data)
		case "want":
			want = string(f.Data)
		}
	}
	return in, want
}

func flags(by string, lines []byte) []settings.Flag {
	var out []settings.Flag
	for line := range strings.Lines(string(lines)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		out = append(out, settings.Flag{Name: by + strings.ReplaceAll(key, ".", "-"), Key: key, Value: value})
	}
	return out
}

func outcome(in settings.Input) string {
	var s sample
	loaded, err := settings.Load(&s, in)
	var b bytes.Buffer
	var e *config.Error
	if errors.As(err, &e) {
		fmt.Fprintln(&b, err)
		for _, p := range e.Problems {
			fmt.Fprintf(&b, "- %s\n%s\n", p, p.Excerpt)
			if p.Hint != "" {
				fmt.Fprintf(&b, "hint: %s\n", p.Hint)
			}
		}
		return b.String()
	}
	if err != nil {
		return err.Error()
	}
	if err := loaded.Print(&b); err != nil {
		return err.Error()
	}
	return b.String()
}

func TestReferenceListsEveryKey(t *testing.T) {
	var b bytes.Buffer
	if err := settings.Reference(&b, new(sample)); err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/reference.md"
	if *update {
		if err := os.WriteFile(golden, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestErrorCarriesEveryProblemWithItsPlace(t *testing.T) {
	_, err := settings.Load(new(sample), settings.Input{File: "s.yaml", Content: []byte("nam: x\nhttp:\n  most: 3\n")})
	var e *config.Error
	if !errors.As(err, &e) || e.Kind != config.Invalid {
		t.Fatalf("want an invalid error, got %v", err)
	}
	type place struct {
		Path         string
		Line, Column int
	}
	var got []place
	for _, p := range e.Problems {
		got = append(got, place{p.Path, p.Line, p.Column})
	}
	want := []place{{"s.yaml", 1, 1}, {"s.yaml", 3, 3}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What is printed is a settings file that gives the same settings again.
func TestWhatIsPrintedLoadsAgain(t *testing.T) {
	in := settings.Input{Environ: []string{
		`SETPOINT_NAME=odd: "name" # here`, "SETPOINT_STORE_DISK_PEERS=a:1,b,- c", "SETPOINT_LABELS=zone=a,rack=true", "SETPOINT_PORTS=key",
	}}
	first := outcome(in)
	second := outcome(settings.Input{File: "again", Content: []byte(first)})
	if diff := cmp.Diff(withoutOrigins(first), withoutOrigins(second)); diff != "" {
		t.Errorf("(-first +second):\n%s", diff)
	}
}

// withoutOrigins cuts the comment off each line.
func withoutOrigins(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		if i := strings.LastIndex(line, "  # "); i >= 0 {
			line = line[:i] + "\n"
		}
		b.WriteString(line)
	}
	return b.String()
}

func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		"", "name: x", "store: {ram: {}}", "checks: [token, {key: {key: a}}]", "a: &b 1\nc: *b", "? [1]\n: 2", "<<: {a: 1}",
		"http:\n\ttimeout: 1s", "name: |\n  long\n", "---\na: 1\n---\nb: 2", "!!str x", "labels: {a: 1, a: 2}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		got := outcome(settings.Input{File: "fuzz", Content: content})
		if strings.HasPrefix(got, "settings: invalid") == strings.HasPrefix(got, "name: ") {
			t.Errorf("want either settings or problems, got %s", got)
		}
	})
}
