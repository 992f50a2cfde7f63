package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

func (a *app) edit() *cobra.Command {
	var publish bool
	var comment string
	cmd := a.command("edit PATH", "Edit a config's draft in $VISUAL or $EDITOR", cobra.ExactArgs(1),
		func(ctx context.Context, c *client.Client, args []string) error {
			p, err := pathArg(args[0], config.LevelConfig)
			if err != nil {
				return err
			}
			e := &editing{app: a, c: c, path: p}
			draft, err := e.run(ctx)
			if err != nil {
				return err
			}
			if !publish {
				return a.done(draft, "saved the draft of %s; 'setpoint publish %s' releases it", p, p)
			}
			item := client.PublishItem{Path: p, FromDraft: true, DraftRevision: draft.Revision}
			return a.publishItems(ctx, c, client.Publish{Items: []client.PublishItem{item}, Comment: comment})
		})
	cmd.Flags().BoolVar(&publish, "publish", false, "release the draft when it is valid")
	cmd.Flags().StringVarP(&comment, "message", "m", "", "why, with --publish")
	return cmd
}

// editing is one edit from opening the editor to a saved draft.
type editing struct {
	app  *app
	c    *client.Client
	path config.Path

	base  client.Draft // what the editor began with
	named string       // the name that the editor sees, for its colours
}

// run returns the saved draft. A draft that was there stays as it is if nothing
// is changed; without one, an unchanged edit ends the command.
func (e *editing) run(ctx context.Context) (client.Draft, error) {
	if err := e.load(ctx); err != nil {
		return client.Draft{}, err
	}
	dir, err := os.MkdirTemp("", "setpoint-")
	if err != nil {
		return client.Draft{}, err
	}
	file := filepath.Join(dir, path.Base(e.named))
	if err := os.WriteFile(file, e.base.Content, 0o600); err != nil {
		return client.Draft{}, err
	}
	draft, err := e.rounds(ctx, file)
	var said exitError
	if err != nil && !errors.As(err, &said) && fileDiffers(file, e.base.Content) {
		e.app.note("your text is kept in %s", file)
		return draft, err
	}
	return draft, errors.Join(err, os.RemoveAll(dir))
}

// load finds what to begin with: the draft, else what is released, else nothing.
func (e *editing) load(ctx context.Context) error {
	e.named = e.path.Name
	state, err := e.c.Config(ctx, e.path)
	if err != nil {
		if config.KindOf(err) == config.NotFound {
			return nil // it is created when it is saved
		}
		return err
	}
	e.named = state.FileName()
	if state.HasDraft {
		e.base, err = e.c.Draft(ctx, e.path)
		return err
	}
	if state.Rollout.Stable == nil {
		return nil
	}
	release, err := e.c.Release(ctx, e.path, state.Rollout.Stable.Version)
	e.base.Content = release.Content
	return err
}

// rounds runs the editor until what it leaves is valid or the user gives up.
func (e *editing) rounds(ctx context.Context, file string) (client.Draft, error) {
	seen, valid := e.base, true
	for {
		if err := e.app.runEditor(ctx, file); err != nil {
			return client.Draft{}, err
		}
		content, err := os.ReadFile(file)
		if err != nil {
			return client.Draft{}, err
		}
		if bytes.Equal(content, seen.Content) {
			return seen, e.unchanged(seen, valid)
		}
		draft, problems, err := saveDraft(ctx, e.c, client.SaveDraft{Path: e.path, Content: content, Expected: &seen.Revision})
		if err != nil && config.KindOf(err) == config.Conflict {
			return draft, fmt.Errorf("somebody else saved this draft meanwhile: %w", err)
		}
		if err != nil {
			return draft, err
		}
		draft.Content = content
		seen = draft
		writeProblems(e.app.env.Stderr, problems)
		if valid = !hasErrors(problems); valid {
			return draft, nil
		}
		if again, err := e.again(ctx); err != nil || !again {
			return draft, err
		}
	}
}

// unchanged ends an edit whose last round changed nothing.
func (e *editing) unchanged(seen client.Draft, valid bool) error {
	switch {
	case !valid:
		return exitError(exitInvalid)
	case seen.Revision == "":
		e.app.note("nothing was changed")
		return exitError(exitOK)
	default:
		return nil
	}
}

// again asks whether to mend a draft that cannot be released as it is.
func (e *editing) again(ctx context.Context) (bool, error) {
	if e.app.interactive() {
		yes, err := e.app.confirm(ctx, "The draft is saved, but cannot be released like this. Edit again?", true)
		if err != nil || yes {
			return yes, err
		}
	} else {
		e.app.note("the draft is saved, but cannot be released like this")
	}
	return false, exitError(exitInvalid)
}

func (a *app) runEditor(ctx context.Context, file string) error {
	editor := a.env.Getenv("VISUAL")
	if editor == "" {
		editor = a.env.Getenv("EDITOR")
	}
	if editor == "" && runtime.GOOS == "windows" {
		editor = "notepad"
	}
	if editor == "" {
		editor = "vi"
	}
	// The variables hold a command line, "code --wait", so a shell reads it.
	cmd := a.shell(ctx, editor, file)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.env.Stdin, a.env.Stdout, a.env.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("editor %q: %w", editor, err)
	}
	return nil
}

// shell makes a command line of the user's own to run, with files after it.
func (a *app) shell(ctx context.Context, line string, files ...string) *exec.Cmd {
	name, args := "sh", []string{"-c", line, "sh"}
	if runtime.GOOS == "windows" {
		name, args = "cmd", append([]string{"/C", line}, files...)
	} else if len(files) > 0 {
		args = append([]string{"-c", line + ` "$@"`, "sh"}, files...)
	}
	cmd := exec.CommandContext(ctx, name, args...) //nolint:gosec // the user's own command
	cmd.Env = a.env.Environ
	return cmd
}

func fileDiffers(name string, content []byte) bool {
	now, err := os.ReadFile(name)
	return err == nil && !bytes.Equal(now, content)
}
