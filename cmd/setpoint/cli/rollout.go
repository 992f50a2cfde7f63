package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

func (a *app) rollout() *cobra.Command {
	commands := []*cobra.Command{a.rolloutList(), a.rolloutStatus(), a.rolloutAdjust(), a.rolloutSwitch()}
	for _, act := range launchActs() {
		commands = append(commands, a.rolloutAct(act))
	}
	return group("rollout", "Follow and drive launches: releases that reach a part of the clients first", commands...)
}

// launchAct is a command that does one thing to a launch.
type launchAct struct {
	name, short, long string
	forward           bool // gives clients something new, which a freeze keeps from happening
	do                func(*client.Client, context.Context, client.LaunchAct) (config.Launch, error)
}

func launchActs() []launchAct {
	return []launchAct{
		{"pause", "Keep a launch from advancing", "It claims whom it claimed.", false, (*client.Client).PauseLaunch},
		{"resume", "Let a paused launch go on", "Its step lasts as long as was left of it.", true, (*client.Client).ResumeLaunch},
		{"advance", "Take a launch to its next step now", "A scheduled one begins; a progressive one goes to its next step, and is promoted after the last.", true, (*client.Client).AdvanceLaunch},
		{"promote", "End a launch by giving everybody its releases", "They become the stable ones.", true, (*client.Client).PromoteLaunch},
		{"abort", "End a launch by giving everybody the stable releases", "No freeze holds it up.", false, (*client.Client).AbortLaunch},
	}
}

const launchHelp = "PATH is a config that has one launch under way. If it has several, add --launch ID; with that PATH may be\n" +
	"the tenant alone. All configs of a launch move together."

// launchFlags name a launch and say why it is acted on.
type launchFlags struct {
	id, message    string
	overrideFreeze bool
}

func (a *app) registerLaunch(cmd *cobra.Command, f *launchFlags, forward bool) {
	cmd.Flags().StringVar(&f.id, "launch", "", "the `ID` of the launch, if several are under way")
	cmd.Flags().StringVarP(&f.message, "message", "m", "", "why: kept in the launch's history")
	if forward {
		registerOverride(cmd, &f.overrideFreeze)
	}
	_ = cmd.RegisterFlagCompletionFunc("launch", a.completeLaunches)
}

// act is what a command line asks for.
func (f *launchFlags) act(arg string) (client.LaunchAct, error) {
	act := client.LaunchAct{Comment: f.message, OverrideFreeze: f.overrideFreeze}
	path, err := config.ParsePath(arg)
	switch {
	case err != nil:
		return act, err
	case path.Level() == config.LevelConfig:
		act.LaunchRef = client.LaunchRef{Path: path, ID: f.id}
	case f.id != "" && path.Tenant != "":
		act.LaunchRef = client.LaunchRef{Tenant: path.Tenant, ID: f.id}
	default:
		return act, usagef("%s is no config: name one that is launched, or add --launch ID; 'setpoint rollout list %s' shows what is under way", arg, arg)
	}
	return act, nil
}

func (a *app) rolloutAct(t launchAct) *cobra.Command {
	var f launchFlags
	cmd := a.command(t.name+" PATH", t.short, cobra.ExactArgs(1), func(ctx context.Context, c *client.Client, args []string) error {
		act, err := f.act(args[0])
		if err != nil {
			return err
		}
		l, err := t.do(c, ctx, act)
		if err != nil {
			return hintLaunch(ctx, c, act, t, err)
		}
		return a.showDriven(l)
	})
	cmd.Long = t.short + ". " + t.long + "\n\n" + launchHelp
	a.registerLaunch(cmd, &f, t.forward)
	return cmd
}

