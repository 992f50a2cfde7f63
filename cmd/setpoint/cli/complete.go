package cli

import (
	"context"
	"iter"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

// A shell waits for its completions: better none than late ones.
const (
	completionTimeout = 2 * time.Second
	completionMost    = 500
)

// forCompletion connects, quietly and for as long as a shell waits. done gives
// everything back.
func (a *app) forCompletion(cmd *cobra.Command) (ctx context.Context, c *client.Client, done func(), err error) {
	a.flags.quiet = true
	if c, err = a.connect(); err != nil {
		return nil, nil, nil, err
	}
	if ctx = cmd.Context(); ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completionTimeout)
	return ctx, c, func() { cancel(); c.Close() }, nil
}

// completePaths offers the children of the path typed so far.
func (a *app) completePaths(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	parentText := typed[:strings.LastIndexByte(typed, '/')+1]
	parent, err := config.ParsePath(parentText)
	if err != nil || parent.Level() == config.LevelConfig {
		return nil, cobra.ShellCompDirectiveDefault // not a path here: perhaps a file
	}
	ctx, c, done, err := a.forCompletion(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveDefault
	}
	defer done()
	var found []string
	for name, err := range children(ctx, c, parent) {
		if err != nil || len(found) == completionMost {
			break
		}
		if strings.HasPrefix(parentText+name, typed) {
			found = append(found, parentText+name)
		}
	}
	if len(found) == 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	if parent.Level() == config.LevelEnv {
		return found, cobra.ShellCompDirectiveNoFileComp
	}
	for i := range found {
		found[i] += "/"
	}
	return found, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// completeFirst is completePaths for commands whose other arguments are files.
func (a *app) completeFirst(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return a.completePaths(cmd, args, typed)
}

// children lists the names one level below a path.
func children(ctx context.Context, c *client.Client, parent config.Path) iter.Seq2[string, error] {
	switch parent.Level() {
	case config.LevelRoot:
		return names(c.Tenants(ctx), func(t config.Tenant) string { return t.Name })
	case config.LevelTenant:
		return names(c.Apps(ctx, parent.Tenant), func(v config.App) string { return v.Name })
	case config.LevelApp:
		return names(c.Envs(ctx, parent), func(e config.Env) string { return e.Name })
	default:
		return names(c.Configs(ctx, parent, client.ConfigFilter{}), func(s config.State) string { return s.Path.Name })
	}
}

func names[T any](seq iter.Seq2[T, error], name func(T) string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for item, err := range seq {
			text := ""
			if err == nil {
				text = name(item)
			}
			if !yield(text, err) {
				return
			}
		}
	}
}
