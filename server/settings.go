package server

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/cache"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/backup"
	"github.com/setpointhq/setpoint/internal/cluster"
	"github.com/setpointhq/setpoint/plugin"
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/server/internal/settings"
	"github.com/setpointhq/setpoint/store"
)

// Settings are all options of a node.
type Settings struct {
	DataDir       string                                  `yaml:"data_dir" doc:"the node's own directory, for its data, its certificate and its lock"`
	Log           LogSettings                             `yaml:"log" doc:"what is logged, to standard error"`
	HTTP          HTTPSettings                            `yaml:"http" doc:"the port of REST and all that HTTP bears"`
	TLS           TLSSettings                             `yaml:"tls" doc:"how the HTTP port is secured; with no certificate the node makes one for itself"`
	Admin         AdminSettings                           `yaml:"admin" doc:"the port of metrics, profiles and health, for operators only: it asks for no identity"`
	Cluster       cluster.Settings                        `yaml:"cluster" doc:"how the node meets others; with none of addr, members, join and edge it meets nobody"`
	Store         settings.Drivers[store.Driver]          `yaml:"store" doc:"where everything is kept"`
	Cache         settings.Drivers[cache.Driver]          `yaml:"cache" doc:"where released content is kept close at hand"`
	Auth          settings.Drivers[auth.Driver]           `yaml:"auth" doc:"what proves who is calling; each is asked in this order"`
	Authorization settings.Drivers[auth.AuthorizerDriver] `yaml:"authorization" doc:"what decides who may do what"`
	Audit         settings.Drivers[audit.Driver]          `yaml:"audit" doc:"where audit records are told besides the store, which always has them; each sink is told everything at least once, in order"`
	Formats       []string                                `yaml:"formats" doc:"the file formats that are known; where two claim a file ending, the first has it"`
	Protocols     settings.Drivers[protocol.Driver]       `yaml:"protocols" doc:"what is spoken to clients"`
	Limits        center.Limits                           `yaml:"limits" doc:"bounds of what the installation takes in"`
	Backup        backup.Schedule                         `yaml:"backup" doc:"backups by the clock; 'setpoint backup' makes one at any time"`
	Shutdown      ShutdownSettings                        `yaml:"shutdown" doc:"how the node stops"`

	drivers *Drivers
	loaded  *settings.Loaded
}

// HTTPSettings are those of the HTTP port.
type HTTPSettings struct {
	Addr           string        `yaml:"addr" doc:"the address to listen at, host:port; without a host, on all addresses"`
	HeaderTimeout  time.Duration `yaml:"header_timeout" doc:"how long a client may take to send a request's headers, the TLS handshake included"`
	IdleTimeout    time.Duration `yaml:"idle_timeout" doc:"how long a connection may wait for its next request"`
	MaxHeader      plugin.Size   `yaml:"max_header" doc:"largest size of a request's headers"`
	MaxConnections int           `yaml:"max_connections" doc:"how many connections are held at a time; more wait to be accepted"`
}

// AdminSettings are those of the admin port.
type AdminSettings struct {
	Addr string `yaml:"addr" doc:"the address to listen at, host:port; empty for no admin port. It asks for no identity: keep it from those who must not see metrics and profiles"`
}

// ShutdownSettings say how the node stops.
type ShutdownSettings struct {
	Grace time.Duration `yaml:"grace" doc:"how long requests and watches under way may take to end"`
}

// Flag is one setting given on the command line or by a program: who says so,
// the key as "http.addr", and the value as a variable would hold it.
type Flag = settings.Flag

// Sources is where settings come from, weakest first.
type Sources struct {
	Presets []Flag   // instead of defaults
	File    string   // the settings file's name; "" for none
	Environ []string // os.Environ()
	Flags   []Flag
}

// LoadSettings reads the settings of a build with the given drivers. Its error
// tells of every mistake, each with its place.
func LoadSettings(drivers *Drivers, from Sources) (*Settings, error) {
	in := settings.Input{
		Presets: from.Presets, File: from.File, Environ: from.Environ, Flags: from.Flags, Ignored: foreignVariable,
	}
	if from.File != "" {
		content, err := os.ReadFile(from.File)
		if err != nil {
			var cause *fs.PathError
			if errors.As(err, &cause) {
				err = cause.Err
			}
			return nil, config.Errorf(config.Invalid, "settings", from.File, "the file cannot be read: %w", err)
		}
		in.Content = append([]byte{}, content...)
	}
	s := &Settings{drivers: drivers}
	loaded, err := settings.Load(s, in)
	if err != nil {
		return nil, err
	}
	s.loaded = loaded
	return s, nil
}

// foreignVariable knows the variables with our prefix that are not settings:
// the client's, and those that Kubernetes gives to the pods of a namespace that
// has a service named setpoint.
func foreignVariable(name string) bool {
	name = strings.TrimPrefix(name, settings.Prefix)
	if slices.Contains([]string{"ENDPOINT", "TOKEN", "CONTEXT", "CA_FILE", "FINGERPRINT", "CONFIG", "PORT"}, name) {
		return true
	}
	return strings.HasPrefix(name, "SERVICE_") || strings.HasPrefix(name, "PORT_")
}

