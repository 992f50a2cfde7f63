// Package bench measures a Setpoint server: reading, publishing and fanning out,
// each beside its floor, which is the least that has to be done for the same
// effect: a bare TLS handler that writes the same bytes, the engine's bare
// transaction, a bare TLS write to as many sockets. Server and floors take turns
// in short rounds on the same machine, so that the machine's moods meet both.
//
// Server and floors are processes of their own; the load comes from this one.
// It is no part of the server, and the server must not need it.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

// scenario is something that can be measured.
type scenario struct {
	name    string
	measure func(*run, context.Context) ([]Result, error)
	// files is how many files it opens at a time in one process, beyond those of
	// readers and writers.
	files func(*Options) int
	own   bool // it starts servers of its own
	rare  bool // it is measured only if it is asked for
	more  bool // it asks more of a running server than REST, which might be off
}

const (
	scenarioRead        = "read"
	scenarioNotModified = "not-modified"
	scenarioPublish     = "publish"
	scenarioCluster     = "cluster"
	scenarioWatch       = "watch"
	scenarioIdle        = "idle-ws"
	scenarioSwitch      = "switch"
	scenarioBeside      = "beside"
	scenarioNever       = "never-reading"
	scenarioResolve     = "resolve"
	scenarioEtcd        = "etcd"
	scenarioReads       = "reads"
	scenarioIdentities  = "identities"
)

// scenarios lists them in the order in which they are measured.
func scenarios() []scenario {
	watching := func(o *Options) int { return 2 * o.Subscribers }
	watch := func(protocol string) scenario {
		s := scenario{name: scenarioWatch, files: watching}
		if protocol != overSSE {
			s.name, s.more, s.rare = scenarioWatch+"-"+protocol, true, protocol == overGRPCHTTP
		}
		s.measure = func(r *run, ctx context.Context) ([]Result, error) { return r.watch(ctx, s.name, protocol) }
		return s
	}
	list := []scenario{
		{name: scenarioRead, measure: (*run).read},
		{name: scenarioNotModified, measure: (*run).notModified},
		{name: scenarioPublish, measure: (*run).publish},
		{name: scenarioCluster, measure: (*run).cluster, own: true},
	}
	for _, protocol := range Protocols() {
		list = append(list, watch(protocol))
	}
	return append(list,
		scenario{name: scenarioIdle, measure: (*run).idle, files: func(o *Options) int { return o.Idle }, more: true, rare: true},
		scenario{name: scenarioSwitch, measure: (*run).switches, files: func(o *Options) int { return 2 * o.Instances }},
		scenario{name: scenarioBeside, measure: (*run).beside, own: true, files: func(o *Options) int { return o.Subscribers + 2*(o.Connections+o.Writers) }},
		scenario{name: scenarioNever, measure: (*run).neverReading, more: true, rare: true},
		scenario{name: scenarioResolve, measure: (*run).resolve},
		scenario{name: scenarioEtcd, measure: (*run).etcd},
		scenario{name: scenarioReads, measure: (*run).reads, more: true},
		scenario{name: scenarioIdentities, measure: (*run).identities, own: true},
	)
}

// Scenarios lists what can be measured, in the order in which it is.
func Scenarios() []string { return names(func(scenario) bool { return true }) }

// UsualScenarios lists what is measured if nothing else is asked for.
func UsualScenarios() []string { return names(func(s scenario) bool { return !s.rare }) }

// RunningScenarios lists what can be measured of every server that runs already.
func RunningScenarios() []string {
	return names(func(s scenario) bool { return !s.rare && !s.own && !s.more })
}

func names(which func(scenario) bool) []string {
	var out []string
	for _, s := range scenarios() {
		if which(s) {
			out = append(out, s.name)
		}
	}
	return out
}

// Options say what to measure, and how.
type Options struct {
	// Program runs this same program as a child, with the arguments given:
	// "bench floor NAME" must call Floor, "bench server" must call Serve.
	Program func(ctx context.Context, args ...string) *exec.Cmd
	// Server is a running server to measure; nil starts one for the purpose.
	Server *client.Options
	// Admin is the base URL of that server's admin port, for profiles.
	Admin string
	// GRPC is that server's own port for gRPC, host:port; "" takes the HTTP port.
	GRPC string
	// Log takes progress and what children print.
	Log io.Writer
	// Dir is where server and floors keep their data for the time, on the
	// filesystem whose fsync is to be measured.
	Dir string
	// ProfileDir is where CPU profiles of the server are written; "" for none.
	ProfileDir string

	Scenarios   []string      // of Scenarios
	Rounds      int           // of each subject in a scenario
	Duration    time.Duration // of a round
	Connections int           // that read
	Writers     int           // that publish, each its own config
	Subscribers int           // that watch
	Idle        int           // that watch in the scenario idle-ws
	Publishes   int           // to the subscribers, in a round; so many switches, and back
	Instances   int           // that follow a launch
	Stall       time.Duration // in which those of the scenario never-reading do not
	Protocol    string        // of those who watch in the scenario beside
}

