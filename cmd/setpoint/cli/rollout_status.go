package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

func (a *app) rolloutStatus() *cobra.Command {
	var id string
	var follow bool
	cmd := a.command("status PATH", "Show how the launches of a config are: who gets what, since when, and what comes next", cobra.ExactArgs(1),
		func(ctx context.Context, c *client.Client, args []string) error {
			path, err := config.ParsePath(args[0])
			if err != nil {
				return err
			}
			found, err := launchesAt(ctx, c, path, id)
			switch {
			case err != nil:
				return err
			case follow && len(found) > 1:
				return usagef("%d launches are under way there: add --launch ID to follow one of them; 'setpoint rollout list %s' tells them apart", len(found), path)
			case follow:
				return a.follow(ctx, c, found[0])
			case a.flags.output == "json" || a.flags.output == "yaml":
				return a.encode(found)
			}
			for i := range found {
				if i > 0 {
					fmt.Fprintln(a.env.Stdout)
				}
				if err := a.showLaunch(ctx, c, &found[i]); err != nil {
					return err
				}
			}
			return nil
		})
	cmd.Long = cmd.Short + ".\n\nPATH is a config or a scope; with --launch ID the tenant is enough. If none is under way for a\n" +
		"config, its last one is shown.\n\n" +
		"--follow prints what has happened and then what happens, until the launch has ended. The exit code\n" +
		"is then 0 if it was promoted and 3 if not. With -o json each event is a line of JSON."
	cmd.Flags().StringVar(&id, "launch", "", "the launch with this `ID`, ended or not")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the launch has ended")
	_ = cmd.RegisterFlagCompletionFunc("launch", a.completeLaunches)
	return cmd
}

// launchesAt finds what is under way at a path or, for a config of which nothing
// is, its last launch. It never finds none.
func launchesAt(ctx context.Context, c *client.Client, path config.Path, id string) ([]config.Launch, error) {
	if id != "" {
		l, err := c.Launch(ctx, path.Tenant, id)
		return []config.Launch{l}, err
	}
	found, err := collect(c.Launches(ctx, client.LaunchFilter{Path: path}), 0)
	if err != nil || len(found) > 0 {
		return found, err
	}
	if path.Level() == config.LevelConfig {
		if found, err = collect(c.Launches(ctx, client.LaunchFilter{Path: path, All: true}), 1); err != nil || len(found) > 0 {
			return found, err
		}
	}
	return nil, withHint(config.Errorf(config.NotFound, "rollout status", path.String(), "no launch is under way"),
		"'setpoint publish PATH --percent 10' starts one; 'setpoint rollout list PATH --all' lists those that have ended.")
}

// showLaunch prints everything about a launch.
func (a *app) showLaunch(ctx context.Context, c *client.Client, l *config.Launch) error {
	writeProblems(a.env.Stderr, l.Warnings)
	facts := table{}
	facts.add("launch", l.ID)
	facts.add("state", stateText(l))
	for _, item := range l.Items {
		facts.add("config", fmt.Sprintf("%s version %d%s", item.Path, item.Version, a.besides(ctx, c, l, item)))
	}
	facts.add("strategy", strategyText(&l.Strategy))
	if !l.State.Ended() {
		facts.add("claims", claimsText(&l.Strategy))
		facts.add("next", nextText(l, time.Now()))
	}
	if l.Gate != nil {
		facts.add("gate", gateText(l))
	}
	if !l.ExpiresAt.IsZero() && !l.State.Ended() {
		facts.add("expires", when(l.ExpiresAt))
	}
	facts.add("started", when(l.StartedAt)+" by "+l.StartedBy)
	if l.Comment != "" {
		facts.add("comment", l.Comment)
	}
	if err := a.show(nil, facts); err != nil {
		return err
	}
	fmt.Fprintln(a.env.Stdout)
	history := table{header: []string{"WHEN", "WHAT", "BY", "CLAIMS", "WHY"}}
	for _, e := range l.Events {
		history.add(when(e.At), e.What, e.By, dash(claimedText(e)), dash(e.Why))
	}
	return a.show(nil, history)
}

// besides says what the others get of a config.
func (*app) besides(ctx context.Context, c *client.Client, l *config.Launch, item config.LaunchItem) string {
	if l.State.Ended() {
		return ""
	}
	r, err := c.Rollout(ctx, item.Path)
	switch {
	case err != nil:
		return ""
	case r.Stable == nil:
		return ", the others get nothing"
	}
	text := fmt.Sprintf(", the others get version %d", r.Stable.Version)
	if n := len(r.Candidates); n > 1 {
		text += fmt.Sprintf("; asked as number %d of %d launches", r.Launched(l.ID)+1, n)
	}
	return text
}

// stateText says how a launch is, and since when.
func stateText(l *config.Launch) string {
	text := string(l.State)
	switch {
	case l.State.Ended():
		return text + " " + when(l.EndedAt) + " by " + l.EndedBy
	case l.State == config.LaunchScheduled:
		return text + " for " + when(l.BeginsAt)
	case len(l.Events) > 0 && l.State == config.LaunchPaused:
		return text + " since " + when(l.Events[len(l.Events)-1].At)
	}
	return text + " since " + when(l.BegunAt)
}

