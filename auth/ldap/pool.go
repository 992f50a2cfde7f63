package ldap

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/setpointhq/setpoint/config"
)

// pool keeps connections for looking up, all bound as the settings say and never
// as a user. Logins take turns, so that no more are open than may ask at once.
type pool struct {
	dialer       *dialer
	bindDN       string
	bindPassword func() (string, error)
	most         int
	idleTime     time.Duration
	now          func() time.Time

	mu     sync.Mutex
	idle   []*conn // the one used last is the last
	closed bool
}

// bindPassword returns where the password of bind_dn comes from.
func bindPassword(s *Settings) func() (string, error) {
	if s.BindPasswordFile == "" {
		return func() (string, error) { return s.BindPassword.Reveal(), nil }
	}
	return func() (string, error) { return readPassword(s.BindPasswordFile) }
}

// longestPassword in bytes, of anybody.
const longestPassword = 1024

func readPassword(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(io.LimitReader(f, longestPassword+3))
	if err != nil {
		return "", err
	}
	text = bytes.TrimRight(text, "\r\n")
	if len(text) == 0 || len(text) > longestPassword {
		return "", fmt.Errorf("%s: want a password of 1 to %d bytes", file, longestPassword)
	}
	return string(text), nil
}

// search asks on a connection of the pool. One that broke while it was kept is no
// reason to give up: then a new one is asked, once.
func (p *pool) search(ctx context.Context, q query) ([]*ldap.Entry, error) {
	c := p.take()
	if c != nil {
		entries, err := p.searchOn(ctx, c, q)
		if answered(err) || ctx.Err() != nil {
			return entries, err
		}
		p.drop() // they are likely to have broken together
	}
	c, err := p.dial(ctx)
	if err != nil {
		return nil, err
	}
	return p.searchOn(ctx, c, q)
}

func (p *pool) searchOn(ctx context.Context, c *conn, q query) ([]*ldap.Entry, error) {
	entries, err := c.search(ctx, q)
	if answered(err) {
		p.put(c)
	} else {
		c.close()
	}
	return entries, err
}

func (p *pool) dial(ctx context.Context) (*conn, error) {
	c, err := p.dialer.dial(ctx)
	if err != nil {
		return nil, err
	}
	if p.bindDN == "" {
		return c, nil
	}
	password, err := p.bindPassword()
	if err == nil {
		err = c.bind(ctx, p.bindDN, password)
	}
	if err != nil {
		c.close()
		// %v: that it was refused says nothing of the user's password.
		return nil, config.Errorf(config.Unavailable, "", place+".bind_dn", "binding as %s: %v", p.bindDN, err)
	}
	return c, nil
}

// take returns a connection that was used lately; nil if there is none.
func (p *pool) take() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	oldest := p.now().Add(-p.idleTime)
	for len(p.idle) > 0 && (!p.idle[0].idle.After(oldest) || p.idle[0].ldap.IsClosing()) {
		p.idle[0].close()
		p.idle = p.idle[1:]
	}
	last := len(p.idle) - 1
	if last < 0 {
		return nil
	}
	c := p.idle[last]
	p.idle = p.idle[:last]
	return c
}

func (p *pool) put(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle) >= p.most || p.idleTime == 0 {
		c.close()
		return
	}
	c.idle = p.now()
	p.idle = append(p.idle, c)
}

// drop closes what is kept.
func (p *pool) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.idle {
		c.close()
	}
	p.idle = nil
}

func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.drop()
}
