package mtls

import (
	"net/url"
	"strings"
	"testing"
)

func TestSPIFFEIDs(t *testing.T) {
	for id, want := range map[string]struct {
		domain, path string
		ok           bool
	}{
		"spiffe://example.org":                                 {"example.org", "", true},
		"spiffe://example.org/web":                             {"example.org", "/web", true},
		"spiffe://a_b-c.1/ns/X/sa/..web":                       {"a_b-c.1", "/ns/X/sa/..web", true},
		"spiffe://" + strings.Repeat("a", 255) + "/x":          {strings.Repeat("a", 255), "/x", true},
		"spiffe://" + strings.Repeat("a", 256) + "/x":          {},
		"spiffe://example.org/" + strings.Repeat("a", 2048-21): {"example.org", "/" + strings.Repeat("a", 2048-21), true},
		"spiffe://example.org/" + strings.Repeat("a", 2048-20): {},
		"":                           {},
		"spiffe:":                    {},
		"spiffe://":                  {},
		"spiffe:///web":              {},
		"SPIFFE://example.org/web":   {},
		"https://example.org/web":    {},
		"spiffe://Example.org/web":   {},
		"spiffe://example.org/":      {},
		"spiffe://example.org//web":  {},
		"spiffe://example.org/web/":  {},
		"spiffe://example.org/./a":   {},
		"spiffe://example.org/a/..":  {},
		"spiffe://u@example.org/a":   {},
		"spiffe://example.org:1/a":   {},
		"spiffe://[::1]/a":           {},
		"spiffe://example.org/a?":    {},
		"spiffe://example.org/a#":    {},
		"spiffe://example.org/%61":   {},
		"spiffe://example.org/ä":     {},
		"spiffe://example.org/a\x00": {},
		" spiffe://example.org/a":    {},
	} {
		domain, path, err := parseSPIFFE(id)
		if (err == nil) != want.ok || domain != want.domain || path != want.path {
			t.Errorf("%.80q: want %q %q, good %v; got %q %q, %v", id, want.domain, want.path, want.ok, domain, path, err)
		}
	}
}

func FuzzSPIFFE(f *testing.F) {
	for _, seed := range []string{"spiffe://example.org/web", "spiffe://example.org", "spiffe://a/b/c", "spiffe://a/../b", "spiffe://a:1/%2e", "x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, id string) {
		domain, path, err := parseSPIFFE(id)
		if err != nil {
			if domain != "" || path != "" {
				t.Fatalf("%q: want nothing with an error, got %q %q", id, domain, path)
			}
			return
		}
		if spiffeScheme+domain+path != id {
			t.Fatalf("%q: want it to be whole, got %q %q", id, domain, path)
		}
		// Whoever reads it as a URL must read the same.
		u, err := url.Parse(id)
		if err != nil || u.Host != domain || u.Path != path || u.String() != id || u.User != nil || u.Port() != "" {
			t.Fatalf("%q: want a URL of the same parts, got %+v, %v", id, u, err)
		}
	})
}
