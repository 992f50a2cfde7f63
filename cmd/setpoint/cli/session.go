package cli

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

// savedContext is one login, as it is kept between commands.
type savedContext struct {
	Endpoint    string    `yaml:"endpoint" json:"endpoint"`
	User        string    `yaml:"user,omitempty" json:"user,omitempty"`
	Token       string    `yaml:"token,omitempty" json:"-"`
	ExpiresAt   time.Time `yaml:"expires_at,omitempty" json:"expires_at,omitzero"`
	Fingerprint string    `yaml:"fingerprint,omitempty" json:"fingerprint,omitempty"`
	CAFile      string    `yaml:"ca_file,omitempty" json:"ca_file,omitempty"`
	Insecure    bool      `yaml:"insecure,omitempty" json:"insecure,omitempty"`
}

func (s savedContext) tls() client.TLS {
	return client.TLS{CAFile: s.CAFile, Fingerprint: s.Fingerprint, Insecure: s.Insecure}
}

// contexts is the file of logins.
type contexts struct {
	Current  string                  `yaml:"current"`
	Contexts map[string]savedContext `yaml:"contexts"`
}

// contextsFile returns where logins are kept.
func (a *app) contextsFile() (string, error) {
	dir := a.env.Getenv("XDG_CONFIG_HOME")
	if dir == "" && runtime.GOOS == "windows" {
		dir = a.env.Getenv("AppData")
	}
	if home := a.env.Getenv("HOME"); dir == "" && home != "" {
		dir = filepath.Join(home, ".config")
	}
	if dir == "" {
		return "", errors.New("no place to keep logins: set XDG_CONFIG_HOME or HOME")
	}
	return filepath.Join(dir, "setpoint", "contexts.yaml"), nil
}

func (a *app) loadContexts() (contexts, error) {
	all := contexts{Contexts: map[string]savedContext{}}
	name, err := a.contextsFile()
	if err != nil {
		return all, nil //nolint:nilerr // without a place there are no logins; only saving one must fail
	}
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return all, err
	}
	if info, err := os.Stat(name); err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		a.warn("%s can be read by others and holds tokens; run: chmod 600 %s", name, name)
	}
	if err := yaml.UnmarshalWithOptions(text, &all, yaml.Strict()); err != nil {
		return all, config.Errorf(config.Invalid, "", "", "%s: %w", name, err)
	}
	if all.Contexts == nil {
		all.Contexts = map[string]savedContext{}
	}
	return all, nil
}

// saveContexts replaces the file in one step; only its owner may read it.
func (a *app) saveContexts(all contexts) error {
	name, err := a.contextsFile()
	if err != nil {
		return err
	}
	text, err := yaml.Marshal(all)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	return replaceFile(name, text)
}

// replaceFile writes a file that only its owner may read, in one step.
func replaceFile(name string, content []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(name), ".setpoint-*")
	if err != nil {
		return err
	}
	defer discard(tmp.Name())
	if _, err := tmp.Write(content); err != nil {
		tmp.Close()
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), name)
}

// discard removes a temporary file, if it is still there.
func discard(name string) { _ = os.Remove(name) }

// contextName returns which login is asked for; "" if none is.
func (a *app) contextName(all contexts) string {
	for _, name := range []string{a.flags.context, a.env.Getenv("SETPOINT_CONTEXT")} {
		if name != "" {
			return name
		}
	}
	return all.Current
}

// explicitEndpoint is the one that a flag or the environment names.
func (a *app) explicitEndpoint() string {
	if a.flags.endpoint != "" {
		return a.flags.endpoint
	}
	return a.env.Getenv("SETPOINT_ENDPOINT")
}

// target finds the server to speak to, and what is kept for it. What was kept
// for another server is never used: its token must not go elsewhere.
func (a *app) target() (savedContext, error) {
	all, err := a.loadContexts()
	if err != nil {
		return savedContext{}, err
	}
	name := a.contextName(all)
	saved, known := all.Contexts[name]
	explicit := a.explicitEndpoint()
	switch {
	case explicit == "" && !known && name != "":
		return savedContext{}, usagef("no context %q; there are: %s", name, dash(strings.Join(slices.Sorted(maps.Keys(all.Contexts)), ", ")))
	case explicit == "" && !known:
		return savedContext{}, usagef("no server to speak to: log in with 'setpoint login URL', or set SETPOINT_ENDPOINT")
	case explicit != "":
		saved = all.forEndpoint(explicit, name)
	}
	return a.override(saved)
}

// forEndpoint returns the login kept for a server, the named one if it fits.
func (all contexts) forEndpoint(endpoint, name string) savedContext {
	same := func(s savedContext) bool { return normalEndpoint(s.Endpoint) == normalEndpoint(endpoint) }
	if saved, ok := all.Contexts[name]; ok && same(saved) {
		return saved
	}
	for _, other := range slices.Sorted(maps.Keys(all.Contexts)) {
		if saved := all.Contexts[other]; same(saved) {
			return saved
		}
	}
	return savedContext{Endpoint: endpoint}
}

func normalEndpoint(s string) string {
	u, err := client.ParseEndpoint(s)
	if err != nil {
		return s
	}
	return u.String()
}

// override applies the flags and the environment to a login.
func (a *app) override(s savedContext) (savedContext, error) {
	ca, pin := a.env.Getenv("SETPOINT_CA_FILE"), a.env.Getenv("SETPOINT_FINGERPRINT")
	if ca != "" || pin != "" {
		s.CAFile, s.Fingerprint, s.Insecure = ca, pin, false
	}
	if token := a.env.Getenv("SETPOINT_TOKEN"); token != "" {
		s.Token = token
	}
	if a.flags.tokenFile != "" {
		text, err := os.ReadFile(a.flags.tokenFile)
		if err != nil {
			return s, err
		}
		if s.Token = strings.TrimSpace(string(text)); s.Token == "" {
			return s, usagef("token file %s is empty", a.flags.tokenFile)
		}
	}
	return s, nil
}

// connect returns a client of the server that the command is for.
func (a *app) connect() (*client.Client, error) {
	s, err := a.target()
	if err != nil {
		return nil, err
	}
	return a.dial(s)
}

func (a *app) dial(s savedContext) (*client.Client, error) {
	return client.New(a.options(s))
}

// options are a client's, for the server of a login.
func (a *app) options(s savedContext) client.Options {
	if s.Insecure {
		a.warn("the certificate of %s is not checked: anyone on the way can read and change everything", s.Endpoint)
	}
	return client.Options{
		Endpoints: []string{s.Endpoint},
		Token:     config.NewSecret(s.Token),
		TLS:       s.tls(),
		UserAgent: "setpoint/" + a.env.Version,
		Timeout:   a.flags.timeout,
	}
}

// readInput reads a file, or standard input for "-", up to a bound that no
// server allows.
func (a *app) readInput(name string) ([]byte, error) {
	in := a.env.Stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	const most = 64 << 20
	content, err := io.ReadAll(io.LimitReader(in, most+1))
	if err == nil && len(content) > most {
		err = config.Errorf(config.TooLarge, "", name, "more than %d MiB", most>>20)
	}
	return content, err
}
