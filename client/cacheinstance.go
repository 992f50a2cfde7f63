package client

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
)

const (
	instanceHeaderName = "Setpoint-Instance"
	maxInstance        = 256 // bytes
)

// named returns the client under the instance's id that it has, or else under
// one that is made up: the host's name and a random part. It is kept in dir, if
// that is not "": with another id, an instance that restarts would be another
// to rollouts. All sets of a client have the same.
func (c *Client) named(dir string) (*Client, error) {
	if c.header.Get(instanceHeaderName) != "" {
		return c, nil
	}
	c.naming.Lock()
	defer c.naming.Unlock()
	if c.name == "" {
		c.name = c.keptName(dir)
	}
	header := c.header.Clone()
	header.Set(instanceHeaderName, c.name)
	return &Client{
		endpoints: c.endpoints, http: c.http, header: header, auth: c.auth,
		timeout: c.timeout, heartbeat: c.heartbeat, log: c.log, name: c.name,
	}, nil
}

func (c *Client) keptName(dir string) string {
	path := filepath.Join(dir, "instance")
	if dir != "" {
		if name, ok := readName(path); ok {
			return name
		}
	}
	name := newName()
	if dir == "" {
		return name
	}
	if err := replaceFile(path, []byte(name+"\n")); err != nil {
		c.log.Warn("the instance's id cannot be kept: after a restart this is another instance to rollouts", "error", err)
	}
	return name
}

func readName(path string) (string, bool) {
	file, err := os.Open(path)
	if err != nil {
		return "", false
	}
	defer func() { _ = file.Close() }()
	text, err := readAll(file, maxInstance+2)
	if err != nil {
		return "", false
	}
	name := strings.TrimSpace(string(text))
	return name, name != "" && len(name) <= maxInstance && strings.Trim(name, nameBytes) == ""
}

// nameBytes are those of a name that is made up.
const nameBytes = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_"

func newName() string {
	host, err := os.Hostname()
	if err != nil {
		host = ""
	}
	host = strings.Map(func(r rune) rune {
		if strings.ContainsRune(nameBytes, r) {
			return r
		}
		return '-'
	}, host)
	const random = 12 // of 26 characters, 5 bits each
	host = orDefault(host, "instance")
	return host[:min(len(host), maxInstance/2)] + "-" + strings.ToLower(rand.Text()[:random])
}
