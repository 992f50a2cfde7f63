package cli

import (
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

// releaseFlags say how a release gets to its clients.
type releaseFlags struct {
	strategy       strategyFlags
	gate           gateFlags
	expires, at    string
	onRunning      string
	overrideFreeze bool
}

const releaseHelp = `Without further flags everybody gets it at once. With a strategy a launch begins:
a part of the clients gets it, the others go on with the stable release, and
'setpoint rollout' follows and drives it. With --at that happens later.

` + strategyHelp + `

A gate (--gate-…) has a launch listen to what instances report: a step is over
when enough of them have applied the release, and too many that refuse it call
the launch off.`

func (f *releaseFlags) register(cmd *cobra.Command) {
	f.strategy.register(cmd)
	f.gate.register(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.expires, "expires", "", "call the launch off if nobody has ended it after `TIME`: 2h, 1d")
	flags.StringVar(&f.at, "at", "", "not now, but at `TIME`: 2027-01-31T10:00:00Z, or +2h for so much from now")
	flags.StringVar(&f.onRunning, "on-running", "", "what becomes of a launch under way: supersede ends it; before or after lets it be, and is asked before or after it")
	registerOverride(cmd, &f.overrideFreeze)
	_ = cmd.RegisterFlagCompletionFunc("on-running", cobra.FixedCompletions(onRunningWords(), cobra.ShellCompDirectiveNoFileComp))
}

func registerOverride(cmd *cobra.Command, on *bool) {
	cmd.Flags().BoolVar(on, "override-freeze", false, "although an env is frozen; it takes the right to manage the env")
}

func onRunningWords() []string {
	return []string{string(client.SupersedeRunning), string(client.BeforeRunning), string(client.AfterRunning)}
}

// releaseOptions reads the flags. What they mean together, the server says.
func (a *app) releaseOptions(f *releaseFlags) (client.ReleaseOptions, error) {
	o := client.ReleaseOptions{OnRunning: client.OnRunning(f.onRunning), OverrideFreeze: f.overrideFreeze}
	switch o.OnRunning {
	case client.RefuseOnRunning, client.SupersedeRunning, client.BeforeRunning, client.AfterRunning:
	default:
		return o, usagef("--on-running %s: want %s", f.onRunning, strings.Join(onRunningWords(), ", "))
	}
	s, err := a.strategyOf(&f.strategy)
	if err != nil {
		return o, err
	}
	gate, err := f.gate.over(nil)
	if err != nil {
		return o, err
	}
	expires, err := lifetime(f.expires)
	if err != nil {
		return o, usagef("--expires: %s", err)
	}
	if o.BeginsAt, err = beginning(f.at); err != nil {
		return o, err
	}
	if s == nil {
		if gate != nil || expires != 0 {
			return o, usagef("--expires and --gate-… are for a launch: say who gets it first, with --percent, --labels, --steps or another of the strategy's flags")
		}
		return o, nil
	}
	o.Rollout = &client.NewRollout{Strategy: *s, Gate: gate, ExpiresAfter: config.Seconds(expires.Seconds())}
	return o, nil
}

// launches reports whether the flags ask for a launch.
func launches(o client.ReleaseOptions) bool { return o.Rollout != nil || !o.BeginsAt.IsZero() }

// beginning reads a time to come, "+2h" or a date; "" is none.
func beginning(text string) (time.Time, error) {
	return timeAhead("--at", strings.TrimPrefix(text, "+"), time.Now())
}

// gateFlags say what instances must report.
type gateFlags struct {
	given                 *pflag.FlagSet
	applied, refusedShare string
	atLeast, refused      int
	patience              string
}

func (f *gateFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	f.given = flags
	flags.StringVar(&f.applied, "gate-applied", "", "a step is over when this `SHARE` of its instances have applied the release: 95%")
	flags.IntVar(&f.atLeast, "gate-at-least", 0, "and at least `N` of them")
	flags.IntVar(&f.refused, "gate-refused", 0, "more than `N` refusals call the launch off")
	flags.StringVar(&f.refusedShare, "gate-refused-share", "", "and only if they are more than this `SHARE` of its instances")
	flags.StringVar(&f.patience, "gate-patience", "", "call it off if a step has waited for reports for `TIME` beyond its own")
}

// over returns a gate with what the flags say in the place of what it says; nil
// if they say nothing.
func (f *gateFlags) over(base *config.Gate) (*config.Gate, error) {
	said := false
	for _, name := range []string{"gate-applied", "gate-at-least", "gate-refused", "gate-refused-share", "gate-patience"} {
		said = said || f.given.Changed(name)
	}
	if !said {
		return nil, nil //nolint:nilnil // no flag is no gate: a launch that is under way keeps the one that it has
	}
	var g config.Gate
	if base != nil {
		g = *base
	}
	for _, share := range []struct {
		name, text string
		into       *config.Share
	}{{"gate-applied", f.applied, &g.Applied}, {"gate-refused-share", f.refusedShare, &g.RefusedShare}} {
		if !f.given.Changed(share.name) {
			continue
		}
		read, err := parsePercent(share.text)
		if err != nil {
			return nil, usagef("--%s %s", share.name, err)
		}
		*share.into = read
	}
	if f.given.Changed("gate-at-least") {
		g.AtLeast = f.atLeast
	}
	if f.given.Changed("gate-refused") {
		g.Refused = f.refused
	}
	if f.given.Changed("gate-patience") {
		patience, err := lifetime(f.patience)
		if err != nil {
			return nil, usagef("--gate-patience: %s", err)
		}
		g.Patience = config.Seconds(patience.Seconds())
	}
	return &g, nil
}
