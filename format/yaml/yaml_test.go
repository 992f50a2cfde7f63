package yaml_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	library "go.yaml.in/yaml/v4"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/format/formattest"
	"github.com/setpointhq/setpoint/format/yaml"
)

func TestYAML(t *testing.T) {
	formattest.Run(t, yaml.New(), []formattest.Case{
		{Name: "crlf", Content: "a: 1\r\nb: c: d\r\n", Problems: []string{"error 2:5: a ':' that makes a key is not allowed here"}},
		{Name: "cr", Content: "a: 1\rb: c: d\r", Problems: []string{"error 2:5: a ':' that makes a key is not allowed here"}},
		{Name: "bom", Content: "\ufeffa: b: c", Problems: []string{"error 1:5: a ':' that makes a key is not allowed here"}},
		{Name: "only-bom", Content: "\ufeff"},
		{Name: "line-separators-end-no-line", Content: "a: \"x\u2028y\"\nb: 1\nb: 2", Problems: []string{`error 3:1: the key "b" is there already, on line 2, column 1`}},
		{Name: "line-separators-before-a-mistake", Content: "a: \"\u2028\u2029\u0085\": b: c", Problems: []string{"error 1:9: a ':' that makes a key is not allowed here"}},
		{Name: "columns-are-characters", Content: "\"é設😀\": b: c", Problems: []string{"error 1:9: a ':' that makes a key is not allowed here"}},
		{Name: "utf-16", Content: "\xfe\xff\x00a", Problems: []string{"error 1:1: the content is UTF-16, not UTF-8"}},
		{Name: "latin-1", Content: "a: 1\nb: caf\xe9\n", Problems: []string{"error 2:7: byte 0xe9 is not valid UTF-8"}},
		{Name: "nul", Content: "a: 1\nb: \x00\n", Problems: []string{"error 2:4: a control character, U+0000, is not allowed in YAML"}},
		{Name: "non-character", Content: "a: \uffff", Problems: []string{"error 1:4: U+FFFF is not allowed in YAML"}},
		{Name: "end-without-newline", Content: "a: [1", Problems: []string{"error 1:6: …"}},
		{Name: "depth", Content: strings.Repeat("[", 1001), Problems: []string{"error 1:1001: nested too deep"}},
		{Name: "depth-allowed", Content: strings.Repeat("[", 1000) + strings.Repeat("]", 1000)},
		{Name: "depth-by-aliases", Content: ladder(11, 100), Problems: []string{"error 11:108: nested deeper than 1000 levels"}},
		{Name: "duplicate-among-many", Content: many(20) + "k17: 0\n", Problems: []string{`error 21:1: the key "k17" is there already, on line 18, column 1`}},
		{Name: "billion-laughs", Content: laughs, Problems: []string{"error 6:8: the aliases repeat more than 100000 values"}},
	})
}

const laughs = `a: &a [x,x,x,x,x,x,x,x,x]
b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]
c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]
d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]
e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]
f: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]
`

// ladder nests by aliases: each step is a list some levels deep that holds the
// step before.
func ladder(steps, levels int) string {
	b := []byte("- &a0 []\n")
	for i := 1; i < steps; i++ {
		b = fmt.Appendf(b, "- &a%d %s*a%d%s\n", i, strings.Repeat("[", levels), i-1, strings.Repeat("]", levels))
	}
	return string(b)
}

func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "k%d: 0\n", i)
	}
	return b.String()
}

func TestMergeKeys(t *testing.T) {
	tree, err := yaml.New().Parse([]byte("one: &one {a: 1, b: 1}\ntwo: &two {b: 2, c: 2, d: 2}\nall:\n  d: 3\n  <<: [*one, *two]\n  e: 3\n"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range tree.Members[2].Value.Members {
		got = append(got, m.Key+m.Value.Text)
	}
	want := []string{"d3", "a1", "b1", "c2", "e3"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("merged map (-want +got):\n%s", diff)
	}
}

// FuzzCheck holds the driver against the library's own decoder.
func FuzzCheck(f *testing.F) {
	for _, name := range []string{"testdata/valid.txtar", "testdata/invalid.txtar", "testdata/traps.txtar"} {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			f.Add(file.Data)
		}
	}
	for _, seed := range []string{"\u2028: \u0085", "a: \x00", "- &a [*a]", "<<: [{a: 1}, {a: 2}]", "? {? a}\n", "--- |\n---\n", "a: !!binary =", "%TAG ! a\n---\n", "\t", "a:\r\n\tb"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		problems := formattest.Contract(t, yaml.New(), content)
		for _, p := range problems {
			if p.Severity == config.SeverityError {
				return
			}
		}
		if strings.Contains(string(content), "%YAML") {
			return // the library takes 1.1 only
		}
		var all []library.Node
		if err := library.Load(content, &all, library.WithAllDocuments()); err != nil {
			t.Errorf("%q has no error, but the library says: %v", content, err)
		}
	})
}

func BenchmarkCheck(b *testing.B) { benchmark(b, func(c []byte) { yaml.New().Check(c) }) }
func BenchmarkParse(b *testing.B) {
	benchmark(b, func(c []byte) {
		if _, err := yaml.New().Parse(c); err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkLibrary is the floor: the library alone.
func BenchmarkLibrary(b *testing.B) {
	benchmark(b, func(c []byte) {
		var n library.Node
		if err := library.Load(c, &n); err != nil {
			b.Fatal(err)
		}
	})
}

func benchmark(b *testing.B, do func([]byte)) {
	content, err := os.ReadFile("testdata/kilobyte.yaml")
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		do(content)
	}
}
