package cli

import (
	"context"
	"fmt"
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
}

func (a *app) publish() *cobra.Command {
	var f publishFlags
	var cmd *cobra.Command
	cmd = a.command("publish PATH [-f FILE] | PATH=FILE…", "Release a config: its draft, a file, or many files as one change set", cobra.MinimumNArgs(1),
		func(ctx context.Context, c *client.Client, args []string) error {
			p := client.Publish{Comment: f.message}
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
		"Several PATH=FILE become one change set: all are released at once, or none is."
	cmd.Example = "  setpoint publish acme/checkout/prod/application.yaml -m 'longer timeouts'\n" +
		"  setpoint publish acme/checkout/prod/application.yaml -f application.yaml\n" +
		"  setpoint publish acme/checkout/prod/a.yaml=a.yaml acme/checkout/prod/b.toml=b.toml"
	cmd.Flags().StringVarP(&f.file, "file", "f", "", "the `FILE` to release; - for standard input")
	cmd.Flags().StringVarP(&f.message, "message", "m", "", "why: kept with the release")
	cmd.Flags().StringVar(&f.format, "format", "", "json, yaml, toml …, where the config has none yet")
	cmd.Flags().Int64Var(&f.expect, "expect", 0, "only if the current version is `N`; 0 for never released")
	cmd.Flags().BoolVar(&f.skipUnchanged, "skip-unchanged", false, "make no release if the content is what is served already")
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
		return err
	}
	return a.showChangeSet(set, "published")
}

// showChangeSet prints what was released.
func (a *app) showChangeSet(set config.ChangeSet, verb string) error {
	if len(set.Items) == 0 {
		return a.done(set, "nothing to release")
	}
	var lines []string
	for _, item := range set.Items {
		if item.Unchanged {
			lines = append(lines, fmt.Sprintf("unchanged %s version %d", item.Path, item.Version))
		} else {
			lines = append(lines, fmt.Sprintf("%s %s version %d", verb, item.Path, item.Version))
		}
	}
	return a.done(set, "%s", strings.Join(lines, "\n"))
}

func (a *app) rollback() *cobra.Command {
	var to, message string
	var expect int64
	var cmd *cobra.Command
	cmd = a.command("rollback PATH --to VERSION", "Release the content of an old version again", cobra.ExactArgs(1), func(ctx context.Context, c *client.Client, args []string) error {
		path, err := pathArg(args[0], config.LevelConfig)
		if err != nil {
			return err
		}
		version, err := rollbackVersion(ctx, c, path, to)
		if err != nil {
			return err
		}
		r := client.Rollback{Path: path, Version: version, Comment: message}
		if cmd.Flags().Changed("expect") {
			r.ExpectedVersion = &expect
		}
		set, err := c.Rollback(ctx, r)
		if err != nil {
			return err
		}
		return a.showChangeSet(set, fmt.Sprintf("rolled back to version %d:", version))
	})
	cmd.Flags().StringVar(&to, "to", "", "the `VERSION` to bring back: a number, or previous")
	cmd.Flags().StringVarP(&message, "message", "m", "", "why: kept with the release")
	cmd.Flags().Int64Var(&expect, "expect", 0, "only if the current version is `N`")
	_ = cmd.MarkFlagRequired("to")
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
	cmd := a.command("promote TENANT/APP --from ENV --to ENV [NAME…]", "Release in one env what is released in another", cobra.MinimumNArgs(1),
		func(ctx context.Context, c *client.Client, args []string) error {
			app, err := pathArg(args[0], config.LevelApp)
			if err != nil {
				return err
			}
			p.App, p.Names = app, args[1:]
			set, err := c.Promote(ctx, p)
			if err != nil {
				return err
			}
			if p.DryRun {
				return a.showChangeSet(set, "would promote")
			}
			return a.showChangeSet(set, "promoted")
		})
	cmd.Flags().StringVar(&p.From, "from", "", "the `ENV` to take from")
	cmd.Flags().StringVar(&p.To, "to", "", "the `ENV` to release in")
	cmd.Flags().StringVarP(&p.Comment, "message", "m", "", "why: kept with the releases")
	cmd.Flags().BoolVar(&p.Backward, "backward", false, "allow it against the promotion order")
	cmd.Flags().BoolVar(&p.DryRun, "dry-run", false, "only tell what would be released")
	_ = cmd.MarkFlagRequired("from")
	_ = cmd.MarkFlagRequired("to")
	return cmd
}

func (a *app) rm() *cobra.Command {
	var purge, yes bool
	var message string
	var expect int64
	var cmd *cobra.Command
	cmd = a.command("rm PATH", "Stop serving a config; its history is kept unless purged", cobra.ExactArgs(1), func(ctx context.Context, c *client.Client, args []string) error {
		path, err := pathArg(args[0], config.LevelConfig)
		if err != nil {
			return err
		}
		d := client.DeleteConfig{Path: path, Comment: message, Purge: purge}
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
			return err
		}
		return a.done(map[string]any{"path": path, "purged": purge}, "deleted %s", path)
	})
	cmd.Flags().BoolVar(&purge, "purge", false, "remove the history as well, for good")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.Flags().StringVarP(&message, "message", "m", "", "why: kept in the audit record")
	cmd.Flags().Int64Var(&expect, "expect", 0, "only if the current version is `N`")
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
