package cluster

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/pki"
	"github.com/setpointhq/setpoint/plugin"
)

// Settings say how a node meets others. With none of Addr, Members, Join and
// Edge set it meets nobody.
type Settings struct {
	Name      string   `yaml:"name" doc:"what this node is called, unique in its cluster; empty means the host's name. Keep it once data was written"`
	Addr      string   `yaml:"addr" doc:"the address to listen at for other nodes, host:port; empty with members or join means the port that this node is known by, or 7403, on all addresses, or on loopback if it is known by that"`
	Advertise string   `yaml:"advertise" doc:"where other nodes reach this one, host:port; empty means its address in members, or its host's name"`
	Members   []string `yaml:"members" doc:"the nodes that found the cluster, this one among them, each as name=host:port; all of them get the same list"`
	Token     string   `yaml:"token" doc:"the same on all nodes of a cluster: keeps clusters apart that reach each other by mistake"`

	CertFile     string   `yaml:"cert_file" doc:"the PEM file of the certificate that this node shows to others; it is read again when it changes. Empty: one in data_dir/cluster, that joining or founding alone brings"`
	KeyFile      string   `yaml:"key_file" doc:"the PEM file of the certificate's private key; needed with cert_file"`
	CAFile       string   `yaml:"ca_file" doc:"the PEM file of the authorities that vouch for other nodes; needed with cert_file"`
	CAKeyFile    string   `yaml:"ca_key_file" doc:"the PEM file of the authority's private key; only on nodes that let others join"`
	AllowedNames []string `yaml:"allowed_names" doc:"names in certificates, such as *.peers.example.org, whose holders are nodes; empty means all that the authorities vouch for, so that it must be set where they vouch for others as well"`

	Join      []string      `yaml:"join" doc:"nodes of a running cluster, each as host:port, of which one lets this node in when it starts for the first time"`
	JoinToken config.Secret `yaml:"join_token" doc:"the token that 'setpoint cluster add' printed; needed once, unless cert_file is given"`
	Edge      bool          `yaml:"edge" doc:"whether this node holds no data and serves from that of the cluster that it joins"`

	StartWait       time.Duration `yaml:"start_wait" doc:"how long to wait at start for enough other nodes, or for a turn to join"`
	MaxClockOffset  time.Duration `yaml:"max_clock_offset" doc:"how far the clocks of two nodes may be apart"`
	DiskReserve     plugin.Size   `yaml:"disk_reserve" doc:"free space of the data's file system below which the whole cluster refuses changes, so that the disk is never full; 0 for no such guard"`
	DefragmentWaste plugin.Size   `yaml:"defragment_waste" doc:"a member whose store wastes more than this, and more than half, gives it back to the file system, one member at a time; 0 for never"`
}

// DefaultPort is where nodes meet if nothing else is said.
const DefaultPort = "7403"

// defaultToken is of those who did not choose one.
const defaultToken = "setpoint"

// Defaults fills every field.
func (s *Settings) Defaults() {
	*s = Settings{
		Token:           defaultToken,
		StartWait:       5 * time.Minute,
		MaxClockOffset:  10 * time.Second,
		DiskReserve:     256 * plugin.MiB,
		DefragmentWaste: 64 * plugin.MiB,
	}
}

// Enabled reports whether the node meets others at all.
func (s *Settings) Enabled() bool {
	return s.Addr != "" || len(s.Members) > 0 || len(s.Join) > 0 || s.Edge
}

// Validate reports everything that is wrong.
func (s *Settings) Validate() error {
	var errs []error
	refuse := func(bad bool, key, text string, args ...any) {
		if bad {
			errs = append(errs, config.Errorf(config.Invalid, "settings", key, text, args...))
		}
	}
	refuse(s.Name != "" && !isName(s.Name), "name", "%q is no name; %s", clip(s.Name), nameRule)
	refuse(s.Token == "" || len(s.Token) > 128, "token", "must have 1 to 128 characters, has %d", len(s.Token))
	if err := checkHostPort(s.Addr, true); s.Addr != "" {
		refuse(err != nil, "addr", "%w", err)
	}
	if err := checkHostPort(s.Advertise, false); s.Advertise != "" {
		refuse(err != nil, "advertise", "%w", err)
	}
	for _, addr := range s.Join {
		err := checkHostPort(addr, false)
		refuse(err != nil, "join", "%w", err)
	}
	if _, err := parseMembers(s.Members); err != nil {
		refuse(true, "members", "%w", err)
	}
	if !s.JoinToken.Empty() {
		_, err := config.ParseJoinToken(s.JoinToken)
		refuse(err != nil, "join_token", "%w", err)
		refuse(len(s.Join) == 0, "join", "is missing; join_token is of use only with the address of a node to join")
	}
	refuse(s.Edge && len(s.Join) == 0, "join", "is missing; an edge needs the address of a node of its cluster")
	refuse(s.Edge && len(s.Members) > 0, "members", "must be empty for an edge, which is none; use join")
	if err := pki.CheckPatterns(s.AllowedNames); err != nil {
		refuse(true, "allowed_names", "%w", cause(err))
	}
	s.validateFiles(refuse)
	refuse(s.StartWait < time.Second || s.StartWait > 24*time.Hour, "start_wait", "must be from 1s to 24h, is %s", s.StartWait)
	refuse(s.MaxClockOffset < 100*time.Millisecond || s.MaxClockOffset > time.Hour, "max_clock_offset", "must be from 100ms to 1h, is %s", s.MaxClockOffset)
	refuse(s.DiskReserve < 0, "disk_reserve", "must not be negative, is %s", s.DiskReserve)
	refuse(s.DefragmentWaste < 0, "defragment_waste", "must not be negative, is %s", s.DefragmentWaste)
	return errors.Join(errs...)
}

