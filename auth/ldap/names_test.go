package ldap

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"
)

// hostile are names that try to be more than a name.
var hostile = []string{
	"alice", "ALICE", "*", "al*", "*)(uid=*", "alice)(objectClass=*", "x)(|(uid=alice", `\2a`, `\`, `\\`, "alice\x00",
	`alice\00`, "a,b", "a+b=c", `"`, "<>", ";", "=", "#0405616c696365", " alice", "alice ", "", "é", "\xff", "日本語", "{username}", "{dn}",
	"(", ")", "&", "|", "!(uid=x)", "uid=alice,ou=people,dc=example,dc=org", `a\,b`, "a\nb",
}

func FuzzBuildFilter(f *testing.F) {
	for _, name := range hostile {
		f.Add(name)
	}
	const template = "(&(objectClass=person)(uid=" + usernameMark + "))"
	f.Fuzz(func(t *testing.T, name string) {
		filter, err := buildFilter(template, usernameMark, name)
		if err != nil {
			return
		}
		packet, err := ldap.CompileFilter(filter)
		if err != nil {
			t.Fatalf("%q: %q does not compile: %v", name, filter, err)
		}
		if len(packet.Children) != 2 || packet.Tag != ldap.FilterAnd {
			t.Fatalf("%q: want two conditions, got %q", name, filter)
		}
		uid := packet.Children[1]
		if uid.Tag != ldap.FilterEqualityMatch || len(uid.Children) != 2 {
			t.Fatalf("%q: want one comparison, got %q", name, filter)
		}
		if got := uid.Children[1].Data.String(); got != name {
			t.Errorf("want the value %q compared, got %q", name, got)
		}
	})
}

func FuzzBuildDN(f *testing.F) {
	for _, name := range hostile {
		f.Add(name)
	}
	const template = "uid=" + usernameMark + ",ou=people,dc=example,dc=org"
	f.Fuzz(func(t *testing.T, name string) {
		text, err := buildDN(template, name)
		if err != nil {
			return
		}
		dn, err := ldap.ParseDN(text)
		if err != nil {
			t.Fatalf("%q: %q is no DN: %v", name, text, err)
		}
		if len(dn.RDNs) != 4 || len(dn.RDNs[0].Attributes) != 1 || dn.RDNs[0].Attributes[0].Type != "uid" {
			t.Fatalf("%q: want uid below three parts, got %q", name, text)
		}
		if got := dn.RDNs[0].Attributes[0].Value; got != name {
			t.Errorf("want the value %q, got %q", name, got)
		}
		if !strings.HasSuffix(text, ",ou=people,dc=example,dc=org") {
			t.Errorf("%q: want it below people, got %q", name, text)
		}
	})
}

func FuzzReadDN(f *testing.F) {
	for _, dn := range append(hostile, "cn=platform,ou=groups,dc=example,dc=org", "CN=Platform,OU=Groups,DC=example,DC=org", "cn=a+cn=b,ou=groups,dc=example,dc=org") {
		f.Add(dn)
	}
	base, err := ldap.ParseDN("ou=groups,dc=example,dc=org")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, dn string) {
		if below(dn, base) && !strings.Contains(dn, "=") {
			t.Errorf("want %q below nothing", dn)
		}
		leading(dn, "cn")
	})
}

func TestBelow(t *testing.T) {
	base, err := ldap.ParseDN("ou=groups,dc=example,dc=org")
	if err != nil {
		t.Fatal(err)
	}
	for dn, want := range map[string]bool{
		"cn=a,ou=groups,dc=example,dc=org":      true,
		"cn=a,ou=x,ou=groups,dc=example,dc=org": true,
		"CN=a, OU=Groups, DC=Example, DC=org":   true,
		"ou=groups,dc=example,dc=org":           false,
		"cn=a,ou=groups,dc=evil,dc=org":         false,
		`cn=a\,ou=groups\,dc=example\,dc=org`:   false,
		"cn=a,ou=groups,dc=example,dc=org,dc=x": false,
		"not a DN":                              false,
		"":                                      false,
		"cn=a,xou=groups,dc=example,dc=org":     false,
		`cn=a\,ou=groups,dc=example,dc=org`:     false,
	} {
		if got := below(dn, base); got != want {
			t.Errorf("%s: want %v, got %v", dn, want, got)
		}
	}
}

func TestLeading(t *testing.T) {
	for dn, want := range map[string]string{
		"cn=platform,ou=groups": "platform",
		"CN=Platform,ou=groups": "Platform",
		`cn=a\, b,ou=groups`:    "a, b",
		"ou=platform,cn=x":      "",
		"cn=a+cn=b,ou=groups":   "",
		"":                      "",
		"nothing":               "",
	} {
		if got := leading(dn, "cn"); got != want {
			t.Errorf("%s: want %q, got %q", dn, want, got)
		}
	}
}

func TestNamesThatNobodyHas(t *testing.T) {
	for _, name := range []string{"", " ", " alice", "alice ", "a\x00", "a\nb", "\x7f", "\xff", "\uFFFD", strings.Repeat("a", 257)} {
		if checkName(name) {
			t.Errorf("want %q refused", name)
		}
	}
	for _, name := range []string{"a", "Alice Example", "o'hara", "*", "日本語", strings.Repeat("a", 256)} {
		if !checkName(name) || !utf8.ValidString(name) {
			t.Errorf("want %q taken", name)
		}
	}
}
