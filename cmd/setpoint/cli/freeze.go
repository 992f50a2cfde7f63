package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

func (a *app) envFreeze() *cobra.Command {
	var from, to, weekly, zone, reason string
	cmd := a.command("freeze TENANT/APP/ENV NAME", "Let nothing be released in an env for a time, once or every week", cobra.ExactArgs(2),
		func(ctx context.Context, c *client.Client, args []string) error {
			p, err := pathArg(args[0], config.LevelEnv)
			if err != nil {
				return err
			}
			f := config.Freeze{Name: args[1], Reason: reason}
			switch {
			case weekly != "" && from+to != "":
				return usagef("give either --from and --to, or --weekly")
			case weekly != "":
				w, err := config.ParseWeekly(weekly, zone)
				if err != nil {
					return usagef("--weekly: %s", config.AsError(err).Detail())
				}
				f.Weekly = &w
			case zone != "":
				return usagef("--zone is for --weekly; --from and --to name their zone, as in 2026-12-20T00:00:00+08:00")
			case to == "":
				return usagef("say until when with --to, or when with --weekly")
			default:
				now := time.Now()
				if f.From, err = timeAhead("--from", from, now); err != nil {
					return err
				}
				if f.To, err = timeAhead("--to", to, now); err != nil {
					return err
				}
			}
			e, err := c.FreezeEnv(ctx, p, f)
			if err != nil {
				return err
			}
			return a.done(e, "%s: %s", p, freezeText(f))
		})
	cmd.Long = cmd.Short + ".\n\nNothing is published, promoted, advanced or switched forward in the env then; rollback, abort and pause are always allowed. " +
		"A freeze of the same name is replaced."
	cmd.Flags().StringVar(&from, "from", "", "when it begins: a `TIME` such as 2026-12-20, 2026-12-20T00:00:00Z or 2h from now; now if not given")
	cmd.Flags().StringVar(&to, "to", "", "when it ends, a `TIME`")
	cmd.Flags().StringVar(&weekly, "weekly", "", "every week, a `SPAN` such as \"fri 17:00-mon 08:00\"")
	cmd.Flags().StringVar(&zone, "zone", "", "the IANA time `ZONE` of --weekly, such as Asia/Shanghai; UTC if not given")
	cmd.Flags().StringVar(&reason, "reason", "", "why, for those who are refused")
	return cmd
}

func (a *app) envUnfreeze() *cobra.Command {
	return a.command("unfreeze TENANT/APP/ENV NAME", "Take a freeze from an env", cobra.ExactArgs(2), func(ctx context.Context, c *client.Client, args []string) error {
		p, err := pathArg(args[0], config.LevelEnv)
		if err != nil {
			return err
		}
		e, err := c.UnfreezeEnv(ctx, p, args[1])
		if err != nil {
			return err
		}
		return a.done(e, "took freeze %s from %s", args[1], p)
	})
}

// timeAhead reads a date, RFC 3339, or "2h" as so much later; "" is none.
func timeAhead(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, ok := date(text); ok {
		return t, nil
	}
	d, err := lifetime(text)
	if err != nil {
		return time.Time{}, usagef("%s: %q is no time; write 2026-12-20, 2026-12-20T00:00:00Z, or 2h for so much from now", flag, text)
	}
	return now.Add(d), nil
}

// freezeText says when an env is frozen.
func freezeText(f config.Freeze) string {
	text := "frozen by " + f.Name + " "
	switch {
	case f.Weekly != nil:
		text += "every week, " + f.Weekly.String()
	case f.From.IsZero():
		text += "until " + when(f.To)
	default:
		text += "from " + when(f.From) + " to " + when(f.To)
	}
	if f.Reason != "" {
		text += " (" + f.Reason + ")"
	}
	return text
}

// freezeFacts are the lines that an env's freezes have among what is shown of it.
func freezeFacts(e *config.Env, now time.Time) []string {
	var lines []string
	if f, until, frozen := e.Frozen(now); frozen {
		lines = append(lines, "frozen", "until "+when(until)+" by "+f.Name)
	}
	for i := range e.Freezes {
		lines = append(lines, "freeze", freezeText(e.Freezes[i]))
	}
	return lines
}
