package ldap

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/config"
)

func TestEmptyPasswordsAreNotEvenAsked(t *testing.T) {
	server := startSlapd(t)
	c, err := ldap.DialURL("ldap://" + server.plain)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.UnauthenticatedBind(aliceDN); err != nil {
		t.Fatalf("want a directory that takes binds without a password, or the test shows nothing; got %v", err)
	}
	modes := map[string]func(*Settings){"search": func(*Settings) {}, "direct": direct}
	for name, mode := range modes {
		_, err := opened(t, over(server, mode)).login(t, alice, "")
		wantKind(t, name, config.Unauthenticated, err)

		f := startFake(t, obliging)
		_, err = opened(t, f.settings(mode)).login(t, alice, "")
		wantKind(t, name+", obliging", config.Unauthenticated, err)
		if saw := f.saw(); len(saw) != 0 {
			t.Errorf("%s: want the directory not asked, it saw %q", name, saw)
		}
	}
}

func TestAnonymousBindProvesNobody(t *testing.T) {
	// An entry without a name would make the user's bind one of nobody.
	f := startFake(t, func(c net.Conn, r request) {
		if r.tag == ldap.ApplicationSearchRequest {
			c.Write(entry(r.id, "", "uid: alice"))
		}
		obliging(c, request{id: r.id, tag: r.tag})
	})
	_, err := opened(t, f.settings()).login(t, alice, password)
	wantKind(t, "an entry without a name", config.Unauthenticated, err)
	for _, seen := range f.saw() {
		if strings.HasPrefix(seen, "0  ") {
			t.Errorf("want no bind without a name, got %q", seen)
		}
	}
}

// outline says what was asked without what was filled in.
func outline(saw []string) (out []string) {
	for _, s := range saw {
		out = append(out, strings.SplitN(s, " ", 2)[0])
	}
	return out
}

func TestUnknownUserAndWrongPasswordAreAlike(t *testing.T) {
	f := startFake(t, func(c net.Conn, r request) {
		if r.tag == ldap.ApplicationBindRequest && r.dn != "cn=setpoint,dc=example,dc=org" {
			c.Write(result(r.id, ldap.ApplicationBindResponse, ldap.LDAPResultInvalidCredentials))
			return
		}
		obliging(c, r)
	})
	var texts []string
	var asked [][]string
	for _, name := range []string{"corp:alice", "corp:nobody"} {
		before := len(f.saw())
		_, err := opened(t, f.settings()).login(t, name, password)
		wantKind(t, name, config.Unauthenticated, err)
		texts = append(texts, err.Error())
		asked = append(asked, outline(f.saw()[before:]))
	}
	if texts[0] != texts[1] {
		t.Errorf("want the same text, got %q and %q", texts[0], texts[1])
	}
	if diff := cmp.Diff(asked[0], asked[1]); diff != "" || len(asked[0]) != 3 {
		t.Errorf("want the same three questions, got %q (-known +unknown):\n%s", asked[0], diff)
	}
}

func TestReferralsAreNotFollowed(t *testing.T) {
	elsewhere := startFake(t, obliging)
	away := "ldaps://" + elsewhere.listener.Addr().String() + "/" + aliceDN
	tests := map[string]struct {
		want   config.ErrorKind
		answer func(net.Conn, request)
	}{
		"a bind": {config.Unavailable, func(c net.Conn, r request) {
			if r.tag == ldap.ApplicationBindRequest && r.dn == aliceDN {
				c.Write(result(r.id, ldap.ApplicationBindResponse, ldap.LDAPResultReferral, away))
				return
			}
			obliging(c, r)
		}},
		"a search": {config.Unavailable, func(c net.Conn, r request) {
			if r.tag == ldap.ApplicationSearchRequest {
				c.Write(result(r.id, ldap.ApplicationSearchResultDone, ldap.LDAPResultReferral, away))
				return
			}
			obliging(c, r)
		}},
		"a search continued": {config.Unauthenticated, func(c net.Conn, r request) {
			if r.tag == ldap.ApplicationSearchRequest {
				c.Write(reference(r.id, away))
				r.filter = ""
			}
			obliging(c, r)
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := opened(t, startFake(t, test.answer).settings())
			_, err := f.login(t, alice, password)
			wantKind(t, name, test.want, err)
		})
	}
	if saw := elsewhere.saw(); len(saw) != 0 {
		t.Errorf("want nothing said to where referrals lead, it saw %q", saw)
	}
}

