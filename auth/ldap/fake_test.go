package ldap

import (
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// fake is a directory that does what no real one should: it answers as a test
// says. What a right one does, the tests with slapd show.
type fake struct {
	listener net.Listener
	ca       string
	answer   func(net.Conn, request)
	all      sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
	seen  []string
}

// request is what the driver asked.
type request struct {
	id       int64
	tag      ber.Tag
	dn       string // of a bind, or the base of a search
	password string
	filter   string
}

// startFake serves by TLS with a good certificate; answer says what to.
func startFake(t *testing.T, answer func(net.Conn, request)) *fake {
	t.Helper()
	ca := newAuthority(t)
	f := listenFake(t, ca, answer)
	pair := ca.pair("fake", time.Now().Add(time.Hour))
	f.listener = tls.NewListener(f.listener, &tls.Config{Certificates: []tls.Certificate{pair}})
	f.serve(f.speak)
	return f
}

func listenFake(t *testing.T, ca *authority, answer func(net.Conn, request)) *fake {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{listener: listener, ca: ca.file, answer: answer}
	t.Cleanup(f.stop)
	return f
}

func (f *fake) stop() {
	f.listener.Close()
	f.mu.Lock()
	for _, c := range f.conns {
		c.Close()
	}
	f.mu.Unlock()
	f.all.Wait()
}

// serve calls each for every connection.
func (f *fake) serve(each func(net.Conn)) {
	f.all.Go(func() {
		for {
			c, err := f.listener.Accept()
			if err != nil {
				return
			}
			f.mu.Lock()
			f.conns = append(f.conns, c)
			f.mu.Unlock()
			f.all.Go(func() { defer c.Close(); each(c) })
		}
	})
}

// speak reads requests and has them answered.
func (f *fake) speak(c net.Conn) {
	for {
		packet, err := ber.ReadPacket(c)
		if err != nil {
			return
		}
		r := parse(packet)
		f.note(r)
		f.answer(c, r)
	}
}

func parse(packet *ber.Packet) request {
	op := packet.Children[1]
	r := request{id: packet.Children[0].Value.(int64), tag: op.Tag}
	switch op.Tag {
	case ldap.ApplicationBindRequest:
		r.dn, r.password = op.Children[1].Value.(string), op.Children[2].Data.String()
	case ldap.ApplicationSearchRequest:
		r.dn = op.Children[0].Value.(string)
		r.filter, _ = ldap.DecompileFilter(op.Children[6])
	}
	return r
}

func (f *fake) note(r request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = append(f.seen, fmt.Sprint(r.tag, " ", r.dn, " ", r.password))
}

// saw returns what was asked, so far.
func (f *fake) saw() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.seen)
}

// settings are for the fake, with a short patience.
func (f *fake) settings(change ...func(*Settings)) *Settings {
	s := defaults()
	s.URL, s.CAFile = "ldaps://"+f.listener.Addr().String(), f.ca
	for _, c := range change {
		c(s)
	}
	return s
}

// hasty makes a directory that does not answer cost a test little.
func hasty(s *Settings) {
	s.ConnectTimeout, s.RequestTimeout = 200*time.Millisecond, 200*time.Millisecond
}

func envelope(id int64, op *ber.Packet) []byte {
	p := ber.NewSequence("")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, ""))
	p.AppendChild(op)
	return p.Bytes()
}

// result is how every operation ends.
func result(id int64, tag ber.Tag, code uint16, referrals ...string) []byte {
	op := ber.Encode(ber.ClassApplication, ber.TypeConstructed, tag, nil, "")
	op.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, int64(code), ""))
	op.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "", ""))
	op.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "", ""))
	if len(referrals) > 0 {
		list := ber.Encode(ber.ClassContext, ber.TypeConstructed, 3, nil, "")
		for _, r := range referrals {
			list.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, r, ""))
		}
		op.AppendChild(list)
	}
	return envelope(id, op)
}

// entry is one that a search found, each attribute as "name: value".
func entry(id int64, dn string, attributes ...string) []byte {
	op := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultEntry, nil, "")
	op.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, dn, ""))
	list := ber.NewSequence("")
	for _, a := range attributes {
		name, value, _ := strings.Cut(a, ": ")
		one := ber.NewSequence("")
		one.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, name, ""))
		values := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "")
		values.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, value, ""))
		one.AppendChild(values)
		list.AppendChild(one)
	}
	op.AppendChild(list)
	return envelope(id, op)
}

// reference is where a search might be continued.
func reference(id int64, url string) []byte {
	op := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultReference, nil, "")
	op.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, url, ""))
	return envelope(id, op)
}

const aliceDN = "uid=alice,ou=people,dc=example,dc=org"

// obliging answers like a directory that has alice and takes any password.
func obliging(c net.Conn, r request) {
	switch r.tag {
	case ldap.ApplicationBindRequest:
		c.Write(result(r.id, ldap.ApplicationBindResponse, ldap.LDAPResultSuccess))
	case ldap.ApplicationSearchRequest:
		if strings.Contains(r.filter, "uid=alice)") {
			c.Write(entry(r.id, aliceDN, "uid: alice"))
		}
		c.Write(result(r.id, ldap.ApplicationSearchResultDone, ldap.LDAPResultSuccess))
	}
}