func (a *app) rolloutSwitch() *cobra.Command {
	var f launchFlags
	var to string
	cmd := a.command("switch PATH", "Make the other slot of a blue-green launch the active one", cobra.ExactArgs(1),
		func(ctx context.Context, c *client.Client, args []string) error {
			act, err := f.act(args[0])
			if err != nil {
				return err
			}
			l, err := c.SwitchLaunch(ctx, client.SwitchLaunch{LaunchAct: act, To: to})
			if err != nil {
				return hintLaunch(ctx, c, act, launchAct{name: "switch", forward: true}, err)
			}
			return a.showDriven(l)
		})
	cmd.Long = cmd.Short + ", and again to switch back.\nBack to the stable releases it goes however frozen an env is.\n\n" + launchHelp
	cmd.Flags().StringVar(&to, "to", "", "the `SLOT`; if not given, the one that is not active")
	_ = cmd.RegisterFlagCompletionFunc("to", cobra.FixedCompletions([]string{config.SlotBlue, config.SlotGreen}, cobra.ShellCompDirectiveNoFileComp))
	a.registerLaunch(cmd, &f, true)
	return cmd
}

func (a *app) rolloutAdjust() *cobra.Command {
	var f launchFlags
	var to adjustFlags
	cmd := a.command("adjust PATH", "Change whom a launch claims, its gate, or when it begins or expires", cobra.ExactArgs(1),
		func(ctx context.Context, c *client.Client, args []string) error {
			act, err := f.act(args[0])
			if err != nil {
				return err
			}
			l, err := a.adjust(ctx, c, act, &to)
			if err != nil {
				return hintLaunch(ctx, c, act, launchAct{name: "adjust", forward: true}, err)
			}
			return a.showDriven(l)
		})
	cmd.Long = cmd.Short + ". What is not said stays.\n\n" +
		"--percent alone changes the share of a canary and keeps the rest of its rule. Every other\n" +
		"strategy takes the place of the whole one; with --steps the plan begins anew, with the first of them.\n" +
		"Canary, targets and progressive launches may become each other.\n\n" + launchHelp + "\n\n" + strategyHelp
	cmd.Example = "  setpoint rollout adjust acme/checkout/prod/application.yaml --percent 50\n" +
		"  setpoint rollout adjust acme/checkout/prod/application.yaml --gate-refused 10\n" +
		"  setpoint rollout adjust acme/checkout/prod/application.yaml --at +2h"
	to.strategy.register(cmd)
	to.gate.register(cmd)
	cmd.Flags().StringVar(&to.expires, "expires", "", "call it off if nobody has ended it `TIME` after it began: 2h, 1d, or never")
	cmd.Flags().StringVar(&to.at, "at", "", "of a launch that has not begun: `TIME`, or +2h for so much from now")
	a.registerLaunch(cmd, &f, true)
	return cmd
}

// adjustFlags are what is to be different of a launch.
type adjustFlags struct {
	strategy    strategyFlags
	gate        gateFlags
	expires, at string
}

// adjust changes a launch as it is seen: some flags mean something beside what
// it is now only, so nobody may have changed it in between.
func (a *app) adjust(ctx context.Context, c *client.Client, act client.LaunchAct, f *adjustFlags) (config.Launch, error) {
	s, err := a.strategyOf(&f.strategy)
	if err != nil {
		return config.Launch{}, err
	}
	now, err := current(ctx, c, act.LaunchRef)
	if err != nil {
		return config.Launch{}, err
	}
	act.Expected = now.Revision
	change := client.AdjustLaunch{LaunchAct: act, Strategy: s}
	shares := now.Strategy.Kind == config.StrategyCanary || now.Strategy.Kind == config.StrategyProgressive
	if s != nil && s.Kind == config.StrategyCanary && s.Salt == "" && onlyShare(s.Rule) && shares {
		change.Strategy, change.Share = nil, s.Rule.Share
	}
	if change.Gate, err = f.gate.over(now.Gate); err != nil {
		return config.Launch{}, err
	}
	if err := f.times(&change); err != nil {
		return config.Launch{}, err
	}
	if change.Strategy == nil && change.Share == nil && change.Gate == nil && change.ExpiresAfter == nil && change.BeginsAt == nil {
		return config.Launch{}, usagef("say what to adjust: --percent or another of the strategy's flags, --gate-…, --expires or --at")
	}
	return c.AdjustLaunch(ctx, change)
}

// times reads when the launch is to expire, and when to begin.
func (f *adjustFlags) times(change *client.AdjustLaunch) error {
	if f.expires != "" {
		var after config.Seconds
		if f.expires != "never" {
			d, err := lifetime(f.expires)
			if err != nil {
				return usagef("--expires: %s", err)
			}
			after = config.Seconds(d.Seconds())
		}
		change.ExpiresAfter = &after
	}
	if f.at != "" {
		at, err := beginning(f.at)
		if err != nil {
			return err
		}
		change.BeginsAt = &at
	}
	return nil
}