func TestDirectoryThatMisbehaves(t *testing.T) {
	tests := map[string]func(net.Conn, request){
		"never answers":            func(net.Conn, request) {},
		"closes":                   func(c net.Conn, _ request) { c.Close() },
		"closes within an answer":  func(c net.Conn, r request) { c.Write(result(r.id, ldap.ApplicationBindResponse, 0)[:5]); c.Close() },
		"stops within an answer":   func(c net.Conn, r request) { c.Write(result(r.id, ldap.ApplicationBindResponse, 0)[:5]) },
		"answers something else":   func(c net.Conn, r request) { c.Write(result(r.id+1, ldap.ApplicationBindResponse, 0)) },
		"answers with nonsense":    func(c net.Conn, _ request) { c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) },
		"answers with nothing":     func(c net.Conn, r request) { c.Write(ber.NewSequence("").Bytes()) },
		"answers with half of one": func(c net.Conn, r request) { c.Write(envelope(r.id, ber.NewSequence(""))) },
		"is busy": func(c net.Conn, r request) {
			c.Write(result(r.id, ldap.ApplicationBindResponse, ldap.LDAPResultBusy))
		},
		"claims a gigabyte":  func(c net.Conn, _ request) { c.Write([]byte{0x30, 0x84, 0x40, 0, 0, 0, 0x04, 0x84, 0x3f, 0, 0, 0}) },
		"never ends answers": endless,
		"finds a shapeless entry": func(c net.Conn, r request) {
			if r.tag == ldap.ApplicationSearchRequest {
				c.Write(envelope(r.id, ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultEntry, nil, "")))
				return
			}
			obliging(c, r)
		},
		"closes before the groups": func(c net.Conn, r request) {
			if strings.Contains(r.filter, "member=") {
				c.Close()
				return
			}
			obliging(c, r)
		},
	}
	for name, answer := range tests {
		t.Run(name, func(t *testing.T) {
			for mode, change := range map[string]func(*Settings){"search": func(*Settings) {}, "direct": direct} {
				f := opened(t, startFake(t, answer).settings(hasty, change))
				_, err := f.login(t, alice, password)
				wantKind(t, mode, config.Unavailable, err)
				if wait := f.perUser.Wait(" name alice"); wait != 0 || strings.Contains(fmt.Sprint(err, f.log), password) {
					t.Errorf("%s: want nothing counted and no password told, got %s, %v, %s", mode, wait, err, f.log)
				}
			}
		})
	}
}

// endless sends a string of more than is ever read.
func endless(c net.Conn, _ request) {
	c.Write([]byte{0x30, 0x84, 0x7f, 0xff, 0xff, 0x00, 0x04, 0x84, 0x7f, 0xff, 0xf0, 0x00})
	block := make([]byte, 1<<16)
	for {
		if _, err := c.Write(block); err != nil {
			return
		}
	}
}

