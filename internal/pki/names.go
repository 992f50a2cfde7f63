package pki

import (
	"crypto/x509"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	maxName  = 64 // what X.509 allows a common name
	maxHosts = 64
)

// CheckName refuses a node's name that cannot be one of a certificate and a file.
func CheckName(name string) error {
	if name == "" || len(name) > maxName || !alphanumeric(name[0]) || strings.ContainsFunc(name, notInName) {
		return invalid("", "name %q: want at most %d letters, digits, '.', '-' and '_', a letter or digit first", clip(name), maxName)
	}
	return nil
}

func alphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

func notInName(r rune) bool {
	return r >= utf8.RuneSelf || !alphanumeric(byte(r)) && r != '.' && r != '-' && r != '_'
}

// hosts are what a certificate shall be good for: addresses and DNS names, each
// once, in the order given.
type hosts struct {
	names []string
	addrs []netip.Addr
}

// parseHosts sorts hosts out. The name is one of them if it can be.
func parseHosts(name string, list []string) (hosts, error) {
	var h hosts
	if len(list) > maxHosts {
		return h, invalid("", "%d hosts for %s; %d is the most", len(list), name, maxHosts)
	}
	h.add(name)
	for _, host := range list {
		if !h.add(host) {
			return h, invalid("", "host %q of %s: want a DNS name or an IP address, without a port", clip(host), name)
		}
	}
	return h, nil
}

// add takes a host in, or says that it is none.
func (h *hosts) add(host string) bool {
	if addr, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		if addr = addr.Unmap(); addr.Zone() != "" {
			return false
		}
		if !slices.Contains(h.addrs, addr) {
			h.addrs = append(h.addrs, addr)
		}
		return true
	}
	if !dnsName(strings.TrimPrefix(host, "*.")) {
		return false
	}
	if !slices.ContainsFunc(h.names, func(n string) bool { return strings.EqualFold(n, host) }) {
		h.names = append(h.names, host)
	}
	return true
}

// dnsName says whether a text can be a DNS name: underscores, which some use,
// included.
func dnsName(text string) bool {
	if text == "" || len(text) > 253 {
		return false
	}
	for label := range strings.SplitSeq(text, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' || strings.ContainsFunc(label, notInName) {
			return false
		}
	}
	return true
}

// Hosts are the DNS names and IP addresses that a certificate is good for.
func Hosts(cert *x509.Certificate) []string {
	found := slices.Clone(cert.DNSNames)
	for _, ip := range cert.IPAddresses {
		found = append(found, ip.String())
	}
	return found
}

// CheckPatterns refuses patterns of names that could never match: each must be a
// name, or "*." and a name.
func CheckPatterns(patterns []string) error {
	for _, p := range patterns {
		if strings.Contains(strings.TrimPrefix(p, "*."), "*") || strings.TrimPrefix(p, "*.") == "" {
			return invalid("", "pattern %q: want a name, or one with a leading label left open: *.example.org", clip(p))
		}
	}
	return nil
}

// allowed says whether a DNS name or the common name of a certificate matches one
// of the patterns; without patterns, any does. "*." stands for exactly one label.
func allowed(cert *x509.Certificate, patterns []string) bool {
	if len(patterns) == 0 {
		return true
	}
	for _, name := range append(slices.Clone(cert.DNSNames), cert.Subject.CommonName) {
		for _, pattern := range patterns {
			if matches(name, pattern) {
				return true
			}
		}
	}
	return false
}

func matches(name, pattern string) bool {
	if rest, ok := strings.CutPrefix(pattern, "*."); ok {
		label, parent, found := strings.Cut(name, ".")
		return found && label != "" && label != "*" && strings.EqualFold(parent, rest)
	}
	return name != "" && strings.EqualFold(name, pattern)
}

// clip keeps a stranger's text short where it is quoted.
func clip(text string) string {
	const most = 100
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// clean is a stranger's text made fit for a message of one line.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return -1
		}
		return r
	}, clip(text))
}
