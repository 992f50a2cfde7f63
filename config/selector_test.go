package config

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestSelectorMatches(t *testing.T) {
	labels := map[string]string{"region": "eu", "tier": "web", "version": "v1.10.0", "empty": "", "odd key": `a "b", c`, "in": "not"}
	for text, want := range map[string]bool{
		"region":                            true,
		"zone":                              false,
		"!zone":                             true,
		"!region":                           false,
		"empty":                             true,
		`empty = ""`:                        true,
		"region = eu":                       true,
		"region=us":                         false,
		"zone = eu":                         false,
		"region != us":                      true,
		"region != eu":                      false,
		"zone != eu":                        true,
		"region in (us, eu)":                true,
		"region in(us)":                     false,
		"zone in (eu)":                      false,
		"region not in (us, ap)":            true,
		"region not in (us, eu)":            false,
		"zone not in (eu)":                  true,
		"region in (eu, us), tier != batch": true,
		"region in (eu, us), tier != web":   false,
		"version >= 1.9":                    true,
		"version > 1.10":                    false,
		"version < 1.10.1-rc.1":             true,
		"version <= 1.10.0":                 true,
		"version < 1.10":                    false,
		"zone >= 0":                         false,
		"region < 2":                        false,
		`"odd key" = "a \"b\", c"`:          true,
		"in in (in, not)":                   true,
		"in not in (not)":                   false,
	} {
		s, err := ParseSelector(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := s.matches(labels); got != want {
			t.Errorf("%s: want %v, got %v", text, want, got)
		}
	}
	if (Selector{}).matches(labels) {
		t.Error("an empty selector matches")
	}
}

func TestSelectorErrors(t *testing.T) {
	for _, c := range []struct {
		text   string
		column int
		want   string
	}{
		{"", 1, "want a label's key, found the end"},
		{"  ", 3, "want a label's key, found the end"},
		{"region,", 8, "want a label's key, found the end"},
		{", region", 1, "want a label's key, found ','"},
		{"region = ", 10, "want a value, found the end"},
		{"region == eu", 9, "want a value, found '='"},
		{"region ~ eu", 8, `want an operator, one of =, !=, in, 'not in', <, <=, > and >=, found "~"`},
		{"region eu", 8, `want an operator, one of =, !=, in, 'not in', <, <=, > and >=, found "eu"`},
		{"region not eu", 8, `want an operator, one of =, !=, in, 'not in', <, <=, > and >=, found "not"`},
		{"region notin (eu)", 8, `want an operator, one of =, !=, in, 'not in', <, <=, > and >=, found "notin"`},
		{"region in eu", 11, `want '(', found "eu"`},
		{"region in ()", 12, "want a value, found ')'"},
		{"region in (eu us)", 15, `want ',' or ')', found "us"`},
		{"region in (eu", 14, "want ',' or ')', found the end"},
		{"region = eu us", 13, `want ',' or the end, found "us"`},
		{"!region = eu", 9, `want ',' or the end, found '='`},
		{`región = "eu`, 10, "the quoted word has no end"},
		{`region = "e\u"`, 12, `want \" or \\ in a quoted word`},
		{`a, "" = b`, 4, "a label's key is missing"},
		{"a, version >= new", 4, `"new" is no version: ">=" compares versions such as 1.4.2 or 8`},
		{"region in (eu, us, eu)", 1, `value "eu" of label "region" is there twice`},
		{"region = \"\x01\"", 1, `a value of label "region" has control characters or is no UTF-8`},
		{"region = \xff", 1, "it is no UTF-8"},
		{"a, !" + strings.Repeat("x", 257), 4, "a label's key has 257 bytes; at most 256 are taken"},
		{"a = " + strings.Repeat("x", 257), 1, `a value of label "a" has 257 bytes; at most 256 are taken`},
		{strings.Repeat("a,", 32) + "a", 65, "there are more than 32 requirements"},
		{"a in (" + strings.Repeat("b,", 100) + "b)", 207, "there are more than 100 values"},
		{strings.Repeat("a", 16385), 1, "it has 16385 bytes; at most 16384 are read"},
	} {
		_, err := ParseSelector(c.text)
		var e *Error
		if !errors.As(err, &e) || e.Kind != Invalid {
			t.Errorf("%q: want an Invalid error, got %v", c.text, err)
			continue
		}
		if diff := cmp.Diff([]Problem{{Line: 1, Column: c.column, Severity: SeverityError, Message: c.want}}, e.Problems); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.text, diff)
		}
	}
}