// Defaults fills what is measured and how.
func (o *Options) Defaults() {
	o.Scenarios = UsualScenarios()
	o.Dir = filepath.Join("data", "bench")
	o.Rounds, o.Duration, o.Stall, o.Protocol = 3, 3*time.Second, time.Minute, overWS
	o.Connections, o.Writers = 64, 64
	o.Subscribers, o.Idle, o.Publishes, o.Instances = 5000, 50_000, 20, 500
}

// Validate refuses what cannot be measured.
func (o *Options) Validate() error {
	var errs []error
	bounds := func(flag string, value, least, most int) {
		if value < least || value > most {
			errs = append(errs, fmt.Errorf("%s must be from %d to %d, is %d", flag, least, most, value))
		}
	}
	bounds("rounds", o.Rounds, 1, 100)
	bounds("connections", o.Connections, 1, 10_000)
	bounds("writers", o.Writers, 1, 1_000)
	bounds("subscribers", o.Subscribers, 1, 100_000)
	bounds("idle subscribers", o.Idle, 1, 100_000)
	bounds("publishes", o.Publishes, 1, 10_000)
	bounds("instances", o.Instances, 1, 100_000)
	if o.Duration < 10*time.Millisecond || o.Duration > 10*time.Minute {
		errs = append(errs, fmt.Errorf("duration must be from 10ms to 10m, is %s", o.Duration))
	}
	if o.Stall < 10*time.Millisecond || o.Stall > time.Hour {
		errs = append(errs, fmt.Errorf("stall must be from 10ms to 1h, is %s", o.Stall))
	}
	if !slices.Contains(Protocols(), o.Protocol) {
		errs = append(errs, fmt.Errorf("there is no protocol %q to watch over; there are: %s", o.Protocol, strings.Join(Protocols(), ", ")))
	}
	if len(o.Scenarios) == 0 {
		errs = append(errs, errors.New("no scenario to measure"))
	}
	for _, s := range o.Scenarios {
		if !slices.Contains(Scenarios(), s) {
			errs = append(errs, fmt.Errorf("there is no scenario %q; there are: %s", s, strings.Join(Scenarios(), ", ")))
		}
	}
	for _, s := range scenarios() {
		if o.Server != nil && s.own && slices.Contains(o.Scenarios, s.name) {
			errs = append(errs, fmt.Errorf("the scenario %s starts servers of its own; leave it out where a running server is measured", s.name))
		}
	}
	if o.ProfileDir != "" && o.Server != nil && o.Admin == "" {
		errs = append(errs, errors.New("profiles of a running server come from its admin port; say where that is"))
	}
	return errors.Join(errs...)
}

// otherFiles is how many files a process has open beside its connections, at most.
const otherFiles = 256

// files is how many files must be open at a time, in this process at most.
func (o *Options) files() int {
	n := 4 * max(o.Connections, o.Writers)
	for _, s := range scenarios() {
		if s.files != nil && slices.Contains(o.Scenarios, s.name) {
			n = max(n, s.files(o))
		}
	}
	return n + otherFiles
}

func (o *Options) note(format string, args ...any) {
	_, _ = fmt.Fprintf(o.Log, format+"\n", args...) // progress that cannot be shown is not missed
}

// run is one run of the benchmarks.
type run struct {
	*Options
	dir    string // of this run's data
	target *target
}

// Run measures and reports. It leaves nothing behind: the server that it
// started is gone, and a running one no longer has its tenant.
func Run(ctx context.Context, o Options) (_ *Report, err error) {
	if err := o.Validate(); err != nil {
		return nil, &config.Error{Op: "bench", Kind: config.Invalid, Err: err}
	}
	if err := needFiles(o.files()); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	r := &run{Options: &o}
	if r.dir, err = os.MkdirTemp(o.Dir, "run-"); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(r.dir)) }()
	machine, err := describe(r.dir)
	if err != nil {
		return nil, err
	}
	if r.target, err = r.open(ctx); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.target.close()) }()
	report := &Report{
		Time: time.Now().UTC(), Machine: machine, Server: r.target.version, Endpoint: r.target.server.addr,
		Rounds: o.Rounds, Seconds: o.Duration.Seconds(),
	}
	for _, s := range scenarios() {
		if !slices.Contains(o.Scenarios, s.name) {
			continue
		}
		results, err := s.measure(r, ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		report.Results = append(report.Results, results...)
	}
	return report, nil
}
