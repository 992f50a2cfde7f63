package agent

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// Settings are all options of an agent, as its settings file has them.
type Settings struct {
	// Where the configs come from. Without Endpoints, the server is found as the
	// other client commands find it.
	Endpoints   []string `yaml:"endpoints"`
	TokenFile   string   `yaml:"token_file"`
	CAFile      string   `yaml:"ca_file"`
	Fingerprint string   `yaml:"fingerprint"`
	Insecure    bool     `yaml:"insecure"`

	// Who this is: rollouts choose by it. Instance is the host's name if empty.
	Instance string            `yaml:"instance"`
	Labels   map[string]string `yaml:"labels"`
	Slot     string            `yaml:"slot"`

	// StartWithin is how long to wait for the servers before starting from what
	// is known from before.
	StartWithin Duration `yaml:"start_within"`

	// StateDir is the agent's own directory: its lock, its copy of the configs,
	// and the journal of a swap under way.
	StateDir string `yaml:"state_dir"`
	// CacheKeyFile, if any, holds the key that seals the copy of the configs: 32
	// random bytes in hex or base64.
	CacheKeyFile string `yaml:"cache_key_file"`
	// StatusFile, if any, says in JSON what is in force.
	StatusFile string      `yaml:"status_file"`
	Log        LogSettings `yaml:"log"`
	Retry      Retry       `yaml:"retry"`
	Groups     []Group     `yaml:"groups"`
}

// LogSettings say what is logged, to standard error.
type LogSettings struct {
	Level  string `yaml:"level"`  // debug, info, warn or error
	Format string `yaml:"format"` // text or json
}

// Retry says how often a failed apply is tried: its commands may have failed for
// a reason that passes.
type Retry struct {
	Attempts int      `yaml:"attempts"` // in all, the first included
	First    Duration `yaml:"first"`    // about how long to wait before the second
	Most     Duration `yaml:"most"`     // the waits double up to this
}

// Group is files that belong together: all are changed, or none.
type Group struct {
	Name     string   `yaml:"name"` // the first file's place if empty
	Files    []File   `yaml:"files"`
	CheckNew Command  `yaml:"check_new"` // runs before the files are swapped
	Check    Command  `yaml:"check"`     // runs after that
	Reload   Command  `yaml:"reload"`    // runs when the check went well
	Timeout  Duration `yaml:"timeout"`   // of each command
	PassEnv  []string `yaml:"pass_env"`  // more variables of the agent's for the commands
	// ReloadOnStart runs the commands when the agent starts, even if the files
	// are as they should be.
	ReloadOnStart bool `yaml:"reload_on_start"`
}

// File is one file to keep. Exactly one of Config, Template and TemplateFile says
// what it holds.
type File struct {
	Config       string   `yaml:"config"`        // the path of a config: its bytes as they are
	Template     string   `yaml:"template"`      // a text/template over any number of configs
	TemplateFile string   `yaml:"template_file"` // the file that holds the template
	Uses         []string `yaml:"uses"`          // patterns of configs that the template names at run time only
	To           string   `yaml:"to"`            // the file's place
	Mode         Mode     `yaml:"mode"`
	Owner        string   `yaml:"owner"` // name or number; the agent's own if empty
	Group        string   `yaml:"group"` // likewise
	CreateDirs   bool     `yaml:"create_dirs"`
	// RemoveWhenDeleted removes the file when its config is no longer served.
	RemoveWhenDeleted bool `yaml:"remove_when_deleted"`
}

const (
	defaultMode    = 0o640
	defaultTimeout = 30 * time.Second
)

