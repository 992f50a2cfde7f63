package ldap

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"github.com/setpointhq/setpoint/config"
)

// mostAnswer in bytes is all that a directory may say to one question: far more
// than the most groups that are taken.
const mostAnswer = 8 << 20

// startTLSOID names the request to encrypt a connection (RFC 4511, 4.14).
const startTLSOID = "1.3.6.1.4.1.1466.20037"

// dialer makes connections on which nobody is bound yet.
type dialer struct {
	address   string
	encrypted bool        // from the first byte
	tls       *tls.Config // nil for a connection that stays plain
	connect   time.Duration
	request   time.Duration
	now       func() time.Time

	// While it is known that the directory cannot be reached, nobody is made to
	// wait until that shows again.
	mu      sync.Mutex
	down    error
	retryAt time.Time
}

// retryAfter is how long a directory that could not be reached is left alone.
const retryAfter = time.Second

func newDialer(s *Settings, now func() time.Time) (*dialer, error) {
	host, address, encrypted, err := s.address()
	if err != nil {
		return nil, config.Errorf(config.Invalid, "open", place, "%w", err)
	}
	d := &dialer{address: address, encrypted: encrypted, connect: s.ConnectTimeout, request: s.RequestTimeout, now: now}
	if !encrypted && !s.StartTLS {
		return d, nil
	}
	if s.ServerName != "" {
		host = s.ServerName
	}
	d.tls = &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if s.CAFile == "" {
		return d, nil
	}
	d.tls.RootCAs, err = authorities(s.CAFile)
	return d, err
}

func authorities(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, config.Errorf(config.Invalid, "open", place+".ca_file", "%w", err)
	}
	all := x509.NewCertPool()
	if !all.AppendCertsFromPEM(text) {
		return nil, config.Errorf(config.Invalid, "open", place+".ca_file", "%s holds no certificate in PEM form", file)
	}
	return all, nil
}

// dial connects, encrypted wherever settings ask for it.
func (d *dialer) dial(caller context.Context) (*conn, error) {
	if err := d.known(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(caller, d.connect)
	defer cancel()
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", d.address)
	d.learn(caller, err)
	if err != nil {
		return nil, err
	}
	secured, err := d.secure(ctx, raw)
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	c := &conn{tcp: raw, raw: &bounded{Conn: secured}, request: d.request}
	c.ldap = ldap.NewConn(c.raw, d.tls != nil)
	c.ldap.Start()
	return c, nil
}

// known returns why the directory could not be reached a moment ago.
func (d *dialer) known() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.down != nil && d.now().Before(d.retryAt) {
		return fmt.Errorf("not tried again yet: %w", d.down)
	}
	return nil
}

// learn notes how reaching it went, unless it was the caller who gave up.
func (d *dialer) learn(caller context.Context, err error) {
	if err != nil && caller.Err() != nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.down, d.retryAt = err, d.now().Add(retryAfter)
}

func (d *dialer) secure(ctx context.Context, raw net.Conn) (net.Conn, error) {
	if d.tls == nil {
		return raw, nil
	}
	if !d.encrypted {
		if err := startTLS(ctx, raw); err != nil {
			return nil, fmt.Errorf("start tls: %w", err)
		}
	}
	secured := tls.Client(raw, d.tls)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	return secured, nil
}

// startTLS asks the directory to speak TLS from here on. It reads the answer and
// not a byte more, so that nothing that was slipped in before counts as said
// under TLS.
func startTLS(ctx context.Context, raw net.Conn) error {
	defer closeWhenDone(ctx, func() { _ = raw.Close() })()
	request := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationExtendedRequest, nil, "")
	request.AppendChild(ber.NewString(ber.ClassContext, ber.TypePrimitive, 0, startTLSOID, ""))
	envelope := ber.NewSequence("")
	envelope.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, int64(1), ""))
	envelope.AppendChild(request)
	if _, err := raw.Write(envelope.Bytes()); err != nil {
		return err
	}
	in := &bounded{Conn: raw}
	in.left.Store(mostAnswer)
	return guarded(func() error {
		answer, err := ber.ReadPacket(in)
		if err != nil {
			return err
		}
		return ldap.GetLDAPError(answer)
	})
}