// Print writes the settings in force, each with where it came from. Secrets are
// redacted.
func (s *Settings) Print(w io.Writer) error { return s.loaded.Print(w) }

// Defaults fills every field.
func (s *Settings) Defaults() {
	d := s.drivers
	*s = Settings{
		DataDir:       "data",
		Log:           LogSettings{Level: "info", Format: "text"},
		HTTP:          HTTPSettings{Addr: ":7400", HeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeader: 16 * plugin.KiB, MaxConnections: 60_000},
		TLS:           TLSSettings{Enabled: true},
		Admin:         AdminSettings{Addr: "127.0.0.1:7402"},
		Store:         settings.NewDrivers(d.Stores, settings.One, "etcd"),
		Cache:         settings.NewDrivers(d.Caches, settings.One, "memory"),
		Auth:          settings.NewDrivers(d.Authenticators, settings.Ordered, "token", "basic"),
		Authorization: settings.NewDrivers(d.Authorizers, settings.One, "rbac"),
		Audit:         settings.NewDrivers(d.Sinks, settings.Several),
		Protocols:     settings.NewDrivers(d.Protocols, settings.Several, "rest"),
		Shutdown:      ShutdownSettings{Grace: 15 * time.Second},
		drivers:       d,
	}
	for _, name := range []string{"json", "yaml", "toml", "text"} {
		if _, err := d.Formats.Get(name); err == nil {
			s.Formats = append(s.Formats, name)
		}
	}
	s.Cluster.Defaults()
	s.Limits.Defaults()
	s.Backup.Defaults()
}

// Validate reports everything that is wrong; the drivers are asked apart.
func (s *Settings) Validate() error {
	var errs []error
	bad := func(key, text string, args ...any) {
		errs = append(errs, config.Errorf(config.Invalid, "settings", key, text, args...))
	}
	if s.DataDir == "" {
		bad("data_dir", "is empty; name a directory that is the node's own")
	}
	if err := checkAddr(s.HTTP.Addr); err != nil {
		bad("http.addr", "%w", err)
	}
	if err := checkAddr(s.Admin.Addr); s.Admin.Addr != "" && err != nil {
		bad("admin.addr", "%w", err)
	}
	for key, d := range map[string]time.Duration{
		"http.header_timeout": s.HTTP.HeaderTimeout, "http.idle_timeout": s.HTTP.IdleTimeout, "shutdown.grace": s.Shutdown.Grace,
	} {
		if d < 100*time.Millisecond || d > time.Hour {
			bad(key, "must be from 100ms to 1h, is %s", d)
		}
	}
	if s.HTTP.MaxHeader < 4*plugin.KiB || s.HTTP.MaxHeader > plugin.MiB {
		bad("http.max_header", "must be from 4KiB to 1MiB, is %s", s.HTTP.MaxHeader)
	}
	if s.HTTP.MaxConnections < 1 {
		bad("http.max_connections", "must be at least 1, is %d", s.HTTP.MaxConnections)
	}
	errs = append(errs, s.Log.validate(), s.TLS.validate(s.HTTP.Addr), s.validateDrivers())
	return errors.Join(errs...)
}

// validateDrivers checks what drivers are there; their own settings they check
// themselves.
func (s *Settings) validateDrivers() error {
	var errs []error
	for _, name := range s.Formats {
		if _, err := s.drivers.Formats.Get(name); err != nil {
			errs = append(errs, config.Errorf(config.Invalid, "settings", "formats", "%w", err))
		}
	}
	if len(s.Formats) == 0 {
		errs = append(errs, config.Errorf(config.Invalid, "settings", "formats", "names none; without a format nothing can be published"))
	}
	if len(s.Auth.Chosen()) == 0 {
		errs = append(errs, config.Errorf(config.Invalid, "settings", "auth", "names none; without one nobody can come in"))
	}
	if len(s.Protocols.Chosen()) == 0 {
		errs = append(errs, config.Errorf(config.Invalid, "settings", "protocols", "names none; without one nothing can be asked"))
	}
	return errors.Join(errs...)
}

// Addresses returns where a node listens to clients and operators, by the settings
// that say so.
func (s *Settings) Addresses() map[string]string {
	all := map[string]string{"http.addr": s.HTTP.Addr}
	if s.Admin.Addr != "" {
		all["admin.addr"] = s.Admin.Addr
	}
	for _, chosen := range s.Protocols.Chosen() {
		if ported, ok := chosen.Settings.(protocol.Ported); ok && ported.OwnPort().Addr != "" {
			all["protocols."+chosen.Name+".port.addr"] = ported.OwnPort().Addr
		}
	}
	return all
}

// checkAddr refuses what cannot be listened at.
func checkAddr(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is no address; write host:port or :port", addr)
	}
	if strings.ContainsAny(host, " /") {
		return fmt.Errorf("%q is no host; write a name or an IP address without scheme or path", host)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q is no port; write a number from 0 to 65535, 0 for any that is free", port)
	}
	return nil
}

// Loopback reports whether only this machine reaches the address.
func Loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// path places a file of the node in its data directory.
func (s *Settings) path(name ...string) string {
	return filepath.Join(append([]string{s.DataDir}, name...)...)
}
