// Package cli holds Setpoint's client commands. It reads and writes only what
// its Env names, so that a test, or a program with commands of its own, can run
// them in any surroundings. It speaks to servers through package client alone.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

// Env is the world that a command runs in.
type Env struct {
	Args    []string // without the program's name
	Environ []string // "KEY=value"; the last of a key counts
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	Version string // of this program
}

// System returns the process's own Env.
func System(version string) Env {
	return Env{
		Args: os.Args[1:], Environ: os.Environ(), Version: version,
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	}
}

// Getenv returns the value of an environment variable, "" if it is not set.
func (e Env) Getenv(key string) string {
	for i := len(e.Environ) - 1; i >= 0; i-- {
		if k, v, ok := strings.Cut(e.Environ[i], "="); ok && k == key {
			return v
		}
	}
	return ""
}

// app is what the commands share.
type app struct {
	env   Env
	flags globals
}

// globals are the flags that every client command takes.
type globals struct {
	endpoint  string
	context   string
	tokenFile string
	output    string
	noColor   bool
	quiet     bool
	timeout   time.Duration
}

const exitCodesHelp = `Exit codes: 0 success · 1 a difference, or a failure of another sort · 2 usage ·
3 not found · 4 denied or not logged in · 5 conflict · 6 invalid content ·
7 the server cannot be reached or has no time · 130 interrupted`

// Root returns the root command with every client command below it. Others can
// be added to it; Run runs it.
func Root(env Env) *cobra.Command {
	a := &app{env: env}
	root := &cobra.Command{
		Use:   "setpoint",
		Short: "Store, check, release and deliver configuration",
		Long: "Setpoint stores, checks, releases and delivers configuration files.\n\n" +
			"A path is TENANT/APP/ENV/CONFIG, as deep as is meant: acme/checkout/prod/application.yaml.\n\n" + exitCodesHelp,
		Version:           env.Version,
		SilenceUsage:      true,
		SilenceErrors:     true,
		PersistentPreRunE: func(*cobra.Command, []string) error { return a.flags.check() },
	}
	a.flags.register(root)
	root.SetArgs(append([]string{}, env.Args...))
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	const configs, releases, admin, session = "configs", "releases", "admin", "session"
	root.AddGroup(
		&cobra.Group{ID: configs, Title: "Configs:"}, &cobra.Group{ID: releases, Title: "Releases:"},
		&cobra.Group{ID: admin, Title: "Administration:"}, &cobra.Group{ID: session, Title: "Session:"},
	)
	a.add(root, configs, a.get(), a.ls(), a.edit(), a.draft(), a.validate(), a.importCommand(), a.export(), a.rm(), a.undelete())
	a.add(root, releases, a.publish(), a.diff(), a.history(), a.rollback(), a.promote(), a.rollout(), a.preview(), a.explain(), a.watch())
	a.add(root, admin, a.tenant(), a.appCommand(), a.envCommand(), a.user(), a.token(), a.role(), a.binding(), a.rights(), a.audit(), a.cluster(), a.instances(), a.backup())
	a.add(root, session, a.login(), a.logout(), a.whoami(), a.contextCommand(), a.version())
	return root
}

func (*app) add(root *cobra.Command, group string, commands ...*cobra.Command) {
	for _, c := range commands {
		c.GroupID = group
	}
	root.AddCommand(commands...)
}

func (g *globals) register(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringVar(&g.endpoint, "endpoint", "", "the server's `URL` ($SETPOINT_ENDPOINT)")
	f.StringVar(&g.context, "context", "", "the login to use, by `NAME` ($SETPOINT_CONTEXT)")
	f.StringVar(&g.tokenFile, "token-file", "", "read the API token from `FILE` ($SETPOINT_TOKEN holds one itself)")
	f.StringVarP(&g.output, "output", "o", "table", "output as `FORMAT`: table, json or yaml; get takes raw too")
	f.BoolVar(&g.noColor, "no-color", false, "no colours, even on a terminal ($NO_COLOR)")
	f.BoolVarP(&g.quiet, "quiet", "q", false, "no notes and no progress")
	f.DurationVar(&g.timeout, "timeout", 30*time.Second, "how long one request may take")
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "json", "yaml", "raw"}, cobra.ShellCompDirectiveNoFileComp))
}

func (g *globals) check() error {
	switch g.output {
	case "table", "json", "yaml", "raw":
		return nil
	default:
		return fmt.Errorf("-o %s: want table, json, yaml, or for get raw", g.output)
	}
}

// Run executes root and everything added to it, reports an error, and returns
// the exit code.
func Run(ctx context.Context, root *cobra.Command) int {
	markRun(root)
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil && ctx.Err() != nil {
		return exitInterrupted
	}
	return report(root.ErrOrStderr(), cmd, err)
}

// ranError tells an error of a command's own from one of its usage.
type ranError struct{ error }

func (e ranError) Unwrap() error { return e.error }

func markRun(c *cobra.Command) {
	if run := c.RunE; run != nil {
		c.RunE = func(cmd *cobra.Command, args []string) error {
			var usage usageError
			err := run(cmd, args)
			if err == nil || errors.As(err, &usage) {
				return err
			}
			return ranError{err}
		}
	}
	for _, child := range c.Commands() {
		markRun(child)
	}
}

// runFunc is what a command does with a server.
type runFunc func(ctx context.Context, c *client.Client, args []string) error

// command makes a command that speaks to the server.
func (a *app) command(use, short string, args cobra.PositionalArgs, run runFunc) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: args,
		ValidArgsFunction: a.completePaths,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			defer c.Close()
			return run(cmd.Context(), c, args)
		},
	}
}

// group makes a command that only holds others.
func group(use, short string, children ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	g.AddCommand(children...)
	return g
}

// note tells the user something that is not the result.
func (a *app) note(format string, args ...any) {
	if !a.flags.quiet {
		fmt.Fprintln(a.env.Stderr, clean(fmt.Sprintf(format, args...)))
	}
}

// warn is a note that even --quiet does not silence.
func (a *app) warn(format string, args ...any) {
	fmt.Fprintln(a.env.Stderr, clean("warning: "+fmt.Sprintf(format, args...)))
}

// terminal returns the file descriptor of a stream that is a terminal.
func terminal(stream any) (int, bool) {
	f, ok := stream.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	return int(f.Fd()), true
}

func (a *app) colors() bool {
	_, tty := terminal(a.env.Stdout)
	return tty && !a.flags.noColor && a.env.Getenv("NO_COLOR") == "" && a.env.Getenv("TERM") != "dumb"
}

// pathArg reads a path of the level.
func pathArg(arg string, level config.Level) (config.Path, error) {
	p, err := config.ParsePath(arg)
	if err != nil {
		return p, err
	}
	return p, p.Require(level)
}
