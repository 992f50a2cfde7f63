package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

type publishFlags struct {
	file, message, format string
	expect                int64
	skipUnchanged         bool
	release               releaseFlags
}

func (a *app) publish() *cobra.Command {
	var f publishFlags
	var cmd *cobra.Command
	cmd = a.command("publish PATH [-f FILE] | PATH=FILE…", "Release a config: its draft, a file, or many files as one change set", cobra.MinimumNArgs(1),
		func(ctx context.Context, c *client.Client, args []string) error {
			if f.release.strategy.file == "-" && (f.file == "-" || slices.ContainsFunc(args, func(arg string) bool { return strings.HasSuffix(arg, "=-") })) {
				return usagef("standard input is one thing: the content or the strategy, not both")
			}
			options, err := a.releaseOptions(&f.release)
			if err != nil {
				return err
			}
			p := client.Publish{Comment: f.message, ReleaseOptions: options}
			for _, arg := range args {
				item, err := a.publishItem(arg, f, cmd.Flags().Changed("expect"), len(args) == 1)
				if err != nil {
					return err
				}
				p.Items = append(p.Items, item)
			}
			return a.publishItems(ctx, c, p)
		})
	cmd.Long = "Release a config.\n\nWith only PATH the draft is released. With -f the file is, without touching the draft.\n" +
		"Several PATH=FILE become one change set: all are released at once, or none is.\n\n" + releaseHelp
	cmd.Example = "  setpoint publish acme/checkout/prod/application.yaml -m 'longer timeouts'\n" +
		"  setpoint publish acme/checkout/prod/application.yaml -f application.yaml\n" +
		"  setpoint publish acme/checkout/prod/a.yaml=a.yaml acme/checkout/prod/b.toml=b.toml\n" +
		"  setpoint publish acme/checkout/prod/application.yaml --percent 10 --labels 'region = eu'\n" +
		"  setpoint publish acme/checkout/prod/application.yaml --steps 1%:10m,10%:30m,100%:1h --gate-applied 95%\n" +
		"  setpoint publish acme/checkout/prod/application.yaml --at 2027-01-31T10:00:00Z"
	cmd.Flags().StringVarP(&f.file, "file", "f", "", "the `FILE` to release; - for standard input")
	cmd.Flags().StringVarP(&f.message, "message", "m", "", "why: kept with the release")
	cmd.Flags().StringVar(&f.format, "format", "", "json, yaml, toml …, where the config has none yet")
	cmd.Flags().Int64Var(&f.expect, "expect", 0, "only if the current version is `N`; 0 for never released")
	cmd.Flags().BoolVar(&f.skipUnchanged, "skip-unchanged", false, "make no release if the content is what is served already")
	f.release.register(cmd)
	return cmd
}

func (a *app) publishItem(arg string, f publishFlags, expect, alone bool) (client.PublishItem, error) {
	pathText, file, isPair := strings.Cut(arg, "=")
	switch {
	case isPair && f.file != "":
		return client.PublishItem{}, usagef("give either PATH=FILE or -f FILE, not both")
	case !alone && f.file != "":
		return client.PublishItem{}, usagef("-f is for one PATH; for many write PATH=FILE")
	case !alone && expect:
		return client.PublishItem{}, usagef("--expect is for one PATH")
	}
	path, err := pathArg(pathText, config.LevelConfig)
	if err != nil {
		return client.PublishItem{}, err
	}
	item := client.PublishItem{Path: path, Format: f.format, SkipUnchanged: f.skipUnchanged}
	if expect {
		item.ExpectedVersion = &f.expect
	}
	if !isPair {
		file = f.file
	}
	if item.FromDraft = file == ""; !item.FromDraft {
		item.Content, err = a.readInput(file)
	}
	return item, err
}

func (a *app) publishItems(ctx context.Context, c *client.Client, p client.Publish) error {
	set, err := c.Publish(ctx, p)
	if err != nil {
		var paths []config.Path
		for _, item := range p.Items {
			paths = append(paths, item.Path)
		}
		return hintRelease(ctx, c, p.ReleaseOptions, paths, err)
	}
	return a.showChangeSet(set, "published")
}

