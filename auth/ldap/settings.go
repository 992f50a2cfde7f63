// Package ldap proves identities by user name and password with a directory
// that speaks LDAP: it finds the user's entry, binds as it with the password and
// reads which groups it is in. It keeps no password; one that was right is
// remembered for a short time under a keyed digest.
//
// It takes names with the provider's own in front, "corp:alice", and bare names
// only where settings say so, and then never those of users that are kept here.
// HTTP Basic cuts its header at its first colon, so that a name with a colon cannot
// travel in it: people of the directory log in by JSON.
package ldap

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/throttle"
	"github.com/setpointhq/setpoint/config"
)

// Name of the driver, in settings and in auth.Identity.Method.
const Name = "ldap"

const place = "auth." + Name

// Settings of the ldap driver.
type Settings struct {
	Provider   string `yaml:"name" doc:"the provider's name: the user alice of the provider corp is corp:alice, and its groups are corp:…"`
	AcceptBare bool   `yaml:"accept_bare" doc:"take names without the provider's in front too, except those of users that are kept here; this driver must then stand before basic"`

	URL           string `yaml:"url" doc:"the directory: ldaps://host[:port], or ldap://host[:port] with start_tls"`
	StartTLS      bool   `yaml:"start_tls" doc:"encrypt the connection to an ldap:// address before anything is sent"`
	PlainLoopback bool   `yaml:"plain_loopback" doc:"let passwords travel unencrypted, to a directory on this machine's loopback address only"`
	CAFile        string `yaml:"ca_file" doc:"PEM file of the authorities that the directory's certificate may come from; empty for those of the system"`
	ServerName    string `yaml:"server_name" doc:"the name that the directory's certificate must have; empty for the host of url"`

	BindDN           string        `yaml:"bind_dn" doc:"the entry as which users are looked for; empty to look as nobody"`
	BindPassword     config.Secret `yaml:"bind_password" doc:"its password"`
	BindPasswordFile string        `yaml:"bind_password_file" doc:"a file with its password instead, read for each new connection"`
	UserDN           string        `yaml:"user_dn" doc:"where users lie, with {username} for the name: then they are not looked for, and bind_dn is not needed: uid={username},ou=people,dc=example,dc=org"`

	BaseDN        string `yaml:"base_dn" doc:"below which entry users are looked for"`
	UserFilter    string `yaml:"user_filter" doc:"what a user's entry has to match, with {username} for the name"`
	UserAttribute string `yaml:"user_attribute" doc:"the attribute that names the user here, with one value; whatever was typed, it is this spelling that counts"`

	GroupBaseDN    string `yaml:"group_base_dn" doc:"below which entry groups lie; empty for no groups"`
	GroupFilter    string `yaml:"group_filter" doc:"which groups a member is in, with {dn} for the member's entry"`
	GroupAttribute string `yaml:"group_attribute" doc:"the attribute that names a group here; with member_of it must be the first of the group's own name in the directory"`
	MemberOf       string `yaml:"member_of" doc:"an attribute of users and groups that lists their groups, used instead of group_filter: memberOf"`
	Nested         int    `yaml:"nested" doc:"how many levels of groups in groups are followed; 0 for the user's own groups only"`

	ConnectTimeout time.Duration `yaml:"connect_timeout" doc:"the longest time to reach the directory, TLS included"`
	RequestTimeout time.Duration `yaml:"request_timeout" doc:"the longest time of one question to the directory"`
	Timeout        time.Duration `yaml:"timeout" doc:"the longest time of one login, all its questions and the wait for its turn included"`
	Connections    int           `yaml:"connections" doc:"logins that ask the directory at the same time; as many connections are kept for looking up, and a user's password is tried on one of its own"`
	IdleTime       time.Duration `yaml:"idle_time" doc:"how long a connection is kept unused"`

	Remember     time.Duration     `yaml:"remember" doc:"how long a right password, and the groups with it, is believed without asking again; 0 means not at all"`
	RememberMost int               `yaml:"remember_most" doc:"how many right passwords are remembered at most"`
	PerUser      throttle.Settings `yaml:"per_user" doc:"how failures of one user are slowed"`
	PerAddress   throttle.Settings `yaml:"per_address" doc:"how failures from one address are slowed; an IPv6 address counts as its /64"`
}

// Defaults fills every field, for a directory with inetOrgPerson and groupOfNames.
func (s *Settings) Defaults() {
	*s = Settings{
		Provider:       Name,
		UserFilter:     "(uid=" + usernameMark + ")",
		UserAttribute:  "uid",
		GroupFilter:    "(member=" + dnMark + ")",
		GroupAttribute: "cn",
		Nested:         3,
		ConnectTimeout: 3 * time.Second,
		RequestTimeout: 5 * time.Second,
		Timeout:        10 * time.Second,
		Connections:    8,
		IdleTime:       time.Minute,
		Remember:       time.Minute,
		RememberMost:   10_000,
	}
	s.PerUser.Defaults()
	s.PerAddress.Defaults()
	s.PerAddress.Failures = 30 // an office may share one address
}

// The bounds of settings.
const (
	mostNested      = 10
	mostTimeout     = time.Minute
	mostConnections = 256
	mostIdle        = time.Hour
	mostRemember    = time.Hour
	mostEntries     = 1_000_000
)

// Validate refuses what would be unsafe or senseless.
func (s *Settings) Validate() error {
	return errors.Join(
		s.validateProvider(),
		s.validateURL(),
		s.validateUsers(),
		s.validateGroups(),
		s.validateBounds(),
		s.PerUser.Validate(place+".per_user"),
		s.PerAddress.Validate(place+".per_address"),
	)
}

