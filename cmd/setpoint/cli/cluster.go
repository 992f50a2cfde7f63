package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

func (a *app) cluster() *cobra.Command {
	members := a.command("members", "List the nodes that hold the data", cobra.NoArgs, func(ctx context.Context, c *client.Client, _ []string) error {
		all, err := c.Members(ctx)
		if err != nil {
			return err
		}
		return a.show(all, nodesTable(all))
	})
	promote := a.command("promote NAME", "Let a member vote that is still learning", cobra.ExactArgs(1), func(ctx context.Context, c *client.Client, args []string) error {
		if err := c.PromoteMember(ctx, args[0]); err != nil {
			return err
		}
		return a.done(map[string]any{"promoted": args[0]}, "%s votes", args[0])
	})
	promote.Long = promote.Short + ".\n\nThe cluster does so by itself as soon as the member has caught up; this is for when that does not come about."
	move := a.command("move-leader [NAME]", "Hand the leadership to a member, or to the most suitable one", cobra.MaximumNArgs(1),
		func(ctx context.Context, c *client.Client, args []string) error {
			to := strings.Join(args, "")
			if err := c.MoveLeader(ctx, to); err != nil {
				return err
			}
			if to == "" {
				to = "another member"
			}
			return a.done(map[string]any{"leader": to}, "the leadership goes to %s", to)
		})
	all := []*cobra.Command{a.clusterStatus(), members, a.clusterAdd(), a.joinTokens(), a.revokeJoinToken(), a.clusterRemove(), promote, move}
	for _, cmd := range all {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	return group("cluster", "See to the nodes of the installation", all...)
}

func (a *app) clusterStatus() *cobra.Command {
	cmd := a.command("status", "Tell how each node is doing; exit code 1 if something is wrong", cobra.NoArgs,
		func(ctx context.Context, c *client.Client, _ []string) error {
			status, err := c.Cluster(ctx)
			if err != nil {
				return err
			}
			if err := a.show(status, nodesTable(status.Nodes)); err != nil {
				return err
			}
			problems := problemsOf(status)
			if a.flags.output == "table" && len(problems) > 0 {
				fmt.Fprintln(a.env.Stdout)
				for _, p := range problems {
					fmt.Fprintln(a.env.Stdout, "problem: "+clean(p))
				}
			}
			if len(problems) > 0 {
				return exitError(exitFailure)
			}
			return nil
		})
	cmd.Long = cmd.Short + `.

HEALTH is ok, stale for a node that is cut off from the others, with for how
long, or problem; problems are listed below the table. LAG is how many changes a
node is behind the furthest. STORE is the size of the data, and FREE the room
that is left on its disk.`
	return cmd
}

// problemsOf lists everything that is wrong, nodes' problems with their names.
func problemsOf(status config.ClusterStatus) []string {
	var all []string
	for _, p := range status.Problems {
		all = append(all, strings.ReplaceAll(p, "\n", " "))
	}
	if !status.Writable && len(all) == 0 {
		all = append(all, "nothing can be written")
	}
	for _, n := range status.Nodes {
		for _, p := range n.Problems {
			all = append(all, n.Name+": "+strings.ReplaceAll(p, "\n", " "))
		}
		if !n.Healthy && len(n.Problems) == 0 {
			all = append(all, n.Name+": it is not healthy")
		}
	}
	return all
}

func nodesTable(nodes []config.Node) table {
	t := table{header: []string{"NODE", "ROLE", "LEADER", "HEALTH", "VERSION", "LAG", "STORE", "FREE", "WATCHERS", "CERTIFICATE"}}
	for _, n := range nodes {
		lag, free, until := "-", "-", "-"
		if n.Revision != "" {
			lag = strconv.FormatInt(n.Lag, 10)
		}
		if n.DiskTotal > 0 {
			free = size(n.DiskFree)
		}
		if !n.CertificateExpires.IsZero() {
			until = n.CertificateExpires.Local().Format(time.DateOnly)
		}
		t.add(dash(n.Name), string(n.Role), yesNo(n.Leader), health(n), dash(n.Version), lag, size(n.StoreSize), free, strconv.Itoa(n.Watchers), until)
	}
	return t
}

func health(n config.Node) string {
	switch {
	case n.Stale > 0:
		return fmt.Sprintf("stale %ds", int64(n.Stale))
	case n.Healthy:
		return "ok"
	default:
		return "problem"
	}
}

func (a *app) clusterAdd() *cobra.Command {
	var n client.NewJoinToken
	var ttl string
	cmd := a.command("add [NAME]", "Make a join token and print the line that starts a new node", cobra.MaximumNArgs(1),
		func(ctx context.Context, c *client.Client, args []string) error {
			var err error
			if n.TTL, err = lifetime(ttl); err != nil {
				return err
			}
			offer, err := c.CreateJoinToken(ctx, n)
			if err != nil {
				return err
			}
			name := "NAME"
			if len(args) == 1 {
				name = args[0]
			}
			return a.showJoinOffer(offer, serveLine(offer, name))
		})
	cmd.Long = cmd.Short + `.

The token lets one node in: the first that shows it. Run the line on the new
node's machine, with a NAME that no other node has. Whoever has the token can
join until it expires; 'setpoint cluster revoke-token' takes it back.`
	cmd.Example = "  setpoint cluster add n4\n  setpoint cluster add --edge --ttl 10m"
	cmd.Flags().BoolVar(&n.Edge, "edge", false, "for a node that keeps no data and serves from that of the others")
	cmd.Flags().StringVar(&ttl, "ttl", "", "how `LONG` the token is good: 10m or 2h, at most 24h; 1h if not given")
	return cmd
}

// serveLine is the command that starts the node that the token is for.
func serveLine(offer client.JoinOffer, name string) string {
	words := []string{"setpoint", "serve"}
	if offer.Edge {
		words = append(words, "--edge")
	}
	words = append(words, "--name", name, "--join", strings.Join(offer.Addresses, ","), "--token", offer.Secret.Reveal())
	return strings.Join(words, " ")
}

// showJoinOffer prints the line alone on standard output, so that a script can
// run it, and the rest beside it.
func (a *app) showJoinOffer(offer client.JoinOffer, line string) error {
	if a.flags.output == "json" || a.flags.output == "yaml" {
		return a.encode(struct {
			config.JoinToken
			config.Invitation
			Secret  string `json:"token"`
			Command string `json:"command"`
		}{offer.JoinToken, offer.Invitation, offer.Secret.Reveal(), line})
	}
	a.note("token %s lets one node in until %s; this is the only time that it is shown:", offer.ID, when(offer.ExpiresAt))
	_, err := fmt.Fprintln(a.env.Stdout, clean(line))
	return err
}

func (a *app) joinTokens() *cobra.Command {
	return a.command("tokens", "List the join tokens that are still good", cobra.NoArgs, func(ctx context.Context, c *client.Client, _ []string) error {
		all, err := collect(c.JoinTokens(ctx), 0)
		if err != nil {
			return err
		}
		t := table{header: []string{"ID", "FOR", "USED BY", "CREATED", "BY", "EXPIRES"}}
		for _, token := range all {
			role := "member"
			if token.Edge {
				role = "edge"
			}
			t.add(token.ID, role, dash(token.UsedBy), when(token.CreatedAt), token.CreatedBy, when(token.ExpiresAt))
		}
		return a.show(all, t)
	})
}

func (a *app) revokeJoinToken() *cobra.Command {
	return a.command("revoke-token ID", "Take a join token back", cobra.ExactArgs(1), func(ctx context.Context, c *client.Client, args []string) error {
		if err := c.RevokeJoinToken(ctx, args[0]); err != nil {
			return err
		}
		return a.done(map[string]any{"revoked": args[0]}, "revoked join token %s", args[0])
	})
}

func (a *app) clusterRemove() *cobra.Command {
	var yes bool
	cmd := a.command("remove NAME", "Take a member out of the cluster for good", cobra.ExactArgs(1), func(ctx context.Context, c *client.Client, args []string) error {
		if !yes {
			sure, err := a.confirm(ctx, fmt.Sprintf("Take %s out of the cluster, for good?", args[0]), false)
			if err != nil {
				return fmt.Errorf("this wants --yes: %w", err)
			}
			if !sure {
				return exitError(exitFailure)
			}
		}
		if err := c.RemoveMember(ctx, args[0]); err != nil {
			return err
		}
		return a.done(map[string]any{"removed": args[0]}, "removed %s; do not start it again with its data", args[0])
	})
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}