// showChangeSet prints what was released.
func (a *app) showChangeSet(set config.ChangeSet, verb string) error {
	if len(set.Items) == 0 {
		return a.done(set, "nothing to release")
	}
	if set.Launch != nil && set.Launch.State != config.LaunchPromoted {
		verb = "staged"
	}
	var lines []string
	for _, item := range set.Items {
		if item.Unchanged {
			lines = append(lines, fmt.Sprintf("unchanged %s version %d", item.Path, item.Version))
		} else {
			lines = append(lines, fmt.Sprintf("%s %s version %d", verb, item.Path, item.Version))
		}
	}
	lines = append(lines, a.launched(set)...)
	return a.done(set, "%s", strings.Join(lines, "\n"))
}

// launched says what a change set began and ended.
func (a *app) launched(set config.ChangeSet) (lines []string) {
	for _, id := range set.Ended {
		lines = append(lines, "ended launch "+id)
	}
	if l := set.Launch; l != nil {
		writeProblems(a.env.Stderr, l.Warnings)
		lines = append(lines, launchText(l))
		if len(l.Items) > 0 {
			a.note("'setpoint rollout status %s' shows how it goes on", l.Items[0].Path)
		}
	}
	return lines
}

func (a *app) rollback() *cobra.Command {
	var to, message string
	var expect int64
	var cmd *cobra.Command
	cmd = a.command("rollback PATH [--to VERSION]", "Serve everybody an earlier content again, at once", cobra.ExactArgs(1), func(ctx context.Context, c *client.Client, args []string) error {
		path, err := pathArg(args[0], config.LevelConfig)
		if err != nil {
			return err
		}
		r, verb := client.Rollback{Path: path, Comment: message}, "rolled back:"
		if to != "" {
			if r.Version, err = rollbackVersion(ctx, c, path, to); err != nil {
				return err
			}
			verb = fmt.Sprintf("rolled back to version %d:", r.Version)
		}
		if cmd.Flags().Changed("expect") {
			r.ExpectedVersion = &expect
		}
		set, err := c.Rollback(ctx, r)
		if err != nil {
			if to == "" && config.KindOf(err) == config.Conflict {
				err = withHint(err, fmt.Sprintf("'setpoint history %s' lists the versions; go to one with --to VERSION.", path))
			}
			return err
		}
		if len(set.Items) == 1 && set.Items[0].Unchanged && len(set.Ended) > 0 {
			return a.done(set, "aborted launch %s: everybody gets %s version %d", strings.Join(set.Ended, " and launch "), path, set.Items[0].Version)
		}
		return a.showChangeSet(set, verb)
	})
	cmd.Long = "Serve everybody an earlier content again, at once.\n\n" +
		"Without --to it goes away from what was changed last. If launches of the config are under way, they\n" +
		"are aborted, with all the configs that they hold, and everybody is served the stable release; nothing\n" +
		"is released by that. If there are none, the release that was stable before comes back, as a new version\n" +
		"with its content. If the stable release is itself a rollback, you are asked for a version.\n\n" +
		"With --to everybody gets the content of that version, and launches are aborted too. No freeze holds a\n" +
		"rollback up."
	cmd.Flags().StringVar(&to, "to", "", "the `VERSION` to bring back: a number, or previous for the second latest")
	cmd.Flags().StringVarP(&message, "message", "m", "", "why: kept with the release")
	cmd.Flags().Int64Var(&expect, "expect", 0, "only if the latest version is `N`")
	return cmd
}

// rollbackVersion reads "3", "v3" or "previous".
func rollbackVersion(ctx context.Context, c *client.Client, path config.Path, text string) (int64, error) {
	if text != "previous" {
		v, err := strconv.ParseInt(strings.TrimPrefix(text, "v"), 10, 64)
		if err != nil || v < 1 {
			return 0, usagef("--to %s: want the number of a version, or previous", text)
		}
		return v, nil
	}
	latest, err := collect(c.Releases(ctx, path), 2)
	if err != nil {
		return 0, err
	}
	if len(latest) < 2 {
		return 0, config.Errorf(config.NotFound, "rollback", path.String(), "there is no previous version")
	}
	return latest[1].Version, nil
}