func TestAnswersAreBounded(t *testing.T) {
	b := &bounded{Conn: readOnly{r: zeros{}}}
	b.left.Store(1000)
	n, err := io.Copy(io.Discard, struct{ io.Reader }{b})
	if !errors.Is(err, errTooLong) || n > 1000+64<<10 {
		t.Errorf("want it cut off after little more than 1000 bytes, got %d, %v", n, err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

type readOnly struct {
	net.Conn
	r io.Reader
}

func (c readOnly) Read(p []byte) (int, error) { return c.r.Read(p) }

func TestCallerThatGoesAwayIsLetGo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := startFake(t, func(net.Conn, request) { cancel() })
	f := opened(t, server.settings())
	_, ok, err := f.Authenticate(ctx, credentials(alice, password))
	if wantKind(t, "gone", config.Canceled, err); !ok {
		t.Error("want the credentials taken")
	}
}

func TestCertificates(t *testing.T) {
	good := newAuthority(t)
	tests := map[string]struct {
		by     *authority
		until  time.Time
		change func(*Settings)
	}{
		"of another authority": {newAuthority(t), time.Now().Add(time.Hour), func(*Settings) {}},
		"expired":              {good, time.Now().Add(-time.Minute), func(*Settings) {}},
		"of another server":    {good, time.Now().Add(time.Hour), func(s *Settings) { s.ServerName = "other.example.org" }},
		"that nobody vouches":  {good, time.Now().Add(time.Hour), func(s *Settings) { s.CAFile = "" }},
	}
	for name, test := range tests {
		for _, how := range []string{"ldaps", "start tls"} {
			t.Run(name+", "+how, func(t *testing.T) {
				f := listenFake(t, good, obliging)
				server := &tls.Config{Certificates: []tls.Certificate{test.by.pair("fake", test.until)}}
				f.serve(func(c net.Conn) {
					if how == "start tls" && !acceptTLS(c) {
						t.Error("want the driver to ask for TLS first")
						return
					}
					f.speak(tls.Server(c, server))
				})
				d := opened(t, f.settings(func(s *Settings) {
					if how == "start tls" {
						s.URL, s.StartTLS = "ldap://"+f.listener.Addr().String(), true
					}
					test.change(s)
				}))
				_, err := d.login(t, alice, password)
				wantKind(t, name, config.Unavailable, err)
				if saw := f.saw(); len(saw) != 0 {
					t.Errorf("want nothing told to it, it saw %q", saw)
				}
				if !strings.Contains(d.log.String(), "tls") {
					t.Errorf("want the operator told, got %s", d.log)
				}
			})
		}
	}
}

// acceptTLS answers the request for TLS.
func acceptTLS(c net.Conn) bool {
	packet, err := ber.ReadPacket(c)
	if err != nil {
		return false
	}
	_, err = c.Write(result(1, ldap.ApplicationExtendedResponse, ldap.LDAPResultSuccess))
	return err == nil && packet.Children[1].Tag == ldap.ApplicationExtendedRequest
}

func TestNothingIsSaidWithoutTLS(t *testing.T) {
	tests := map[string]func(c net.Conn){
		"refused":      func(c net.Conn) { c.Write(result(1, ldap.ApplicationExtendedResponse, ldap.LDAPResultProtocolError)) },
		"not answered": func(net.Conn) {},
		"closed":       func(c net.Conn) { c.Close() },
		"nonsense":     func(c net.Conn) { c.Write([]byte("220 smtp\r\n")) },
		"a plain answer": func(c net.Conn) {
			c.Write(result(1, ldap.ApplicationExtendedResponse, 0))
			c.Write(result(1, ldap.ApplicationBindResponse, 0))
		},
		"shapeless answer": func(c net.Conn) { c.Write(envelope(1, ber.NewSequence(""))) },
	}
	for name, answer := range tests {
		t.Run(name, func(t *testing.T) {
			f := listenFake(t, newAuthority(t), nil)
			var mu sync.Mutex
			var heard bytes.Buffer
			f.serve(func(c net.Conn) {
				if _, err := ber.ReadPacket(c); err != nil {
					return
				}
				answer(c)
				said, _ := io.ReadAll(c)
				mu.Lock()
				defer mu.Unlock()
				heard.Write(said)
			})
			d := opened(t, f.settings(hasty, func(s *Settings) { s.URL, s.StartTLS = "ldap://"+f.listener.Addr().String(), true }))
			_, err := d.login(t, alice, password)
			wantKind(t, name, config.Unavailable, err)
			f.stop()
			for _, secret := range []string{password, "service secret"} {
				if strings.Contains(heard.String(), secret) {
					t.Errorf("want no password without TLS, got %q", heard.String())
				}
			}
		})
	}
}

func TestServerThatNeverBeginsTLS(t *testing.T) {
	f := listenFake(t, newAuthority(t), nil)
	f.serve(func(c net.Conn) { io.Copy(io.Discard, c) })
	_, err := opened(t, f.settings(hasty)).login(t, alice, password)
	wantKind(t, "silent", config.Unavailable, err)
}

func TestGroupsThatCannotAllBeToldLetNobodyIn(t *testing.T) {
	tests := map[string]struct {
		change  func(*Settings)
		entries func(id int64) [][]byte
		code    uint16
	}{
		"too many": {func(*Settings) {}, func(id int64) (all [][]byte) {
			for i := range 501 {
				all = append(all, entry(id, fmt.Sprintf("cn=g%d,ou=groups,dc=example,dc=org", i), fmt.Sprintf("cn: g%d", i)))
			}
			return all
		}, ldap.LDAPResultSuccess},
		"cut off": {func(*Settings) {}, func(id int64) [][]byte {
			return [][]byte{entry(id, "cn=a,ou=groups,dc=example,dc=org", "cn: a")}
		}, ldap.LDAPResultSizeLimitExceeded},
		"a part of memberOf": {func(s *Settings) { s.MemberOf = "memberOf" }, func(id int64) [][]byte {
			return [][]byte{entry(id, aliceDN, "uid: alice", "memberOf;range=0-1499: cn=a,ou=groups,dc=example,dc=org")}
		}, ldap.LDAPResultSuccess},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			server := startFake(t, func(c net.Conn, r request) {
				ofUser := strings.Contains(r.filter, "uid=alice)") && strings.HasPrefix(r.dn, "ou=people")
				if r.tag != ldap.ApplicationSearchRequest || ofUser && !strings.HasPrefix(name, "a part") {
					obliging(c, r)
					return
				}
				for _, e := range test.entries(r.id) {
					c.Write(e)
				}
				c.Write(result(r.id, ldap.ApplicationSearchResultDone, test.code))
			})
			f := opened(t, server.settings(test.change))
			_, err := f.login(t, alice, password)
			wantKind(t, name, config.Unauthenticated, err)
			if !strings.Contains(f.log.String(), errGroups.Error()) {
				t.Errorf("want the operator told, got %s", f.log)
			}
		})
	}
}
