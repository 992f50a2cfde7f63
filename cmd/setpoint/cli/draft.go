package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

func (a *app) draft() *cobra.Command {
	get := a.command("get PATH", "Print a config's draft", cobra.ExactArgs(1), func(ctx context.Context, c *client.Client, args []string) error {
		path, err := pathArg(args[0], config.LevelConfig)
		if err != nil {
			return err
		}
		d, err := c.Draft(ctx, path)
		if err != nil {
			return err
		}
		if a.raw() {
			_, err = a.env.Stdout.Write(d.Content)
			return err
		}
		return a.encode(d)
	})
	rm := a.command("rm PATH", "Drop a config's draft", cobra.ExactArgs(1), func(ctx context.Context, c *client.Client, args []string) error {
		path, err := pathArg(args[0], config.LevelConfig)
		if err != nil {
			return err
		}
		return c.DeleteDraft(ctx, path, "")
	})
	return group("draft", "Read, save or drop the working copy of a config", get, a.draftPut(), rm)
}

func (a *app) draftPut() *cobra.Command {
	var file, format string
	cmd := a.command("put PATH -f FILE", "Save a file as a config's draft, creating the config if need be", cobra.ExactArgs(1),
		func(ctx context.Context, c *client.Client, args []string) error {
			path, err := pathArg(args[0], config.LevelConfig)
			if err != nil {
				return err
			}
			content, err := a.readInput(file)
			if err != nil {
				return err
			}
			d, problems, err := saveDraft(ctx, c, client.SaveDraft{Path: path, Content: content, Format: format})
			if err != nil {
				return err
			}
			return a.saved(d, problems)
		})
	cmd.Flags().StringVarP(&file, "file", "f", "", "the `FILE` with the content; - for standard input")
	cmd.Flags().StringVar(&format, "format", "", "json, yaml, toml …; by the name's ending if not given")
	_ = cmd.MarkFlagRequired("file")
	return cmd
}

// saveDraft saves a draft and creates its config first if it is not there.
func saveDraft(ctx context.Context, c *client.Client, s client.SaveDraft) (client.Draft, []config.Problem, error) {
	d, problems, err := c.SaveDraft(ctx, s)
	if config.KindOf(err) != config.NotFound {
		return d, problems, err
	}
	if _, err := c.CreateConfig(ctx, config.Config{Path: s.Path, Format: s.Format}); err != nil && config.KindOf(err) != config.Exists {
		return d, nil, err
	}
	return c.SaveDraft(ctx, s)
}

// saved reports a draft and what is wrong with it.
func (a *app) saved(d client.Draft, problems []config.Problem) error {
	writeProblems(a.env.Stderr, problems)
	if err := a.done(d, "saved the draft of %s", d.Path); err != nil {
		return err
	}
	if hasErrors(problems) {
		return exitError(exitInvalid)
	}
	return nil
}

func (a *app) validate() *cobra.Command {
	var file, format string
	cmd := a.command("validate PATH -f FILE", "Check a file as if it were to be published; nothing is saved", cobra.ExactArgs(1),
		func(ctx context.Context, c *client.Client, args []string) error {
			path, err := pathArg(args[0], config.LevelConfig)
			if err != nil {
				return err
			}
			content, err := a.readInput(file)
			if err != nil {
				return err
			}
			problems, err := c.Validate(ctx, path, format, content)
			if err != nil {
				return err
			}
			return a.validated(file, problems)
		})
	cmd.Flags().StringVarP(&file, "file", "f", "", "the `FILE` to check; - for standard input")
	cmd.Flags().StringVar(&format, "format", "", "json, yaml, toml …; the config's if not given")
	_ = cmd.MarkFlagRequired("file")
	return cmd
}

func (a *app) validated(file string, problems []config.Problem) error {
	if a.flags.output == "json" || a.flags.output == "yaml" {
		if problems == nil {
			problems = []config.Problem{}
		}
		if err := a.encode(map[string]any{"problems": problems}); err != nil {
			return err
		}
	} else {
		writeProblems(a.env.Stderr, problems)
	}
	if hasErrors(problems) {
		return exitError(exitInvalid)
	}
	if a.flags.output == "table" && !a.flags.quiet {
		fmt.Fprintf(a.env.Stdout, "%s is valid\n", clean(file))
	}
	return nil
}
