package formattest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/setpointhq/setpoint/format"
)

// Hostile returns contents that have hurt parsers, each about as long as a
// config may be by default: 1 MiB (less under the race detector). They
// are written for json, yaml and toml at once; to any one of them many are
// merely wrong, which is hostile enough.
func Hostile() map[string][]byte {
	all := map[string][]byte{
		"no-lines":      numbered("k%d ", ""),
		"one-number":    []byte("1" + strings.Repeat("9", size)),
		"a-number":      []byte("a = 1" + strings.Repeat("9", size)),
		"one-word":      []byte(strings.Repeat("x", size)),
		"one-text":      []byte(`"` + strings.Repeat("x", size) + `"`),
		"open-text":     []byte(`"` + strings.Repeat("x", size)),
		"escapes":       []byte(`"` + strings.Repeat(`\u0041`, size/6) + `"`),
		"surrogates":    []byte(`["` + strings.Repeat(`\ud800`, size/6) + `"]`),
		"controls":      []byte(`"` + strings.Repeat("\x01", size) + `"`),
		"json-keys":     numbered(`"k%d":0,`, "{"),
		"json-same":     []byte("{" + strings.Repeat(`"k":0,`, size/6)),
		"json-nested":   []byte(strings.Repeat(`{"a":`, size/5)),
		"json-comments": []byte(strings.Repeat("/*", size/2)),
		"json-commas":   []byte("[" + strings.Repeat("1,", size/2) + "1]"),
		"json-lists":    []byte("[" + strings.Repeat("[],", size/3) + "1]"),
		"yaml-keys":     numbered("k%d: v\n", ""),
		"yaml-same":     []byte(strings.Repeat("k: v\n", size/5)),
		"yaml-items":    []byte(strings.Repeat("- v\n", size/4)),
		"yaml-anchors":  numbered("k%[1]d: &a%[1]d v\n", ""),
		"yaml-aliases":  []byte("- &a v\n" + strings.Repeat("- *a\n", size/5)),
		"yaml-docs":     []byte(strings.Repeat("---\na: b\n", size/9)),
		"yaml-bad-docs": []byte(strings.Repeat("---\na: }\n", size/9)),
		"yaml-indent":   indented(),
		"yaml-flow":     numbered("k%d: v, ", "{"),
		"yaml-block":    []byte("a: |\n" + strings.Repeat(" x\n", size/3)),
		"yaml-bomb":     bomb(9, 9),
		"yaml-deep":     bomb(60, 2),
		"yaml-merges":   merges(),
		"yaml-tags":     []byte(strings.Repeat("- !!int x\n", size/10)),
		"yaml-traps":    []byte(strings.Repeat("- yes\n", size/6)),
		"toml-keys":     numbered("k%d = 1\n", ""),
		"toml-same":     []byte(strings.Repeat("k = 1\n", size/6)),
		"toml-tables":   numbered("[k%d]\n", ""),
		"toml-arrays":   []byte(strings.Repeat("[[a]]\n", size/6)),
		"toml-nested":   []byte(strings.Repeat("[[a]]\n[[a.b]]\n", size/14)),
		"toml-dotted":   numbered("a.k%d = 1\n", ""),
		"toml-dots":     []byte(strings.Repeat("a.", size/2) + "a = 1\n"),
		"toml-deep":     []byte(strings.Repeat("["+strings.Repeat("a.", 900)+"a]\n", size/1803)),
		"toml-wide":     numbered("["+strings.Repeat("a.", 900)+"k%d]\n", ""),
		"toml-inline":   numbered("k%d = 1, ", "a = {"),
		"toml-list":     []byte("a = [" + strings.Repeat("1,", size/2) + "]"),
		"toml-floats":   []byte("a = [" + strings.Repeat("1e9,", size/4) + "]"),
		"toml-tree":     []byte("a = " + strings.Repeat("[", size)),
		"toml-wrong":    []byte(strings.Repeat("a = @\n", size/6)),
		"quotes":        []byte(strings.Repeat(`'"`, size/2)),
		"wide-line":     []byte(`"` + strings.Repeat("設", size/3) + "\x01"),
	}
	for _, unit := range []string{
		"[", "{", "]", "}", "(", ",", ":", "-", "- ", "? ", "?\n", "&a ", "*a ", "!a ", "%a\n", "a: ", "a.", "a=", "=", "|\n", ">\n",
		"#", "# x\n", "//", "\"", "'", "\\", " ", "\t", "\n", "\r", "\r\n", "\x00", "\x01", "\x80", "\xff", "\xed\xa0\x80", "\ufeff", "\u2028", "\u0085", "[]\n", "{}\n", "a\n", "0", ".", "\"\"\"", "'''",
	} {
		all[fmt.Sprintf("many %q", unit)] = []byte(strings.Repeat(unit, size/len(unit)))
	}
	return all
}

func numbered(unit, before string) []byte {
	b := []byte(before)
	for i := 0; len(b) < size; i++ {
		b = fmt.Appendf(b, unit, i)
	}
	return b
}

// indented nests maps until the indentation alone fills the size.
func indented() []byte {
	var b []byte
	for i := 0; len(b) < size; i++ {
		b = fmt.Appendf(b, "%*sa:\n", i, "")
	}
	return b
}

// bomb is the billion laughs: each level holds the one before several times.
func bomb(levels, times int) []byte {
	b := []byte("a0: &a0 [x]\n")
	for i := 1; i <= levels; i++ {
		b = fmt.Appendf(b, "a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), times), ", "))
	}
	return b
}

// merges is a bomb of merge keys: a large map merged into very many.
func merges() []byte {
	b := []byte("base: &base\n")
	for i := range 1000 {
		b = fmt.Appendf(b, "  k%d: v\n", i)
	}
	for i := 0; len(b) < size; i++ {
		b = fmt.Appendf(b, "m%d: {<<: *base}\n", i)
	}
	return b
}

func hostile(t *testing.T, f format.Format) {
	for name, content := range Hostile() {
		t.Run(name, func(t *testing.T) {
			problems := Contract(t, f, content)
			if len(problems) > 2*format.MaxProblems {
				t.Errorf("%d problems, want at most %d", len(problems), 2*format.MaxProblems)
			}
		})
	}
}
