package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

// versionLabel is the one that holds an application's version, by convention.
const versionLabel = "version"

// instanceStates are what can be asked for with --state.
func instanceStates() []string {
	return []string{string(config.AckApplied), string(config.AckRefused), "silent"}
}

func (a *app) instances() *cobra.Command {
	var filter client.InstanceFilter
	cmd := a.command("instances PATH", "List who watches, reads or reports an env or a config, on every node", cobra.ExactArgs(1),
		func(ctx context.Context, c *client.Client, args []string) error {
			path, err := config.ParsePath(args[0])
			if err != nil {
				return err
			}
			if path.Level() != config.LevelConfig && filter != (client.InstanceFilter{}) {
				return usagef("--version and --state choose among the instances of one config: name it, %s/CONFIG", path)
			}
			if filter.Version < 0 {
				return usagef("--version %d: want 1 or more", filter.Version)
			}
			if filter.State != "" && !slices.Contains(instanceStates(), filter.State) {
				return usagef("--state %s: want %s", filter.State, strings.Join(instanceStates(), ", "))
			}
			all, err := c.FindInstances(ctx, path, filter)
			if err != nil {
				return err
			}
			if len(all.Silent) > 0 {
				a.warn("no answer from %s: who is connected there is not listed", strings.Join(all.Silent, ", "))
			}
			return a.showInstances(path, all)
		})
	cmd.Long = "List who watches, reads or reports an env or a config, on every node.\n\n" +
		"Of a config it tells the versions that each instance was sent, has applied, or would not take, and why; above that, how many\n" +
		"there are to each version. SILENT are those that were sent it and said nothing. Instances that say a name are remembered for\n" +
		"some time after they left: SEEN is when they last gave a sign. APP is the label \"" + versionLabel + "\"."
	cmd.Flags().Int64Var(&filter.Version, "version", 0, "only those that were sent this `VERSION` of the config, or said something of it")
	cmd.Flags().StringVar(&filter.State, "state", "", "only those that are `STATE` with it: applied, refused or silent")
	_ = cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions(instanceStates(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (a *app) showInstances(path config.Path, all client.InstanceList) error {
	if a.flags.output == "json" || a.flags.output == "yaml" {
		return a.encode(all)
	}
	if path.Level() != config.LevelConfig {
		t := table{header: []string{"INSTANCE", "APP", "USER", "ADDRESS", "AGENT", "NODE", "SINCE", "SEEN", "CONFIGS", "LABELS", "WATCHES"}}
		for _, i := range all.Instances {
			t.add(dash(i.ID), dash(i.Labels[versionLabel]), i.User, i.Address, dash(i.Agent), i.Node, when(i.Since), seenText(i), dash(holdsText(i.Holds)),
				dash(labelsText(i.Labels)), dash(strings.Join(i.Watches, " ")))
		}
		return a.show(all, t)
	}
	if len(all.Counts) > 0 {
		t := table{header: []string{"VERSION", "SENT", "APPLIED", "REFUSED", "SILENT"}}
		for _, n := range all.Counts {
			t.add(versionText(n.Version), strconv.Itoa(n.Sent), strconv.Itoa(n.Applied), strconv.Itoa(n.Refused), strconv.Itoa(n.Silent))
		}
		if err := a.show(all, t); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(a.env.Stdout); err != nil {
			return err
		}
	}
	t := table{header: []string{"INSTANCE", "APP", "SENT", "APPLIED", "REFUSED", "NODE", "ADDRESS", "PROTOCOL", "USER", "SINCE", "SEEN", "WHY"}}
	for _, i := range all.Instances {
		var h config.Holding
		if len(i.Holds) > 0 {
			h = i.Holds[0]
		}
		t.add(dash(i.ID), dash(i.Labels[versionLabel]), versionText(h.Sent), versionText(h.Applied), versionText(h.Refused),
			i.Node, dash(i.Address), i.Protocol, i.User, when(i.Since), seenText(i), dash(h.Why))
	}
	return a.show(all, t)
}

// holdsText sums up what an instance has of several configs.
func holdsText(holds []config.Holding) string {
	applied, refused, silent := 0, 0, 0
	for _, h := range holds {
		switch {
		case h.Refused != 0:
			refused++
		case h.Sent != 0 && h.Applied == h.Sent, h.Sent == 0 && h.Applied != 0:
			applied++
		default:
			silent++
		}
	}
	var parts []string
	for _, part := range []struct {
		n    int
		word string
	}{{applied, "applied"}, {refused, "refused"}, {silent, "silent"}} {
		if part.n > 0 {
			parts = append(parts, strconv.Itoa(part.n)+" "+part.word)
		}
	}
	return strings.Join(parts, ", ")
}

func seenText(i config.Instance) string {
	if i.Connected {
		return "connected"
	}
	return when(i.Seen)
}

func versionText(version int64) string {
	if version == 0 {
		return "-"
	}
	return strconv.FormatInt(version, 10)
}

func labelsText(labels map[string]string) string {
	var pairs []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		pairs = append(pairs, key+"="+labels[key])
	}
	return strings.Join(pairs, ",")
}
