// Package node holds the commands that run a node or look after its settings:
// serve, dev and settings. The client commands are package cli's.
package node

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/server"
)

// Env is what the commands work with.
type Env struct {
	// Drivers are what a node can be made of.
	Drivers *server.Drivers
	// Environ is the environment, as from os.Environ.
	Environ []string
	// Program is how to call this program, for lines to copy.
	Program string
	Version string
	// Now is the clock of a node; nil is the machine's.
	Now func() time.Time
}

// Commands returns the commands, for a root to add.
func Commands(e Env) []*cobra.Command {
	return []*cobra.Command{e.dev(), e.serve(), e.settings()}
}

// Program makes of the process's own name what a person can type again.
func Program(arg0 string) string {
	if strings.Contains(filepath.ToSlash(arg0), "/go-build") { // made by go run
		return "go run ./cmd/setpoint"
	}
	return arg0
}

// flags are those that serve and dev share: the settings that people change
// most, and what is no setting.
type flags struct {
	config     string
	resetAdmin bool
	settings   []settingFlag
}

// settingFlag is a flag that sets the setting of a key.
type settingFlag struct {
	name, key string
	value     *string
}

func (f *flags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.config, "config", "", "read settings from `FILE` ($SETPOINT_CONFIG)")
	cmd.Flags().BoolVar(&f.resetAdmin, "reset-admin", false, "give the user admin a new password, and end its sessions")
	f.add(cmd, "data-dir", "data_dir", "keep everything in `DIR`")
	f.add(cmd, "http-addr", "http.addr", "listen at `HOST:PORT`")
	f.add(cmd, "admin-addr", "admin.addr", "serve metrics and profiles at `HOST:PORT`")
	f.add(cmd, "log-level", "log.level", "log from `LEVEL` on: debug, info, warn or error")
	f.add(cmd, "log-format", "log.format", "log as `FORMAT`: text or json")
}

// add registers a flag for one setting.
func (f *flags) add(cmd *cobra.Command, name, key, usage string) {
	f.settings = append(f.settings, settingFlag{name, key, cmd.Flags().String(name, "", usage)})
}

// sources says where settings come from, flags last.
func (f *flags) sources(e Env, cmd *cobra.Command) server.Sources {
	s := server.Sources{File: e.file(f.config), Environ: e.Environ}
	for _, flag := range f.settings {
		if cmd.Flags().Changed(flag.name) {
			s.Flags = append(s.Flags, server.Flag{Name: "--" + flag.name, Key: flag.key, Value: *flag.value})
		}
	}
	return s
}

// file is the settings file: the one given, or the environment's.
func (e Env) file(given string) string {
	for _, kv := range e.Environ {
		if value, ok := strings.CutPrefix(kv, "SETPOINT_CONFIG="); ok && given == "" {
			given = value
		}
	}
	return given
}

// run runs a node that logs to standard error.
func (e Env) run(ctx context.Context, cmd *cobra.Command, s *server.Settings, o server.Options) error {
	o.Version, o.Now = e.Version, e.Now
	o.Log = server.NewLog(cmd.ErrOrStderr(), s.Log)
	return server.Run(ctx, s, o)
}

// loginLine is the command that logs in to a node.
func (e Env) loginLine(n server.Started) string {
	line := e.Program + " login " + n.URL
	switch {
	case n.CAFile != "":
		line += " --ca-file " + n.CAFile
	case n.SelfSigned:
		line += " --fingerprint " + n.Fingerprint
	}
	return line + " -u admin"
}

// box frames lines so that they are not overlooked between others.
func box(w io.Writer, lines ...string) {
	width := 0
	for _, l := range lines {
		width = max(width, len([]rune(l)))
	}
	bar := strings.Repeat("─", width+2)
	fmt.Fprintf(w, "┌%s┐\n", bar)
	for _, l := range lines {
		fmt.Fprintf(w, "│ %s%s │\n", l, strings.Repeat(" ", width-len([]rune(l))))
	}
	fmt.Fprintf(w, "└%s┘\n", bar)
}

// passwordBox shows a new password of the user admin, the only time.
func passwordBox(w io.Writer, password config.Secret) {
	box(w,
		"The user admin has a new password. It is shown this once:",
		"",
		"    "+password.Reveal(),
		"",
		"Log in with it, and change it: setpoint user passwd",
	)
}

// since writes a duration for a person.
func since(begun time.Time) string { return time.Since(begun).Round(10 * time.Millisecond).String() }