func (s *Settings) validateFiles(refuse func(bad bool, key, text string, args ...any)) {
	if s.CertFile != "" {
		refuse(s.KeyFile == "", "key_file", "is missing; cert_file needs it")
		refuse(s.CAFile == "", "ca_file", "is missing; cert_file needs it, to know the certificates of other nodes")
		return
	}
	refuse(s.KeyFile != "", "cert_file", "is missing; key_file needs it")
	refuse(s.CAFile != "", "cert_file", "is missing; ca_file needs it")
	refuse(s.CAKeyFile != "", "cert_file", "is missing; ca_key_file needs it")
	founders := len(s.Members) > 1 && !s.Edge && len(s.Join) == 0
	refuse(founders, "cert_file", "is missing; nodes that found a cluster together need certificates of one authority: make them with 'setpoint cert init' and 'setpoint cert issue', or found with one node and let the others join")
}

// parseMembers reads name=host:port.
func parseMembers(texts []string) (map[string]string, error) {
	members := make(map[string]string, len(texts))
	seen := make(map[string]string, len(texts))
	for _, text := range texts {
		name, addr, ok := strings.Cut(text, "=")
		if !ok {
			return nil, fmt.Errorf("%q is no member; write name=host:port", clip(text))
		}
		if !isName(name) {
			return nil, fmt.Errorf("%q is no name; %s", clip(name), nameRule)
		}
		if err := checkHostPort(addr, false); err != nil {
			return nil, fmt.Errorf("member %s: %w", name, err)
		}
		if _, twice := members[name]; twice {
			return nil, fmt.Errorf("the name %s is there twice; each member has its own", name)
		}
		if other, twice := seen[addr]; twice {
			return nil, fmt.Errorf("%s and %s have the same address %s; each member has its own", other, name, addr)
		}
		members[name], seen[addr] = addr, name
	}
	return members, nil
}

// resolve settles what depends on the host and on other settings.
func (s *Settings) resolve() error {
	host, err := os.Hostname()
	if err != nil && (s.Name == "" || s.Advertise == "") {
		return config.Errorf(config.Invalid, "start", "cluster.name", "this host has no name: %w; set cluster.name and cluster.advertise", err)
	}
	if s.Name == "" {
		s.Name = host
		if !isName(s.Name) {
			return config.Errorf(config.Invalid, "start", "cluster.name", "the host's name %q cannot be the node's; %s; set cluster.name", clip(host), nameRule)
		}
	}
	members, err := parseMembers(s.Members)
	if err != nil {
		return config.Errorf(config.Invalid, "start", "cluster.members", "%w", err)
	}
	own, founder := members[s.Name]
	if len(members) > 0 && !founder && len(s.Join) == 0 {
		return config.Errorf(config.Invalid, "start", "cluster.members", "this node, %s, is not among %s; set cluster.name to one of them, or add it there on every node", s.Name, strings.Join(s.Members, ", "))
	}
	if s.Advertise == "" {
		s.Advertise = own
	}
	if founder && s.Advertise != own && len(s.Join) == 0 {
		return config.Errorf(config.Invalid, "start", "cluster.advertise", "is %s, but cluster.members has %s at %s; both must be the same", s.Advertise, s.Name, own)
	}
	if s.Edge {
		return nil
	}
	if s.Addr == "" {
		s.Addr = listenAt(s.Advertise)
	}
	return nil
}

// listenAt is where a node listens that others reach at an address: on all of its
// own, because that one may be of a machine in between, unless nobody reaches it
// but from this machine.
func listenAt(advertise string) string {
	host, port, err := net.SplitHostPort(advertise)
	if err != nil {
		return ":" + DefaultPort
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return advertise
	}
	return ":" + port
}

// advertise completes the address by which others reach this node, once it is
// known which port it got.
func (s *Settings) advertise(bound net.Addr) {
	if s.Advertise != "" {
		return
	}
	host, _, err := net.SplitHostPort(s.Addr)
	if ip := net.ParseIP(host); err != nil || host == "" || ip != nil && ip.IsUnspecified() {
		if host, err = os.Hostname(); err != nil {
			host = "localhost" // resolve would have refused a host without a name
		}
	}
	_, port, err := net.SplitHostPort(bound.String())
	if err != nil {
		port = DefaultPort
	}
	s.Advertise = net.JoinHostPort(host, port)
}

// founders are the nodes that found the cluster, this one among them.
func (s *Settings) founders() map[string]string {
	members, err := parseMembers(s.Members)
	if err != nil || len(members) == 0 {
		return map[string]string{s.Name: s.Advertise}
	}
	return members
}

// nameRule is the end of texts that refuse a name.
const nameRule = "use 1 to 63 letters, digits, '.', '_' or '-', beginning with a letter or digit"

const maxName = 63

// isName reports whether a node can be called so.
func isName(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for i := range len(s) {
		c := s[i]
		alphanumeric := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alphanumeric && (i == 0 || c != '.' && c != '_' && c != '-') {
			return false
		}
	}
	return true
}

// checkHostPort refuses what nobody can connect to or, if it is to listen at,
// what cannot be bound.
func checkHostPort(addr string, listen bool) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || strings.ContainsAny(addr, " /@\t\n\x00") || len(addr) > 300 {
		return fmt.Errorf("%q is no address; write host:port", clip(addr))
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 && !listen {
		return fmt.Errorf("%q is no port; write a number from 1 to 65535", clip(port))
	}
	if ip := net.ParseIP(host); !listen && (host == "" || ip != nil && ip.IsUnspecified()) {
		return fmt.Errorf("%q names no host; write one by which other nodes reach it", clip(addr))
	}
	return nil
}

// clip shortens what somebody typed for a text.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

var _ plugin.Settings = (*Settings)(nil)