// claimsText says whom a strategy claims, in words.
func claimsText(s *config.Strategy) string {
	switch s.Kind {
	case config.StrategyCanary:
		return ruleText(s.Rule)
	case config.StrategyTargets:
		return "the instances " + someOf(s.Targets, ", ")
	case config.StrategyBlueGreen:
		if s.Slots == nil {
			break
		}
		return fmt.Sprintf("whoever gets slot %s; everybody who asks for none gets %s", s.Slots.Candidate, s.Slots.Active)
	case config.StrategyProgressive:
		if s.Step < 0 || s.Step >= len(s.Steps) {
			break
		}
		text := s.Steps[s.Step].Share.String() + " of the instances"
		if s.Rule != nil {
			text += ", if they are " + ruleText(s.Rule)
		}
		return text
	}
	return "everybody"
}

// ruleText says whom a rule claims.
func ruleText(r *config.Rule) string {
	if r == nil {
		return "nobody"
	}
	var parts []string
	if r.Share != nil {
		parts = append(parts, r.Share.String()+" of the instances")
	}
	if len(r.Labels) > 0 {
		parts = append(parts, "labels "+r.Labels.String())
	}
	if len(r.Addresses) > 0 {
		networks := make([]string, len(r.Addresses))
		for i, n := range r.Addresses {
			networks[i] = n.String()
		}
		parts = append(parts, "from "+someOf(networks, " or "))
	}
	if len(r.Instances) > 0 {
		parts = append(parts, "named "+someOf(r.Instances, " or "))
	}
	for i := range r.All {
		parts = append(parts, "("+ruleText(&r.All[i])+")")
	}
	if len(r.Any) > 0 {
		choices := make([]string, len(r.Any))
		for i := range r.Any {
			choices[i] = "(" + ruleText(&r.Any[i]) + ")"
		}
		parts = append(parts, strings.Join(choices, " or "))
	}
	return strings.Join(parts, " and ")
}

// someOf joins the first of many words.
func someOf(words []string, by string) string {
	const most = 10
	if len(words) <= most {
		return strings.Join(words, by)
	}
	return fmt.Sprintf("%s%sone of %d more", strings.Join(words[:most], by), by, len(words)-most)
}

// nextText says what comes next by itself, or what there is to do.
func nextText(l *config.Launch, now time.Time) string {
	s := &l.Strategy
	switch {
	case l.State == config.LaunchScheduled:
		return "begins " + whenText(l.BeginsAt, now)
	case l.State == config.LaunchPaused && s.Kind == config.StrategyProgressive:
		return fmt.Sprintf("nothing until it is resumed; the step has lasted %s of %s", spanOf(l.Held), holdText(s))
	case l.State == config.LaunchPaused:
		return "nothing until it is resumed, promoted or aborted"
	case s.Kind == config.StrategyBlueGreen:
		return "nothing by itself: switch, promote or abort it"
	case s.Kind != config.StrategyProgressive:
		return "nothing by itself: adjust, promote or abort it"
	case s.Step < 0 || s.Step >= len(s.Steps):
		return "-"
	}
	last := s.Step == len(s.Steps)-1
	if last && s.Steps[s.Step].Share < config.FullShare {
		return fmt.Sprintf("nothing by itself: it stays at %s until it is adjusted, promoted or aborted", s.Steps[s.Step].Share)
	}
	what := "promoted"
	if !last {
		what = s.Steps[s.Step+1].Share.String()
	}
	due := l.StepAt.Add(time.Duration(float64(s.Steps[s.Step].Hold) * float64(time.Second)))
	text := what + " " + whenText(due, now)
	if g := l.Gate; g != nil && (g.Applied > 0 || g.AtLeast > 0) {
		if !due.After(now) {
			return what + " as soon as enough instances have applied it"
		}
		text += ", if enough instances have applied it by then"
	}
	return text
}

func holdText(s *config.Strategy) string {
	if s.Step < 0 || s.Step >= len(s.Steps) {
		return "-"
	}
	return spanOf(s.Steps[s.Step].Hold)
}

// whenText says a time and how far it is.
func whenText(t, now time.Time) string {
	if !t.After(now) {
		return "any moment"
	}
	return fmt.Sprintf("at %s (in %s)", when(t), t.Sub(now).Round(time.Second))
}

func spanOf(s config.Seconds) string {
	return time.Duration(float64(s) * float64(time.Second)).Round(time.Second).String()
}

// gateText says what a gate asks for.
func gateText(l *config.Launch) string {
	g := l.Gate
	var parts []string
	if g.Applied > 0 || g.AtLeast > 0 {
		parts = append(parts, fmt.Sprintf("a step wants %s of its instances, at least %d, to have applied it", g.Applied, g.AtLeast))
	}
	refused := fmt.Sprintf("more than %d refusals call it off", g.Refused)
	if g.RefusedShare > 0 {
		refused = fmt.Sprintf("more than %d refusals that are more than %s of its instances call it off", g.Refused, g.RefusedShare)
	}
	parts = append(parts, refused)
	if g.Patience > 0 {
		parts = append(parts, "so does a wait of "+spanOf(g.Patience))
	}
	return strings.Join(parts, "; ")
}

// claimedText is what an event says of whom the launch claims from then on.
func claimedText(e config.LaunchEvent) string {
	if e.Slot != "" {
		return e.Slot
	}
	if e.Share != 0 {
		return e.Share.String()
	}
	return ""
}
