package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

func (a *app) explain() *cobra.Command {
	var e client.Explain
	var labels, at string
	var cmd *cobra.Command
	cmd = a.command("explain PATH", "Tell which release an instance gets of a config, and why", cobra.ExactArgs(1),
		func(ctx context.Context, c *client.Client, args []string) error {
			var err error
			if e.Path, err = pathArg(args[0], config.LevelConfig); err != nil {
				return err
			}
			if cmd.Flags().Changed("labels") {
				if e.Client.Labels, err = parseLabels(labels); err != nil {
					return err
				}
			}
			if e.Time, err = pointInTime(at); err != nil {
				if !strings.Contains(at, ".") { // as every token does
					return usagef("--at %s: want a revision, or a time: 1h for so long ago, 2026-01-31 or 2026-01-31T10:00:00Z", at)
				}
				e.At = config.Token(at)
			}
			x, err := c.Explain(ctx, e)
			if err != nil {
				return err
			}
			return a.showExplained(&x)
		})
	cmd.Long = cmd.Short + `.

With --instance alone, and if a server knows that instance, its labels, slot and
address are taken from there; what is given is taken in their place. --at asks
about the past, as far as the server's engine keeps its history.`
	cmd.Example = "  setpoint explain acme/checkout/prod/application.yaml --instance pod-7\n" +
		"  setpoint explain acme/checkout/prod/application.yaml --labels region=eu,tier=web\n" +
		"  setpoint explain acme/checkout/prod/application.yaml --instance pod-7 --at 15m"
	cmd.Flags().StringVar(&e.Client.ID, "instance", "", "the `ID` of the instance")
	cmd.Flags().StringVar(&labels, "labels", "", "its labels: `KEY=VALUE,KEY=VALUE`; empty for none")
	cmd.Flags().StringVar(&e.Client.Slot, "slot", "", "the slot that it asks for")
	cmd.Flags().StringVar(&e.Client.Address, "address", "", "its `IP` address")
	cmd.Flags().StringVar(&at, "at", "", "a `MOMENT`: a revision, 1h for so long ago, or a time")
	return cmd
}

// parseLabels reads "key=value,key=value"; the empty string is no labels.
func parseLabels(text string) (map[string]string, error) {
	labels := map[string]string{}
	if strings.TrimSpace(text) == "" {
		return labels, nil
	}
	for pair := range strings.SplitSeq(text, ",") {
		key, value, found := strings.Cut(pair, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		_, twice := labels[key]
		switch {
		case !found || key == "":
			return nil, usagef("--labels %q: write key=value,key=value", text)
		case twice:
			return nil, usagef("--labels %q: %s is there twice", text, key)
		}
		labels[key] = value
	}
	return labels, nil
}

func (a *app) showExplained(x *config.Explained) error {
	if a.flags.output == "json" || a.flags.output == "yaml" {
		return a.encode(x)
	}
	lines := []string{x.String()}
	for _, l := range x.Launches {
		line := fmt.Sprintf("launch %s brings version %d: %s, %s", l.ID, l.Version, l.State, l.Strategy)
		if l.State.Ended() {
			line = fmt.Sprintf("launch %s brought version %d: %s", l.ID, l.Version, l.State)
		}
		lines = append(lines, line)
	}
	if x.Revision != "" {
		lines = append(lines, "as of revision "+string(x.Revision))
	}
	if _, err := fmt.Fprintln(a.env.Stdout, clean(strings.Join(lines, "\n"))); err != nil {
		return err
	}
	who := x.Client
	switch {
	case x.Instance != nil:
		a.note("%s is known to %s: labels %s, slot %s, address %s", who.ID, x.Instance.Node, dash(labelsText(who.Labels)), dash(who.Slot), dash(who.Address))
	case who.ID != "" && who.Labels == nil && who.Slot == "" && who.Address == "":
		a.note("no server knows an instance %s that reads or watches this: it is explained by its id alone", who.ID)
	}
	if x.Namesakes > 0 {
		a.warn("%s of other users with this id", count(x.Namesakes, "instance"))
	}
	if len(x.Silent) > 0 {
		a.warn("no answer from %s: instances that are known there alone are not known here", strings.Join(x.Silent, ", "))
	}
	return nil
}
