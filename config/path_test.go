package config

import (
	"regexp"
	"strings"
	"testing"
)

// The grammar of names, as the documentation states it.
var (
	labelGrammar = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	nameGrammar  = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,127})$`)
)

func FuzzNames(f *testing.F) {
	for _, seed := range []string{
		"", "a", "-", "a-", "-a", "a-b", "A", "a.b", "a_b", ".a", "..", "a/b", "a\x00", "a\n", "中",
		strings.Repeat("a", 63), strings.Repeat("a", 64), strings.Repeat("a", 128), strings.Repeat("a", 129),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		// "$" of a regexp also matches before a final newline only with flags; here it does not.
		if want, got := labelGrammar.MatchString(s), isLabel(s); want != got {
			t.Errorf("label %q: want %v, got %v", s, want, got)
		}
		if want, got := nameGrammar.MatchString(s), isName(s); want != got {
			t.Errorf("name %q: want %v, got %v", s, want, got)
		}
	})
}

func FuzzParsePath(f *testing.F) {
	for _, seed := range []string{"", "/", "a", "a/b/c/d", "a//b", "a/b/c/d/e", "/a/", "A", "a/b/c/.x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePath(s)
		if err != nil {
			if KindOf(err) != Invalid {
				t.Errorf("%q: want Invalid, got %v", s, err)
			}
			return
		}
		if again, err := ParsePath(p.String()); err != nil || again != p {
			t.Errorf("%q reads as %+v, which comes back as %+v, %v", s, p, again, err)
		}
	})
}

func TestPatternMatches(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"acme", "acme/shop/dev/a.json", true},
		{"acme/*", "acme/shop/dev/a.json", true},
		{"acme/shop/dev", "acme/shop/dev/a.json", true},
		{"acme/shop/dev/*", "acme/shop/dev/a.json", true},
		{"acme/shop/dev/a.json", "acme/shop/dev/a.json", true},
		{"acme/shop/dev/a*", "acme/shop/dev/a.json", true},
		{"acme/*/dev/a.json", "acme/shop/dev/a.json", true},
		{"acme/shop/dev", "acme/shop/dev2/a.json", false},
		{"acme/shop/dev/b*", "acme/shop/dev/a.json", false},
		{"acme/*/prod", "acme/shop/dev/a.json", false},
		{"globex", "acme/shop/dev/a.json", false},
	} {
		pattern, err := ParsePattern(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		p, err := ParsePath(c.path)
		if err != nil {
			t.Fatal(err)
		}
		if got := pattern.Match(p); got != c.want {
			t.Errorf("%s on %s: want %v, got %v", c.pattern, c.path, c.want, got)
		}
	}
	for _, bad := range []string{"", "*", "*/a", "a/b/c/d/e", "a//b", "acme/sh*p", "acme/shop/dev/*x"} {
		if _, err := ParsePattern(bad); KindOf(err) != Invalid {
			t.Errorf("%q: want Invalid, got %v", bad, err)
		}
	}
}

func TestValidateNamesThePartThatIsMissing(t *testing.T) {
	err := Path{Tenant: "acme", Name: "x"}.Validate()
	if err == nil || !strings.Contains(err.Error(), "the app is missing") {
		t.Errorf("want the missing app named, got %v", err)
	}
}

func TestPatternReaches(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"acme/shop/prod", "", true},
		{"acme/shop/prod", "acme", true},
		{"acme/shop/prod", "globex", false},
		{"acme/shop/prod", "acme/shop/prod", true},
		{"acme/shop/prod", "acme/shop/dev", false},
		{"acme/shop/prod", "acme/shop/prod/app.yaml", true},
		{"acme/shop/prod/app.yaml", "acme/shop/prod", true},
		{"acme/shop/prod/app.yaml", "acme/shop/prod/app.yaml", true},
		{"acme/shop/prod/app.yaml", "acme/shop/prod/app.yml", false},
		{"acme/*/prod/a*", "acme/web/prod", true},
		{"acme/*/prod/a*", "acme/web/dev", false},
		{"acme/*/prod/a*", "acme/web/prod/a.yaml", true},
		{"acme/*/prod/a*", "acme/web/prod/b.yaml", false},
	} {
		pattern, err := ParsePattern(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		path, err := ParsePath(c.path)
		if err != nil {
			t.Fatal(err)
		}
		if got := pattern.Reaches(path); got != c.want {
			t.Errorf("%s reaches %q: want %v, got %v", c.pattern, c.path, c.want, got)
		}
	}
}
