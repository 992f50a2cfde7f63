package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

func (a *app) preview() *cobra.Command {
	var f strategyFlags
	p := client.PreviewLaunch{}
	var change string
	cmd := a.command("preview PATH…", "Tell who would get what by a launch, or by changing one; nothing is changed", cobra.MinimumNArgs(1),
		func(ctx context.Context, c *client.Client, args []string) error {
			for _, arg := range args {
				path, err := pathArg(arg, config.LevelConfig)
				if err != nil {
					return err
				}
				p.Items = append(p.Items, path)
			}
			p.Change = config.LaunchChange(change)
			if err := a.previewStrategy(&f, &p); err != nil {
				return err
			}
			if p.Most < 0 {
				return usagef("--limit %d: want 0 or more", p.Most)
			}
			preview, err := c.Preview(ctx, p)
			if err != nil {
				return err
			}
			return a.showPreview(&preview)
		})
	cmd.Long = cmd.Short + `.

Without --launch or --change it is about a new launch of the configs, all
together. With --change, or with --launch and another strategy, it is about the
launch of the config that is under way. NOW and THEN are versions, and
"candidate" marks those that the launch brings.

` + strategyHelp
	cmd.Example = "  setpoint preview acme/checkout/prod/application.yaml --percent 10\n" +
		"  setpoint preview acme/checkout/prod/a.yaml acme/checkout/prod/b.yaml --labels 'region in (eu, us)' --steps 1%:10m,100%\n" +
		"  setpoint preview acme/checkout/prod/application.yaml --change advance"
	f.register(cmd)
	cmd.Flags().StringVar(&p.OnRunning, "on-running", "", "what becomes of launches under way: supersede, before or after")
	cmd.Flags().StringVar(&p.Launch, "launch", "", "the `ID` of a launch under way")
	cmd.Flags().StringVar(&change, "change", "", "change the launch under way: advance, switch, promote or abort")
	cmd.Flags().IntVar(&p.Most, "limit", 100, "list at most `N` instances; 0 for all, who are counted anyway")
	_ = cmd.RegisterFlagCompletionFunc("on-running", cobra.FixedCompletions([]string{"supersede", "before", "after"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("change", cobra.FixedCompletions([]string{"advance", "switch", "promote", "abort"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// previewStrategy takes the strategy of the flags. Of a launch that is under way
// a share alone is changed as that, so that the rest of its rule stays.
func (a *app) previewStrategy(f *strategyFlags, p *client.PreviewLaunch) error {
	s, err := a.strategyOf(f)
	if err != nil {
		return err
	}
	underWay := p.Launch != "" || p.Change != ""
	switch {
	case s == nil && !underWay:
		return usagef("say who is to get it, with --percent, --labels, --steps or another of the strategy's flags, or --change for the launch under way")
	case underWay && len(p.Items) > 1 && p.Launch == "":
		return usagef("--change is for one PATH; name the launch with --launch")
	case underWay && s != nil && s.Kind == config.StrategyCanary && onlyShare(s.Rule):
		p.Share = s.Rule.Share
	default:
		p.Strategy = s
	}
	return nil
}

func onlyShare(r *config.Rule) bool {
	return r.Share != nil && len(r.All)+len(r.Any)+len(r.Labels)+len(r.Addresses)+len(r.Instances) == 0
}

// showPreview prints who would get what. What would be refused decides the exit
// code.
func (a *app) showPreview(p *config.Preview) error {
	if a.flags.output == "json" || a.flags.output == "yaml" {
		if err := a.encode(p); err != nil {
			return err
		}
		return refusedBy(p)
	}
	writeProblems(a.env.Stderr, p.Problems)
	if err := refusedBy(p); err != nil {
		return err
	}
	if err := a.show(p, previewTable(p)); err != nil {
		return err
	}
	if len(p.Items) > 0 {
		fmt.Fprintln(a.env.Stdout)
	}
	for _, n := range p.Configs {
		fmt.Fprintln(a.env.Stdout, clean(previewSum(n)))
	}
	if p.Next != "" {
		a.note("there are more instances than the %d listed; --limit 0 lists all", len(p.Items))
	}
	if len(p.Ended) > 0 {
		a.note("it would end launch %s", strings.Join(p.Ended, " and launch "))
	}
	if len(p.Silent) > 0 {
		a.warn("no answer from %s: the instances there are not counted", strings.Join(p.Silent, ", "))
	}
	return nil
}

func refusedBy(p *config.Preview) error {
	if hasErrors(p.Problems) {
		return exitError(exitInvalid)
	}
	return nil
}

// previewTable has a line for each instance and config.
func previewTable(p *config.Preview) table {
	t := table{}
	if len(p.Items) == 0 {
		return t
	}
	t.header = []string{"INSTANCE", "LABELS", "NOW", "THEN", "", "WHY"}
	many := len(p.Configs) > 1
	if many {
		t.header = append([]string{"CONFIG"}, t.header...)
	}
	for _, i := range p.Items {
		for _, choice := range i.Choices {
			row := []string{dash(i.ID), dash(labelsText(i.Labels)), versionText(choice.Now), versionText(choice.Then), "", string(choice.Reason)}
			if choice.Candidate {
				row[4] = "candidate"
			}
			if many {
				row = append([]string{choice.Path.String()}, row...)
			}
			t.add(row...)
		}
	}
	return t
}

// previewSum says in a line how many would get what of a config.
func previewSum(n config.PreviewCount) string {
	text := fmt.Sprintf("%s version %d: %d of %s would get it", n.Path, n.Version, n.Candidate, count(n.Instances, "instance"))
	for _, part := range []struct {
		n    int
		what string
	}{{n.Stable, "the stable version"}, {n.Other, "that of another launch"}, {n.Nothing, "nothing"}} {
		if part.n > 0 {
			text += fmt.Sprintf(", %d %s", part.n, part.what)
		}
	}
	return text + fmt.Sprintf("; nothing changes for %d", n.Unchanged)
}
