package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

// Env is what the command works with.
type Env struct {
	// Getenv returns a variable of the environment, "" if it is not set.
	Getenv func(name string) string
	// Connect returns how the other commands reach their server.
	Connect func(cmd *cobra.Command) (client.Options, error)
	Version string
}

// AddTo adds the command to root, in the group.
func AddTo(root *cobra.Command, group string, e Env) {
	cmd := e.command()
	cmd.GroupID = group
	root.AddCommand(cmd)
}

// agent is one run of the command.
type agent struct {
	Env
	settings *Settings
	plan     *plan
	options  client.Options
	log      *slog.Logger

	home   *home
	keeper *keeper
	status statusReport
	ready  bool // systemd was told so
}

// heartbeat is how often the status file is written when nothing happens, so
// that its age tells whether the agent lives.
const heartbeat = 30 * time.Second

// run keeps the files until ctx ends, or with once until each group was applied
// or refused.
func (a *agent) run(ctx context.Context, once bool) error {
	again := make(chan os.Signal, 1) // one is enough: it has everything looked at
	if !once {
		signal.Notify(again, syscall.SIGHUP)
		defer signal.Stop(again)
	}
	var err error
	if a.home, err = openHome(a.settings.StateDir); err != nil {
		return err
	}
	defer a.home.Close()
	if err := a.prepare(); err != nil {
		return err
	}
	c, err := client.New(a.options)
	if err != nil {
		return err
	}
	defer c.Close()
	set, err := a.open(ctx, c, once)
	if err != nil && ctx.Err() != nil && !once {
		return nil // told to end before there was anything to keep
	}
	if err != nil {
		return err
	}
	changes, wait := follow(set)
	defer wait()
	defer set.Close() // tells the servers what they were not told yet
	a.keeper.source = feed{changes, set}
	a.keeper.after = func(k *keeper) { a.publish(k, set) }
	if once {
		return a.once(ctx)
	}
	return a.daemon(ctx, again)
}

// prepare undoes what an agent before left unfinished, and makes the groups.
func (a *agent) prepare() error {
	places, err := a.home.recover()
	if err != nil {
		return err
	}
	if len(places) > 0 {
		a.log.Warn("the agent before was ended in the midst of a change, which was undone", "files", places)
	}
	shared := kit{run: run, home: a.home, getenv: a.Getenv, retry: a.settings.Retry, jitter: jitter, log: a.log}
	a.keeper = &keeper{told: map[config.Path]report{}}
	for _, p := range a.plan.groups {
		g := &group{groupPlan: p, kit: shared, verdict: waiting, pending: p.ReloadOnStart}
		for _, t := range p.targets {
			sweep(t.To)
			g.pending = g.pending || slices.Contains(places, t.To)
		}
		a.keeper.groups = append(a.keeper.groups, g)
	}
	a.status = statusReport{PID: os.Getpid(), Instance: a.settings.Instance, Version: a.Version, StartedAt: time.Now().UTC()}
	return nil
}

// jitter spreads the attempts of many machines.
func jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d/2+1) //nolint:gosec // spreads load, keeps no secret
}

// open waits for the first state. An agent that stays waits for as long as no
// server answers: it may have started before the network.
func (a *agent) open(ctx context.Context, c *client.Client, once bool) (*client.Set, error) {
	o := client.SetOptions{
		Patterns: a.plan.patterns, CacheDir: a.home.cache(), Manual: true, StartWithin: time.Duration(a.settings.StartWithin),
	}
	if name := a.settings.CacheKeyFile; name != "" {
		key, err := readSecret(name)
		if err != nil {
			return nil, err
		}
		o.CacheKey = key
	}
	for {
		set, err := c.Open(ctx, o)
		if err == nil || once || ctx.Err() != nil || config.KindOf(err) != config.Unavailable {
			return set, err
		}
		a.log.Warn("no server answers, and nothing is known from before; waiting", "error", err)
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(jitter(5 * time.Second)):
		}
	}
}

// daemon keeps the files until ctx ends. What comes on again has it look at all
// of them anew.
func (a *agent) daemon(ctx context.Context, again <-chan os.Signal) error {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	a.keeper.beat = beat.C
	a.log.Info("keeping files", "instance", a.settings.Instance, "groups", len(a.keeper.groups), "watching", a.plan.patterns)
	a.keeper.loop(ctx, again)
	a.tellSystem("STOPPING=1")
	a.log.Info("ended; the files stay as they are")
	return nil
}

// once brings the files in step, and returns how that went.
func (a *agent) once(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	publish := a.keeper.after
	a.keeper.after = func(k *keeper) {
		publish(k)
		if k.settled() {
			cancel()
		}
	}
	a.keeper.loop(ctx, nil)
	if err := a.keeper.failures(); err != nil {
		return errors.New(err.Error()) // of whatever kind its parts are: the run failed
	}
	return nil
}

// publish tells the machine how the agent is.
func (a *agent) publish(k *keeper, set *client.Set) {
	a.status.describe(k)
	a.status.link(set.Status())
	if name := a.settings.StatusFile; name != "" {
		if err := a.status.write(name); err != nil {
			a.log.Error("the status file cannot be written", "file", name, "error", err)
		}
	}
	state := "STATUS=" + k.summary()
	if !a.ready {
		a.ready = true
		state = "READY=1\n" + state
	}
	a.tellSystem(state)
}

func (a *agent) tellSystem(state string) {
	if err := notify(a.Getenv, state); err != nil {
		a.log.Warn("systemd could not be told", "error", err)
	}
}

// feed is a Set as a source.
type feed struct {
	changes <-chan snapshot
	*client.Set
}

// Changes implements source.
func (f feed) Changes() <-chan snapshot { return f.changes }

var _ source = feed{}

// follow yields a Set's states, the newest only, until it is closed. wait returns
// when nothing that it started runs any more.
func follow(set *client.Set) (changes <-chan snapshot, wait func()) {
	var running sync.WaitGroup
	states, out := set.Changes(), make(chan snapshot)
	running.Go(func() {
		defer close(out)
		var newest snapshot
		var to chan snapshot // nil while there is nothing to send
		for {
			select {
			case state, ok := <-states:
				if !ok {
					return
				}
				newest, to = newSnapshot(state), out
			case to <- newest:
				to = nil
			}
		}
	})
	return out, running.Wait
}

func newSnapshot(state *client.State) snapshot {
	s := snapshot{configs: map[config.Path]client.Config{}, revision: state.Revision(), received: state.Time(), fromCache: state.FromCache()}
	for c := range state.All() {
		s.configs[c.Path] = c
	}
	return s
}

// summary is the state of all groups in one line.
func (k *keeper) summary() string {
	count := map[verdict]int{}
	for _, g := range k.groups {
		count[g.verdict]++
	}
	var parts []string
	for _, v := range []verdict{applied, retrying, refused, waiting} {
		if count[v] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count[v], v))
		}
	}
	return strings.Join(parts, ", ")
}
