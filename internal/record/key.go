// Package record is the one place that knows how Setpoint's nouns lie in the
// store: the layout of keys, and the encoding of values. It does no I/O.
//
// Every key is a one-letter section, a slash and a path:
//
//	t/<tenant>                        tenant
//	p/<tenant>/<app>                  app
//	e/<tenant>/<app>/<env>            env
//	c/<tenant>/<app>/<env>/<name>     config metadata
//	o/<tenant>/<app>/<env>/<name>     rollout: what is released to whom
//	d/<tenant>/<app>/<env>/<name>     draft
//	n/<tenant>/<id>                   launch: releases on their way, or how that ended
//	r/<path of config>/<version>      release, with its content if that is small
//	b/<path of config>/<version>      the content of a large release
//	a/<tenant or _>/<complement of id>  audit record, the newest first
//	s/head                            where the chain that seals the audit ends
//	s/c/<sequence>                    checkpoint: one link of that chain
//	s/r/<sequence>                    the keys and hashes of a checkpoint's records
//	u/<user>  k/<token>  g/<binding>  v/<role>  identities and rights
//	x/<sink>                          how far a sink of the audit has come
//	j/<token>                         join token: lets a new node in
//	l/<office>                        who holds the office; the store's own, see store.OfficeKey
//	m/cluster                         the installation's own id
//	m/format                          the number of this layout
package record

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/setpointhq/setpoint/config"
)

// Section is the first letter of a key.
type Section byte

// The sections.
const (
	Tenants  Section = 't'
	Apps     Section = 'p'
	Envs     Section = 'e'
	Configs  Section = 'c'
	Rollouts Section = 'o'
	Drafts   Section = 'd'
	Launches Section = 'n'
	Releases Section = 'r'
	Contents Section = 'b'
	Audits   Section = 'a'
	Seals    Section = 's'
	Users    Section = 'u'
	Tokens   Section = 'k'
	Bindings Section = 'g'
	Roles    Section = 'v'
	Sinks    Section = 'x'
	Joins    Section = 'j'
	Offices  Section = 'l'
	Meta     Section = 'm'
)

// ClusterKey holds the installation's own id.
const ClusterKey = "m/cluster"

// FormatKey holds the Format that the data is laid out in; without it that is 1.
const FormatKey = "m/format"

// Format numbers the layout of keys and values. It is raised by a change that
// programs from before it would misread, and by nothing else: they refuse to
// start on such data.
//
// 2: bindings and tokens may deny, be for groups, or have patterns. A program from
// before would take a denial for a grant, and a part for the whole.
const Format = 2

// DecodeFormat reads the value of FormatKey.
func DecodeFormat(value []byte) (int, error) {
	n, err := strconv.Atoi(string(value))
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%q is no number of a layout", value)
	}
	return n, nil
}

// LaunchKey is where a launch lies. Ids begin with the time, so that the keys of a
// tenant are in the order in which its launches were started.
func LaunchKey(tenant, id string) string { return Launches.Key(tenant + "/" + id) }

// SystemTenant stands for "no tenant" in audit keys; no tenant can have the name.
const SystemTenant = "_"

// Prefix returns what all keys of the section begin with.
func (s Section) Prefix() string { return string([]byte{byte(s), '/'}) }

// Key returns the key of the path (or id) in the section.
func (s Section) Key(path string) string { return s.Prefix() + path }

// Under returns what the keys of everything below the path begin with.
func (s Section) Under(path config.Path) string {
	if path.Level() == config.LevelRoot {
		return s.Prefix()
	}
	return s.Prefix() + path.String() + "/"
}

// Split takes a key apart; an unknown or malformed key has section 0.
func Split(key string) (s Section, rest string) {
	if len(key) < 3 || key[1] != '/' {
		return 0, key
	}
	return Section(key[0]), key[2:]
}

// ReleaseKey returns the key of a release. Versions are padded so that keys
// order as versions do.
func ReleaseKey(p config.Path, version int64) string {
	return Releases.Prefix() + p.String() + "/" + padVersion(version)
}

// ContentKey returns the key of a large release's content.
func ContentKey(p config.Path, version int64) string {
	return Contents.Prefix() + p.String() + "/" + padVersion(version)
}

// versionDigits holds every int64.
const versionDigits = 19

func padVersion(v int64) string {
	s := strconv.FormatInt(v, 10)
	return strings.Repeat("0", max(0, versionDigits-len(s))) + s
}

// SplitVersion takes the rest of a release or content key apart.
func SplitVersion(rest string) (path string, version int64, err error) {
	i := strings.LastIndexByte(rest, '/')
	if i < 0 {
		return "", 0, fmt.Errorf("key %q has no version", rest)
	}
	version, err = strconv.ParseInt(rest[i+1:], 10, 64)
	return rest[:i], version, err
}

// AuditKey returns the key of an audit record of a tenant; "" is the system. An
// id begins with its time in hexadecimal digits; the key holds their complement,
// so that a listing from the newest on is a plain scan that stops at its limit.
func AuditKey(tenant, id string) string { return AuditPrefix(tenant) + complement(id) }

func complement(hex string) string {
	b := []byte(hex)
	for i, c := range b {
		switch {
		case c >= '0' && c <= '5':
			b[i] = 'f' - (c - '0')
		case c >= '6' && c <= '9':
			b[i] = '9' - (c - '6')
		case c >= 'a' && c <= 'f':
			b[i] = '5' - (c - 'a')
		}
	}
	return string(b)
}

// AuditPrefix returns what the keys of a tenant's audit records begin with.
func AuditPrefix(tenant string) string {
	if tenant == "" {
		tenant = SystemTenant
	}
	return Audits.Prefix() + tenant + "/"
}
