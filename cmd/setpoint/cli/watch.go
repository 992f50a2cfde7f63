package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

type watchFlags struct {
	exec        string
	changesOnly bool
	content     bool
	count       int
}

func (a *app) watch() *cobra.Command {
	var f watchFlags
	cmd := a.command("watch PATTERN…", "Follow what is released, as it changes", cobra.MinimumNArgs(1),
		func(ctx context.Context, c *client.Client, args []string) error {
			return a.runWatch(ctx, c, args, f)
		})
	cmd.Long = "Follow what is released: first what is served now, then every change.\n\n" +
		"A PATTERN is a config, an env, or a shape such as 'acme/checkout/prod/app-*' or 'acme/*/prod'.\n" +
		"It reconnects by itself and misses no final state. With -o json each change is a line of JSON.\n\n" +
		"--exec runs a command for every change, one after the other, with the content on its standard\n" +
		"input and SETPOINT_PATH, SETPOINT_VERSION, SETPOINT_FORMAT, SETPOINT_DIGEST and\n" +
		"SETPOINT_DELETED (true or false) in its environment."
	cmd.Flags().StringVar(&f.exec, "exec", "", "run `COMMAND` for each change")
	cmd.Flags().BoolVar(&f.changesOnly, "changes-only", false, "leave out what is served already when it starts")
	cmd.Flags().BoolVar(&f.content, "content", false, "with -o json, print the contents too")
	cmd.Flags().IntVar(&f.count, "count", 0, "end after `N` changes; 0 for never")
	return cmd
}

func (a *app) runWatch(ctx context.Context, c *client.Client, patterns []string, f watchFlags) error {
	request := client.WatchRequest{
		Patterns:  patterns,
		NoContent: f.exec == "" && !f.content,
		OnRetry: func(err error, wait time.Duration) {
			a.note("disconnected (%v); again in %s", err, wait.Round(time.Millisecond))
		},
		OnStale: func(stale time.Duration) {
			if stale == 0 {
				a.note("the node is in touch with the others again")
				return
			}
			a.warn("the node has been cut off from the others for %s; changes may be missing", stale.Round(time.Second))
		},
	}
	for _, pattern := range patterns {
		if _, err := config.ParsePattern(pattern); err != nil {
			return err
		}
	}
	state := &follower{versions: map[config.Path]int64{}}
	left, current := f.count, false
	for event, err := range c.Watch(ctx, request) {
		if err != nil {
			return err
		}
		for _, change := range state.news(event) {
			if !current && f.changesOnly {
				continue
			}
			if err := a.onChange(ctx, change, f); err != nil {
				return err
			}
			if left--; left == 0 {
				return nil
			}
		}
		if event.Current && !current {
			current = true
			a.note("up to date; waiting for changes")
		}
	}
	return nil
}

// follower knows what was shown, so that a resync repeats nothing and misses
// no deletion.
type follower struct {
	versions map[config.Path]int64
	stale    map[config.Path]bool // known before a reset, and not seen since
}

// news returns the changes of an event that tell something new.
func (f *follower) news(event client.Event) []client.Change {
	if event.Reset {
		f.stale = map[config.Path]bool{}
		for path := range f.versions {
			f.stale[path] = true
		}
	}
	var fresh []client.Change
	for _, change := range event.Changes {
		delete(f.stale, change.Path)
		if f.learn(change) {
			fresh = append(fresh, change)
		}
	}
	if event.Current {
		gone := slices.SortedFunc(maps.Keys(f.stale), func(p, q config.Path) int { return strings.Compare(p.String(), q.String()) })
		for _, path := range gone {
			change := client.Change{Path: path, Deleted: true}
			f.learn(change)
			fresh = append(fresh, change)
		}
		f.stale = nil
	}
	return fresh
}

// learn takes a change in and reports whether it was new.
func (f *follower) learn(change client.Change) bool {
	version, known := f.versions[change.Path]
	if change.Deleted {
		delete(f.versions, change.Path)
		return known
	}
	f.versions[change.Path] = change.Version
	return !known || version != change.Version
}

func (a *app) onChange(ctx context.Context, change client.Change, f watchFlags) error {
	if err := a.printChange(change, f); err != nil || f.exec == "" {
		return err
	}
	cmd := a.shell(ctx, f.exec)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(change.Content), a.env.Stdout, a.env.Stderr
	cmd.Env = append(cmd.Env[:len(cmd.Env):len(cmd.Env)],
		"SETPOINT_PATH="+change.Path.String(), "SETPOINT_VERSION="+strconv.FormatInt(change.Version, 10),
		"SETPOINT_FORMAT="+change.Format, "SETPOINT_DIGEST="+change.Digest, "SETPOINT_DELETED="+strconv.FormatBool(change.Deleted))
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return err
		}
		a.warn("%s: command: %v", change.Path, err) // the next change may fare better
	}
	return nil
}

func (a *app) printChange(change client.Change, f watchFlags) error {
	switch a.flags.output {
	case "json", "yaml":
		if !f.content {
			change.Content = nil
		}
		if a.flags.output == "yaml" {
			fmt.Fprintln(a.env.Stdout, "---")
			return a.encode(change)
		}
		return json.NewEncoder(a.env.Stdout).Encode(change)
	default:
		what := fmt.Sprintf("version %d", change.Version)
		if change.Deleted {
			what = "deleted"
		}
		_, err := fmt.Fprintf(a.env.Stdout, "%s  %s  %s\n", when(orNow(change.Time)), change.Path, what)
		return err
	}
}

func orNow(t time.Time) time.Time {
	if t.IsZero() {
		return time.Now()
	}
	return t
}