func TestSelectorRoundTrip(t *testing.T) {
	word := rapid.StringOfN(rapid.Rune().Filter(func(r rune) bool { return !isControl(r) }), 0, 20, 200)
	requirement := rapid.Custom(func(t *rapid.T) Requirement {
		q := Requirement{
			Key:      word.Filter(func(s string) bool { return s != "" }).Draw(t, "key"),
			Operator: rapid.SampledFrom([]Operator{OpExists, OpAbsent, OpEqual, OpNotEqual, OpIn, OpNotIn, OpLess, OpLessEqual, OpGreater, OpGreaterEqual}).Draw(t, "operator"),
		}
		switch q.Operator {
		case OpExists, OpAbsent:
		case OpEqual, OpNotEqual:
			q.Values = []string{word.Draw(t, "value")}
		case OpIn, OpNotIn:
			q.Values = rapid.SliceOfNDistinct(word, 1, 5, rapid.ID[string]).Draw(t, "values")
		default:
			q.Values = []string{rapid.StringMatching(`v?[0-9]{1,3}(\.[0-9]{1,20}){0,3}(-[0-9A-Za-z-]{1,4}(\.[0-9A-Za-z-]{1,3})?)?(\+[0-9a-z]{1,3})?`).Draw(t, "version")}
		}
		return q
	})
	rapid.Check(t, func(t *rapid.T) {
		want := Selector(rapid.SliceOfN(requirement, 1, 6).Draw(t, "selector"))
		got, err := ParseSelector(want.String())
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Fatalf("%s: %v (-want +got):\n%s", want, err, diff)
		}
	})
}

func FuzzParseSelector(f *testing.F) {
	for _, seed := range []string{"", "a", "!a", "region in (eu, us), tier != batch", `"a b" not in ("", "\"\\")`, "v>=1.2.3-rc.1+x", "a = b c", "é=ü", "a\xff", "in in (in)", "a\t<\n2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSelector(text)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Kind != Invalid || len(e.Problems) != 1 || e.Problems[0].Column > len(text)+1 {
				t.Errorf("%q: want an Invalid error with its place, got %v", text, err)
			}
			return
		}
		again, err := ParseSelector(s.String())
		if diff := cmp.Diff(s, again); diff != "" || err != nil {
			t.Errorf("%q is written %q: %v (-want +got):\n%s", text, s, err, diff)
		}
		var c checker
		if c.selector(s); len(c.problems) > 0 {
			t.Errorf("%q is read, and then refused: %v", text, c.problems)
		}
	})
}

func TestVersionsAreOrdered(t *testing.T) {
	// The order of semver.org, section 11, and of versions with fewer parts.
	ordered := []string{
		"0", "0.9", "1.0.0-0", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1",
		"v1", "1.0.0.1", "1.2", "1.9.9", "1.10", "2", "10.0.0", "99999999999999999999", "100000000000000000000.1",
	}
	for i, a := range ordered {
		for j, b := range ordered {
			want := min(max(i-j, -1), 1)
			if got, ok := compareVersions(a, b); !ok || got != want {
				t.Errorf("%s to %s: want %d, got %d, %v", a, b, want, got, ok)
			}
		}
	}
	for _, same := range []string{"1.0.0", "v1.0", "1+build.5", "01.0.0.0"} {
		if got, ok := compareVersions("1", same); !ok || got != 0 {
			t.Errorf("1 to %s: want 0, got %d, %v", same, got, ok)
		}
	}
	for _, none := range []string{"", "v", "a", "1.", ".1", "1..2", "1.2.3.4.5", "-1", "1-", "1-a..b", "1+", "1 ", "1.x", "1-é"} {
		if got, ok := compareVersions(none, "1"); ok {
			t.Errorf("%q: want no version, got %d", none, got)
		}
	}
}