func (a *app) promote() *cobra.Command {
	var p client.Promote
	var f releaseFlags
	cmd := a.command("promote TENANT/APP --from ENV --to ENV [NAME…]", "Release in one env what is released in another", cobra.MinimumNArgs(1),
		func(ctx context.Context, c *client.Client, args []string) error {
			app, err := pathArg(args[0], config.LevelApp)
			if err != nil {
				return err
			}
			p.App, p.Names = app, args[1:]
			if p.ReleaseOptions, err = a.releaseOptions(&f); err != nil {
				return err
			}
			set, err := c.Promote(ctx, p)
			if err != nil {
				return hintPromote(ctx, c, p, err)
			}
			if p.DryRun {
				return a.showChangeSet(set, "would promote")
			}
			return a.showChangeSet(set, "promoted")
		})
	cmd.Long = cmd.Short + ".\n\nWithout NAMEs everything is promoted. What is the same already is left alone. " + releaseHelp
	cmd.Flags().StringVar(&p.From, "from", "", "the `ENV` to take from")
	cmd.Flags().StringVar(&p.To, "to", "", "the `ENV` to release in")
	cmd.Flags().StringVarP(&p.Comment, "message", "m", "", "why: kept with the releases")
	cmd.Flags().BoolVar(&p.Backward, "backward", false, "allow it against the promotion order")
	cmd.Flags().BoolVar(&p.DryRun, "dry-run", false, "only tell what would be released")
	f.register(cmd)
	_ = cmd.MarkFlagRequired("from")
	_ = cmd.MarkFlagRequired("to")
	return cmd
}

func (a *app) rm() *cobra.Command {
	var purge, yes, override bool
	var message string
	var expect int64
	var cmd *cobra.Command
	cmd = a.command("rm PATH", "Stop serving a config; its launches are aborted, its history is kept unless purged", cobra.ExactArgs(1), func(ctx context.Context, c *client.Client, args []string) error {
		path, err := pathArg(args[0], config.LevelConfig)
		if err != nil {
			return err
		}
		d := client.DeleteConfig{Path: path, Comment: message, Purge: purge, OverrideFreeze: override}
		if cmd.Flags().Changed("expect") {
			d.ExpectedVersion = &expect
		}
		if purge && !yes {
			sure, err := a.confirm(ctx, fmt.Sprintf("Remove %s with its whole history, for good?", path), false)
			if err != nil {
				return fmt.Errorf("--purge wants --yes: %w", err)
			}
			if !sure {
				return exitError(exitFailure)
			}
		}
		if err := c.DeleteConfig(ctx, d); err != nil {
			return hintRelease(ctx, c, client.ReleaseOptions{OverrideFreeze: override, OnRunning: client.SupersedeRunning}, []config.Path{path}, err)
		}
		return a.done(map[string]any{"path": path, "purged": purge}, "deleted %s", path)
	})
	cmd.Flags().BoolVar(&purge, "purge", false, "remove the history as well, for good")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.Flags().StringVarP(&message, "message", "m", "", "why: kept in the audit record")
	cmd.Flags().Int64Var(&expect, "expect", 0, "only if the current version is `N`")
	registerOverride(cmd, &override)
	return cmd
}

func (a *app) undelete() *cobra.Command {
	var message string
	cmd := a.command("undelete PATH", "Serve a deleted config's last release again", cobra.ExactArgs(1),
		func(ctx context.Context, c *client.Client, args []string) error {
			path, err := pathArg(args[0], config.LevelConfig)
			if err != nil {
				return err
			}
			state, err := c.UndeleteConfig(ctx, path, message)
			if err != nil {
				return err
			}
			return a.done(state, "%s is served again", path)
		})
	cmd.Flags().StringVarP(&message, "message", "m", "", "why: kept in the audit record")
	return cmd
}