// current returns the launch that a reference means now.
func current(ctx context.Context, c *client.Client, ref client.LaunchRef) (config.Launch, error) {
	if ref.ID != "" {
		tenant := ref.Tenant
		if tenant == "" {
			tenant = ref.Path.Tenant
		}
		return c.Launch(ctx, tenant, ref.ID)
	}
	found, err := collect(c.Launches(ctx, client.LaunchFilter{Path: ref.Path}), 0)
	switch {
	case err != nil:
		return config.Launch{}, err
	case len(found) == 0:
		return config.Launch{}, config.Errorf(config.NotFound, "", ref.Path.String(), "no launch of the config is under way")
	case len(found) > 1:
		return config.Launch{}, config.Errorf(config.Conflict, "", ref.Path.String(), "several launches of the config are under way")
	}
	return found[0], nil
}

func (a *app) rolloutList() *cobra.Command {
	var all bool
	cmd := a.command("list PATH", "List the launches that are under way, in a tenant or below a path", cobra.ExactArgs(1),
		func(ctx context.Context, c *client.Client, args []string) error {
			path, err := config.ParsePath(args[0])
			if err != nil {
				return err
			}
			found, err := collect(c.Launches(ctx, client.LaunchFilter{Path: path, All: all}), 0)
			if err != nil {
				return err
			}
			t := table{header: []string{"LAUNCH", "STATE", "STRATEGY", "CONFIGS", "STARTED", "BY", "COMMENT"}}
			for i := range found {
				l := &found[i]
				t.add(l.ID, string(l.State), strategyText(&l.Strategy), itemsText(l), when(l.StartedAt), l.StartedBy, dash(l.Comment))
			}
			return a.show(found, t)
		})
	cmd.Aliases = []string{"ls"}
	cmd.Flags().BoolVar(&all, "all", false, "those that have ended too, the newest first")
	return cmd
}

// itemsText names the first config of a launch, and how many more there are.
func itemsText(l *config.Launch) string {
	if len(l.Items) == 0 {
		return "-"
	}
	text := fmt.Sprintf("%s version %d", l.Items[0].Path, l.Items[0].Version)
	if more := len(l.Items) - 1; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// showDriven prints what became of a launch.
func (a *app) showDriven(l config.Launch) error {
	writeProblems(a.env.Stderr, l.Warnings)
	return a.done(l, "%s", launchText(&l))
}

// launchText tells in a sentence how a launch is.
func launchText(l *config.Launch) string {
	text := fmt.Sprintf("launch %s is %s: ", l.ID, l.State)
	switch {
	case l.State == config.LaunchPromoted:
		items := make([]string, len(l.Items))
		for i, item := range l.Items {
			items[i] = fmt.Sprintf("%s version %d", item.Path, item.Version)
		}
		return text + "everybody gets " + strings.Join(items, ", ")
	case l.State.Ended():
		return text + "everybody gets the stable release"
	case l.State == config.LaunchScheduled:
		return text + strategyText(&l.Strategy) + ", from " + when(l.BeginsAt)
	}
	return text + strategyText(&l.Strategy)
}

// strategyText tells in a few words whom a strategy claims; of a rule it says
// what that says.
func strategyText(s *config.Strategy) string {
	if s.Kind == config.StrategyCanary && s.Rule != nil && !onlyShare(s.Rule) {
		return string(s.Kind) + ", " + ruleText(s.Rule)
	}
	return s.String()
}

// completeLaunches offers the ids of launches that are under way.
func (a *app) completeLaunches(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	path, err := config.ParsePath(args[0])
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, c, done, err := a.forCompletion(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer done()
	found, _ := collect(c.Launches(ctx, client.LaunchFilter{Path: path}), completionMost) // better some than none
	var ids []string
	for i := range found {
		if l := &found[i]; strings.HasPrefix(l.ID, typed) {
			ids = append(ids, l.ID+"\t"+clean(l.Strategy.String()+", "+string(l.State)))
		}
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}
