package agent

import (
	"cmp"
	"log/slog"
	"maps"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

const long = `Keep files on this machine in step with configs, so that any program can be a client.

Files that belong together are a group. When a config of theirs changes, all files of the group
are made anew, put in their places at once by renaming, and checked by the group's check command;
then its reload command tells the program. If a command fails, the files of before are put back,
byte for byte, and after a few attempts the server is told that the release was refused, and why.
The server is told as well what was applied: a rollout can wait for that.

A settings file says which files, templates and commands there are; for one group of plain files
flags do:

  setpoint agent --file acme/shop/prod/nginx.conf=/etc/nginx/conf.d/shop.conf \
    --check 'nginx -t' --reload 'nginx -s reload'

SIGHUP has the agent look at everything again, and try again what it refused; SIGTERM ends it.
The files stay.`

// flags are those of the command.
type flags struct {
	settings string
	once     bool
	dryRun   bool

	// Over what the settings file says.
	general Settings

	// Instead of a settings file.
	files []string
	group Group
	file  File
	mode  string
	texts struct{ checkNew, check, reload string }
	limit time.Duration
}

// shortForm are the flags that say what to keep without a settings file.
const shortForm = "file check-new check reload command-timeout reload-on-start mode owner group create-dirs"

func (e Env) command() *cobra.Command {
	f := &flags{}
	cmd := &cobra.Command{
		Use:   "agent {--config FILE | --file CONFIG=PLACE…}",
		Short: "Keep files on this machine in step with configs",
		Long:  long,
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return e.execute(cmd, f) },
	}
	f.register(cmd)
	return cmd
}

func (f *flags) register(cmd *cobra.Command) {
	set, g := cmd.Flags(), &f.general
	set.StringVar(&f.settings, "config", "", "read the settings from `FILE`")
	set.BoolVar(&f.once, "once", false, "bring the files in step, then end: for init containers")
	set.BoolVar(&f.dryRun, "dry-run", false, "show what would change, and change nothing; fails if something would")
	set.StringVar(&g.Instance, "instance", "", "the `NAME` of this instance (the host's)")
	set.StringToStringVar(&g.Labels, "label", nil, "a `KEY=VALUE` that rollouts choose by")
	set.StringVar(&g.Slot, "slot", "", "the blue-green `SLOT` to be served from")
	set.StringVar(&g.StateDir, "state-dir", "", "the agent's own `DIR`: its lock and its copy of the configs")
	set.StringVar(&g.StatusFile, "status-file", "", "say in `FILE`, in JSON, what is in force")
	set.StringVar(&g.Log.Level, "log-level", "", "log from `LEVEL`: debug, info, warn or error (info)")
	set.StringVar(&g.Log.Format, "log-format", "", "log as `FORMAT`: text or json (text)")

	set.StringArrayVar(&f.files, "file", nil, "keep a file: `CONFIG=PLACE`")
	set.StringVar(&f.texts.checkNew, "check-new", "", "run `COMMAND` before the files are swapped; $SETPOINT_NEW_1 is the first new one")
	set.StringVar(&f.texts.check, "check", "", "run `COMMAND` when they are swapped; if it fails they are put back")
	set.StringVar(&f.texts.reload, "reload", "", "run `COMMAND` when the check went well")
	set.DurationVar(&f.limit, "command-timeout", 0, "how long a command may take (30s)")
	set.BoolVar(&f.group.ReloadOnStart, "reload-on-start", false, "run the commands at the start, even if nothing changed")
	set.StringVar(&f.mode, "mode", "", "the files' permissions (0640)")
	set.StringVar(&f.file.Owner, "owner", "", "the files' owner, by `NAME` or number")
	set.StringVar(&f.file.Group, "group", "", "the files' group, by `NAME` or number")
	set.BoolVar(&f.file.CreateDirs, "create-dirs", false, "make the folders above the files")
	for name := range strings.FieldsSeq(shortForm) {
		cmd.MarkFlagsMutuallyExclusive("config", name)
	}
	cmd.MarkFlagsOneRequired("config", "file")
	cmd.MarkFlagsMutuallyExclusive("once", "dry-run")
}

func (e Env) execute(cmd *cobra.Command, f *flags) error {
	s, at, err := f.read()
	if err != nil {
		return err
	}
	base, err := at.base()
	if err != nil {
		return err
	}
	if err := f.override(s); err != nil {
		return err
	}
	s.defaults(base, e.Getenv)
	a := &agent{Env: e, settings: s}
	if a.plan, err = compile(s, at); err != nil {
		return err
	}
	a.log = newLog(cmd, s.Log)
	if a.options, err = e.connection(cmd, s); err != nil {
		return err
	}
	if a.options.TLS.Insecure {
		a.log.Warn("the server's certificate is not checked: anyone on the way can read and change everything")
	}
	a.options.Log = a.log
	if f.dryRun {
		return a.dryRun(cmd.Context(), cmd.OutOrStdout())
	}
	return a.run(cmd.Context(), f.once)
}