// defaults fills every field that has a default. base is the directory that
// relative names start from: that of the settings file.
func (s *Settings) defaults(base string, getenv func(string) string) {
	host, err := os.Hostname()
	if err == nil {
		s.Instance = cmp.Or(s.Instance, host)
	}
	s.StartWithin = cmp.Or(s.StartWithin, Duration(5*time.Second))
	s.StateDir = absolute(base, cmp.Or(s.StateDir, defaultStateDir(getenv)))
	s.StatusFile = absolute(base, s.StatusFile)
	for _, name := range []*string{&s.TokenFile, &s.CAFile, &s.CacheKeyFile} {
		*name = absolute(base, *name)
	}
	s.Log = LogSettings{Level: cmp.Or(s.Log.Level, "info"), Format: cmp.Or(s.Log.Format, "text")}
	s.Retry = Retry{
		Attempts: cmp.Or(s.Retry.Attempts, 3),
		First:    cmp.Or(s.Retry.First, Duration(time.Second)),
		Most:     cmp.Or(s.Retry.Most, Duration(30*time.Second)),
	}
	for i := range s.Groups {
		g := &s.Groups[i]
		g.Timeout = cmp.Or(g.Timeout, Duration(defaultTimeout))
		for j := range g.Files {
			f := &g.Files[j]
			f.To, f.TemplateFile = absolute(base, f.To), absolute(base, f.TemplateFile)
			f.Mode = cmp.Or(f.Mode, defaultMode)
		}
		if len(g.Files) > 0 {
			g.Name = cmp.Or(g.Name, g.Files[0].To)
		}
	}
}

// defaultStateDir is the system's place for root, else one of the user's own.
func defaultStateDir(getenv func(string) string) string {
	const name = "setpoint-agent"
	if os.Geteuid() == 0 {
		return filepath.Join("/var/lib", name)
	}
	if dir := getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, name)
	}
	if home := getenv("HOME"); home != "" {
		return filepath.Join(home, ".local", "state", name)
	}
	return ""
}

func absolute(base, name string) string {
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(base, name)
}

// Command is a program with arguments, or a line for the shell.
type Command struct {
	Shell string
	Args  []string
}

func (c Command) empty() bool { return c.Shell == "" && len(c.Args) == 0 }

// String is the command as a person reads it; of a script the first line.
func (c Command) String() string {
	if c.Shell != "" {
		first, _, more := strings.Cut(strings.TrimSpace(c.Shell), "\n")
		if more {
			first += " …"
		}
		return first
	}
	return strings.Join(c.Args, " ")
}

// UnmarshalYAML reads a text as a line for the shell, and a list as it is.
func (c *Command) UnmarshalYAML(node *yaml.Node) error {
	switch node.Kind {
	case yaml.ScalarNode:
		if strings.TrimSpace(node.Value) == "" || node.Tag == "!!null" {
			return fmt.Errorf("the command is empty; leave the key out for none")
		}
		c.Shell = node.Value
	case yaml.SequenceNode:
		if err := node.Load(&c.Args); err != nil {
			return err
		}
		if len(c.Args) == 0 || c.Args[0] == "" {
			return fmt.Errorf("the command is empty; leave the key out for none")
		}
	default:
		return fmt.Errorf("a command is a line for the shell, or a list of a program and its arguments")
	}
	return nil
}

// Mode is a file's permissions.
type Mode os.FileMode

// parseMode reads permissions as people write them: 0640, 640 or 0o640.
func parseMode(text string) (Mode, error) {
	digits := strings.TrimPrefix(text, "0o")
	n, err := strconv.ParseUint(digits, 8, 32)
	switch {
	case err != nil:
		return 0, fmt.Errorf("mode %q: write permissions in octal: 0640", text)
	case n&^0o777 != 0:
		return 0, fmt.Errorf("mode %q: only permissions can be set, 0001 to 0777", text)
	case n == 0:
		return 0, fmt.Errorf("mode %q: nobody could read the file", text)
	}
	return Mode(n), nil
}

// UnmarshalYAML takes the digits as they stand: YAML's versions do not agree on
// what 0640 is.
func (m *Mode) UnmarshalYAML(node *yaml.Node) (err error) {
	*m, err = parseMode(node.Value)
	return err
}

// Duration is a length of time that explains itself when it cannot be read.
type Duration time.Duration

// UnmarshalYAML reads 500ms, 30s, 5m.
func (d *Duration) UnmarshalYAML(node *yaml.Node) error {
	v, err := time.ParseDuration(node.Value)
	if err != nil || node.Kind != yaml.ScalarNode {
		return fmt.Errorf("%q is not a duration; write a number with a unit: 500ms, 30s, 5m", node.Value)
	}
	if v <= 0 {
		return fmt.Errorf("%s: a duration here must be more than nothing", node.Value)
	}
	*d = Duration(v)
	return nil
}