func want(ok bool, field, format string, args ...any) error {
	if ok {
		return nil
	}
	return config.Errorf(config.Invalid, "settings", place+"."+field, format, args...)
}

func (s *Settings) validateProvider() error {
	err := auth.CheckProvider(s.Provider)
	return want(err == nil, "name", "%w", err)
}

func (s *Settings) validateURL() error {
	u, err := url.Parse(s.URL)
	if err != nil || u.Hostname() == "" || (u.Scheme != "ldap" && u.Scheme != "ldaps") ||
		u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return want(false, "url", "want ldaps://host[:port], or ldap://host[:port] with start_tls: true")
	}
	plain := u.Scheme == "ldap" && !s.StartTLS
	return errors.Join(
		want(u.Scheme == "ldap" || !s.StartTLS, "start_tls", "an ldaps:// address is encrypted already; leave it out"),
		want(!plain || s.PlainLoopback, "url", "passwords would travel unencrypted; set start_tls: true, or use ldaps://"),
		want(!plain || !s.PlainLoopback || loopback(u.Hostname()), "plain_loopback", "%s is no loopback address; set start_tls: true, or use ldaps://", u.Hostname()),
	)
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

func (s *Settings) validateUsers() error {
	looked := s.UserDN == ""
	_, errDN := buildDN(s.UserDN, "x")
	_, errBase := ldap.ParseDN(s.BaseDN)
	_, errBind := ldap.ParseDN(s.BindDN)
	secrets := !s.BindPassword.Empty() || s.BindPasswordFile != ""
	return errors.Join(
		want(looked || errDN == nil, "user_dn", "want the name of an entry with one %s in it, as in uid=%[1]s,ou=people,dc=example,dc=org", usernameMark),
		want(looked || s.BindDN == "" && s.BaseDN == "", "user_dn", "with it users are not looked for; leave bind_dn and base_dn out, or it"),
		want(!looked || s.BaseDN != "" && errBase == nil, "base_dn", "want the name of the entry below which users lie, as in ou=people,dc=example,dc=org"),
		want(errBind == nil, "bind_dn", "want the name of an entry, as in cn=setpoint,dc=example,dc=org"),
		want((s.BindDN != "") == secrets, "bind_password", "bind_dn and bind_password (or bind_password_file) go together; a bind without a password proves nothing"),
		want(s.BindPassword.Empty() || s.BindPasswordFile == "", "bind_password_file", "set it or bind_password, not both"),
		wantFilter(s.UserFilter, usernameMark, "user_filter"),
		want(isAttribute(s.UserAttribute), "user_attribute", "want an attribute's name, as in uid"),
	)
}

func (s *Settings) validateGroups() error {
	_, err := ldap.ParseDN(s.GroupBaseDN)
	return errors.Join(
		want(err == nil, "group_base_dn", "want the name of an entry, as in ou=groups,dc=example,dc=org"),
		wantFilter(s.GroupFilter, dnMark, "group_filter"),
		want(isAttribute(s.GroupAttribute), "group_attribute", "want an attribute's name, as in cn"),
		want(s.MemberOf == "" || isAttribute(s.MemberOf), "member_of", "want an attribute's name, as in memberOf, or nothing"),
		want(s.MemberOf == "" || s.GroupBaseDN != "", "group_base_dn", "must be set with member_of: groups from elsewhere in the directory are not believed"),
		want(s.Nested >= 0 && s.Nested <= mostNested, "nested", "must be from 0 to %d, is %d", mostNested, s.Nested),
	)
}

func wantFilter(template, mark, field string) error {
	_, err := buildFilter(template, mark, "x")
	return want(err == nil, field, "%w", err)
}

func (s *Settings) validateBounds() error {
	timeout := func(d time.Duration, field string) error {
		return want(d > 0 && d <= mostTimeout, field, "must be more than 0 and at most %s, is %s", mostTimeout, d)
	}
	return errors.Join(
		timeout(s.ConnectTimeout, "connect_timeout"),
		timeout(s.RequestTimeout, "request_timeout"),
		timeout(s.Timeout, "timeout"),
		want(s.Connections >= 1 && s.Connections <= mostConnections, "connections", "must be from 1 to %d, is %d", mostConnections, s.Connections),
		want(s.IdleTime >= 0 && s.IdleTime <= mostIdle, "idle_time", "must be from 0 to %s, is %s", mostIdle, s.IdleTime),
		want(s.Remember >= 0 && s.Remember <= mostRemember, "remember", "must be from 0 to %s, is %s", mostRemember, s.Remember),
		want(s.RememberMost >= 1 && s.RememberMost <= mostEntries, "remember_most", "must be from 1 to %d, is %d", mostEntries, s.RememberMost),
	)
}

// Open returns the working driver, an *Authenticator. It does not ask the
// directory: a node starts while that is down.
func (s *Settings) Open(_ context.Context, env auth.Env) (auth.Authenticator, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	if env.Directory == nil {
		return nil, config.Errorf(config.Internal, "open", place, "opened without a directory of users")
	}
	env = env.WithDefaults()
	d, err := newDialer(s, env.Now)
	if err != nil {
		return nil, err
	}
	return open(*s, env, d), nil
}

// address returns host and port of the directory.
func (s *Settings) address() (host, address string, encrypted bool, err error) {
	u, err := url.Parse(s.URL)
	if err != nil {
		return "", "", false, fmt.Errorf("url: %w", err)
	}
	encrypted = u.Scheme == "ldaps"
	port := u.Port()
	switch {
	case port != "":
	case encrypted:
		port = ldap.DefaultLdapsPort
	default:
		port = ldap.DefaultLdapPort
	}
	return u.Hostname(), net.JoinHostPort(u.Hostname(), port), encrypted, nil
}

var _ auth.Driver = (*Settings)(nil)