// read returns the settings of the file, or of the flags that stand for one.
func (f *flags) read() (*Settings, *locator, error) {
	if f.settings != "" {
		return readSettings(f.settings)
	}
	g := f.group
	g.CheckNew, g.Check, g.Reload = Command{Shell: f.texts.checkNew}, Command{Shell: f.texts.check}, Command{Shell: f.texts.reload}
	g.Timeout = Duration(f.limit)
	if f.limit < 0 {
		return nil, nil, config.Errorf(config.Invalid, "agent", "", "--command-timeout %s: a command needs some time", f.limit)
	}
	file := f.file
	if f.mode != "" {
		var err error
		if file.Mode, err = parseMode(f.mode); err != nil {
			return nil, nil, config.Errorf(config.Invalid, "agent", "", "--mode: %w", err)
		}
	}
	for _, text := range f.files {
		var ok bool
		if file.Config, file.To, ok = strings.Cut(text, "="); !ok || file.To == "" {
			return nil, nil, config.Errorf(config.Invalid, "agent", "", "--file %s: want CONFIG=PLACE, acme/shop/prod/app.conf=/etc/app.conf", text)
		}
		g.Files = append(g.Files, file)
	}
	return &Settings{Groups: []Group{g}}, &locator{}, nil
}

// override puts the flags over the settings.
func (f *flags) override(s *Settings) error {
	g := f.general
	s.Instance, s.Slot = cmp.Or(g.Instance, s.Instance), cmp.Or(g.Slot, s.Slot)
	s.Log.Level, s.Log.Format = cmp.Or(g.Log.Level, s.Log.Level), cmp.Or(g.Log.Format, s.Log.Format)
	if s.Labels == nil {
		s.Labels = map[string]string{}
	}
	maps.Copy(s.Labels, g.Labels)
	// Names on the command line start from where it is typed.
	for _, name := range []struct {
		given string
		to    *string
	}{{g.StateDir, &s.StateDir}, {g.StatusFile, &s.StatusFile}} {
		if name.given == "" {
			continue
		}
		full, err := filepath.Abs(name.given)
		if err != nil {
			return err
		}
		*name.to = full
	}
	return nil
}

func newLog(cmd *cobra.Command, s LogSettings) *slog.Logger {
	var level slog.LevelVar
	_ = level.UnmarshalText([]byte(s.Level)) // was checked
	o := &slog.HandlerOptions{Level: &level}
	if s.Format == "json" {
		return slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), o))
	}
	return slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), o))
}

// connection says how to reach the servers, and as whom. A server that a flag or
// a variable names goes before those of the settings, whose credentials are for
// their own servers and then not used.
func (e Env) connection(cmd *cobra.Command, s *Settings) (o client.Options, err error) {
	named := cmd.Flags().Changed("endpoint") || cmd.Flags().Changed("context") || e.Getenv("SETPOINT_ENDPOINT") != ""
	switch {
	case len(s.Endpoints) > 0 && !named:
		o.Endpoints = s.Endpoints
		o.Token = config.NewSecret(e.Getenv(tokenVariable))
		if o.Timeout, err = cmd.Flags().GetDuration("timeout"); err != nil {
			return o, err
		}
		err = e.overlay(&o, cmd, s)
	default:
		if o, err = e.Connect(cmd); err == nil && len(s.Endpoints) == 0 {
			err = e.overlay(&o, cmd, s)
		}
	}
	o.UserAgent = "setpoint-agent/" + e.Version
	o.Instance = config.Client{ID: s.Instance, Labels: s.Labels, Slot: s.Slot}
	return o, err
}

// overlay puts the settings' credentials and trust where no flag or variable
// says other.
func (e Env) overlay(o *client.Options, cmd *cobra.Command, s *Settings) error {
	tokenFile, err := cmd.Flags().GetString("token-file")
	if err != nil {
		return err
	}
	if tokenFile == "" && e.Getenv(tokenVariable) == "" {
		tokenFile = s.TokenFile
	}
	if tokenFile != "" {
		if o.Token, err = readSecret(tokenFile); err != nil {
			return err
		}
	}
	ca, pin := e.Getenv("SETPOINT_CA_FILE"), e.Getenv("SETPOINT_FINGERPRINT")
	switch {
	case ca != "" || pin != "":
		o.TLS = client.TLS{CAFile: ca, Fingerprint: pin}
	case s.CAFile != "" || s.Fingerprint != "" || s.Insecure:
		o.TLS = client.TLS{CAFile: s.CAFile, Fingerprint: s.Fingerprint, Insecure: s.Insecure}
	}
	return nil
}

// readSecret reads a token or a key from its file.
func readSecret(name string) (config.Secret, error) {
	text, err := readBounded(name)
	if err != nil {
		return config.Secret{}, config.Errorf(config.Invalid, "agent", name, "%w", err)
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" {
		return config.Secret{}, config.Errorf(config.Invalid, "agent", name, "the file is empty; it should hold a secret")
	}
	return config.NewSecret(secret), nil
}
