package toml_test

import (
	"os"
	"strings"
	"testing"

	library "github.com/pelletier/go-toml/v2"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/format/formattest"
	"github.com/setpointhq/setpoint/format/toml"
)

func TestTOML(t *testing.T) {
	formattest.Run(t, toml.New(), []formattest.Case{
		{Name: "crlf", Content: "a = 1\r\nb = c\r\n", Problems: []string{"error 2:5: expected a value, found 'c'"}},
		{Name: "crlf-value", Content: "a =\r\nb = 1\r\n", Problems: []string{"error 1:4: expected a value, found the end of the line"}},
		{Name: "cr", Content: "a = 1\rb = 2", Problems: []string{"error 1:6: expected the end of the line, found a carriage return without a line feed"}},
		{Name: "bom", Content: "\ufeffa = b", Problems: []string{"error 1:5: expected a value, found 'b'"}},
		{Name: "only-bom", Content: "\ufeff"},
		{Name: "end-without-newline", Content: "a", Problems: []string{"error 1:2: expected '=' after the key, found the end of the content"}},
		{Name: "value-at-the-end", Content: "a = ", Problems: []string{"error 1:5: expected a value, found the end of the content"}},
		{Name: "utf-16", Content: "\xff\xfea\x00", Problems: []string{"error 1:1: the content is UTF-16, not UTF-8"}},
		{Name: "latin-1", Content: "a = 1\nb = 'caf\xe9'\n", Problems: []string{"error 2:9: byte 0xe9 is not valid UTF-8"}},
		{Name: "nul", Content: "a = \x00", Problems: []string{"error 1:5: expected a value, found U+0000"}},
		{Name: "control", Content: "a = 'é\x01'", Problems: []string{"error 1:7: U+0001 is not allowed here"}},
		{Name: "columns-are-characters", Content: "a = ['é設😀', x]", Problems: []string{"error 1:13: expected a value, found 'x'"}},
		{Name: "depth", Content: "a = " + strings.Repeat("[", 1001) + strings.Repeat("]", 1001), Problems: []string{"error 1:1004: nested deeper than 1000 levels"}},
		{Name: "depth-allowed", Content: "a = " + strings.Repeat("[", 999) + strings.Repeat("]", 999)},
		{Name: "depth-of-keys", Content: strings.Repeat("a.", 1000) + "a = 1", Problems: []string{"error 1:2001: nested deeper than 1000 levels"}},
		{Name: "depth-of-headers", Content: "[" + strings.Repeat("a.", 1000) + "a]", Problems: []string{"error 1:2002: nested deeper than 1000 levels"}},
		{Name: "depth-of-the-library", Content: "a = " + strings.Repeat("[", 20000), Problems: []string{"error 1:10005: arrays and inline tables are nested…"}},
	})
}

// FuzzCheck holds the driver against the library's own decoder: what has no
// error is valid there, and the other way round.
func FuzzCheck(f *testing.F) {
	for _, name := range []string{"testdata/valid.txtar", "testdata/invalid.txtar"} {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			f.Add(file.Data)
		}
	}
	for _, seed := range []string{"\ufeffa=1", "a.b=1\n[a.c]", "[a.b]\n[[a]]", "a={b.c=1,b.d=2}", "a=[{b=1},{b=1}]", "[[a.b]]\n[a.b.c]\n[[a.b]]\n[a.b.c]", "a=\"\"\"\\\n \"\"\"", "a=1979-05-27 ", "\r", "a=1\r", "a=+0x1"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		failed := false
		for _, p := range formattest.Contract(t, toml.New(), content) {
			failed = failed || p.Severity == config.SeverityError
			if strings.Contains(p.Message, "nested deeper") {
				return
			}
		}
		var into map[string]any
		err := library.Unmarshal([]byte(strings.TrimPrefix(string(content), "\ufeff")), &into)
		if failed != (err != nil) {
			t.Errorf("%q has errors: %t, but the library says: %v", content, failed, err)
		}
	})
}

func BenchmarkCheck(b *testing.B) { benchmark(b, func(c []byte) { toml.New().Check(c) }) }
func BenchmarkParse(b *testing.B) {
	benchmark(b, func(c []byte) {
		if _, err := toml.New().Parse(c); err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkLibrary is the library alone.
func BenchmarkLibrary(b *testing.B) {
	benchmark(b, func(c []byte) {
		var into map[string]any
		if err := library.Unmarshal(c, &into); err != nil {
			b.Fatal(err)
		}
	})
}

func benchmark(b *testing.B, do func([]byte)) {
	content, err := os.ReadFile("testdata/kilobyte.toml")
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		do(content)
	}
}
