package ldap

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
)

// What settings write for what is filled in.
const (
	usernameMark = "{username}"
	dnMark       = "{dn}"
)

// buildFilter fills the value in, escaped so that it can be nothing but a value.
func buildFilter(template, mark, value string) (string, error) {
	if !strings.Contains(template, mark) {
		return "", config.Errorf(config.Invalid, "", "", "want a filter with %s in it", mark)
	}
	filter := strings.ReplaceAll(template, mark, ldap.EscapeFilter(value))
	if _, err := ldap.CompileFilter(filter); err != nil {
		return "", config.Errorf(config.Invalid, "", "", "want a filter in parentheses, with %s for a value: %w", mark, err)
	}
	return filter, nil
}

// buildDN fills the user name in, escaped so that it is the value of one
// attribute. It believes nothing: the name that comes out has as many parts as
// the template, and differs from it in the one value only.
func buildDN(template, username string) (string, error) {
	pattern, err := ldap.ParseDN(template)
	if err != nil || strings.Count(template, usernameMark) != 1 {
		return "", config.Errorf(config.Invalid, "", "", "want the name of an entry with one %s in it", usernameMark)
	}
	text := strings.Replace(template, usernameMark, ldap.EscapeDN(username), 1)
	got, err := ldap.ParseDN(text)
	if err != nil {
		return "", config.Errorf(config.Invalid, "", "", "no entry can have such a name: %w", err)
	}
	if !sameButFor(pattern, got, username) {
		return "", config.Errorf(config.Invalid, "", "", "no entry can have such a name")
	}
	return text, nil
}

func sameButFor(pattern, got *ldap.DN, username string) bool {
	if len(pattern.RDNs) != len(got.RDNs) {
		return false
	}
	for i, rdn := range pattern.RDNs {
		if len(rdn.Attributes) != len(got.RDNs[i].Attributes) {
			return false
		}
		for j, a := range rdn.Attributes {
			b := got.RDNs[i].Attributes[j]
			if a.Type != b.Type || strings.Replace(a.Value, usernameMark, username, 1) != b.Value {
				return false
			}
		}
	}
	return true
}

// checkName refuses what no directory could know as a user's name, so that it
// is not even asked.
func checkName(name string) bool {
	return name != "" && len(name) <= auth.MaxExternalName && utf8.ValidString(name) &&
		!strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }) &&
		strings.TrimSpace(name) == name
}

// fold makes one of the spellings that a directory takes for the same name, as
// failures are counted for them together.
func fold(name string) string {
	return strings.ToLower(strings.Join(strings.Fields(name), " "))
}

var attribute = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,126}$`)

func isAttribute(name string) bool { return attribute.MatchString(name) }

// below reports whether the entry lies below the other.
func below(dn string, base *ldap.DN) bool {
	parsed, err := ldap.ParseDN(dn)
	return err == nil && base.AncestorOfFold(parsed)
}

// leading returns the value of the attribute in the first part of an entry's
// name; nothing if that part has another attribute, or several.
func leading(dn, attribute string) string {
	parsed, err := ldap.ParseDN(dn)
	if err != nil || len(parsed.RDNs) == 0 || len(parsed.RDNs[0].Attributes) != 1 {
		return ""
	}
	a := parsed.RDNs[0].Attributes[0]
	if !strings.EqualFold(a.Type, attribute) {
		return ""
	}
	return a.Value
}