// closeWhenDone calls end when ctx is done before what it returns is called,
// which waits for end if it is at it.
func closeWhenDone(ctx context.Context, end func()) (stop func()) {
	ended := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		defer close(ended)
		end()
	})
	return func() {
		if !cancel() {
			<-ended
		}
	}
}

// guarded makes an error of a panic: the library trusts the shape of answers.
func guarded(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the directory's answer makes no sense: %v", r)
		}
	}()
	return f()
}

// bounded is a connection from which no more is read than is left.
type bounded struct {
	net.Conn
	left atomic.Int64
}

var errTooLong = errors.New("the directory's answer is too long")

func (b *bounded) Read(p []byte) (int, error) {
	left := b.left.Load()
	if left < 0 {
		return 0, errTooLong
	}
	n, err := b.Conn.Read(p)
	b.left.Add(int64(-n))
	return n, err
}

// conn is a connection to the directory, for one caller at a time.
type conn struct {
	tcp     net.Conn // below TLS
	raw     *bounded
	ldap    *ldap.Conn
	request time.Duration
	idle    time.Time // since when; for the pool
}

// do asks one question, and breaks the connection if ctx or the time for a
// question ends before the answer: nothing can keep it waiting longer.
func (c *conn) do(ctx context.Context, ask func() error) error {
	ctx, cancel := context.WithTimeout(ctx, c.request)
	defer cancel()
	defer closeWhenDone(ctx, c.close)()
	c.raw.left.Store(mostAnswer)
	err := guarded(ask)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("no answer in time: %w", ctx.Err())
	}
	return err
}

// bind proves a password. One that is empty proves nothing: a directory may
// answer it like a right one (RFC 4513, 5.1.2), and so it may for no name.
func (c *conn) bind(ctx context.Context, dn, password string) error {
	if dn == "" || password == "" {
		return ldap.NewError(ldap.LDAPResultInvalidCredentials, errors.New("a bind without a name or a password proves nothing"))
	}
	return c.do(ctx, func() error { return c.ldap.Bind(dn, password) })
}

// search returns the entries; with some it may say that there are more. It
// follows no referral: where one leads, nobody vouches for.
func (c *conn) search(ctx context.Context, q query) (entries []*ldap.Entry, err error) {
	request := &ldap.SearchRequest{
		BaseDN: q.base, Scope: q.scope, DerefAliases: ldap.NeverDerefAliases, Filter: q.filter, Attributes: q.attributes,
		SizeLimit: q.most, EnforceSizeLimit: true, TimeLimit: int((c.request + time.Second - 1) / time.Second),
	}
	err = c.do(ctx, func() error {
		result, err := c.ldap.Search(request)
		if result != nil {
			entries = result.Entries
		}
		return err
	})
	return entries, err
}

// query is what is looked for, and how many entries at most.
type query struct {
	base       string
	scope      int
	filter     string
	attributes []string
	most       int
}

// close ends the connection at once. What lies below TLS goes first, as TLS and
// the library would wait for what they are writing.
func (c *conn) close() {
	_ = c.tcp.Close()
	_ = c.ldap.Close()
}

// answered reports whether err, if any, is the directory's own answer and leaves
// the connection as good as it was.
func answered(err error) bool {
	return err == nil || ldap.IsErrorAnyOf(err, ldap.LDAPResultSizeLimitExceeded, ldap.LDAPResultNoSuchObject)
}

// refused reports whether the directory says that the password is not right, or
// that whose it is may not use it: an account that is locked, expired or no more.
func refused(err error) bool {
	return ldap.IsErrorAnyOf(err,
		ldap.LDAPResultInvalidCredentials, ldap.LDAPResultNoSuchObject, ldap.LDAPResultInappropriateAuthentication,
		ldap.LDAPResultConstraintViolation, ldap.LDAPResultUnwillingToPerform, ldap.LDAPResultInvalidDNSyntax,
		ldap.LDAPResultInsufficientAccessRights)
}
