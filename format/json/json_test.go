package json_test

import (
	"bytes"
	stdjson "encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/format"
	"github.com/setpointhq/setpoint/format/formattest"
	"github.com/setpointhq/setpoint/format/json"
)

func TestJSON(t *testing.T) {
	formattest.Run(t, json.New(), []formattest.Case{
		{Name: "crlf", Content: "{\r\n  \"a\": 1\r\n  \"b\": 2\r\n}\r\n", Problems: []string{"error 3:3: expected ',' or '}', found '\"'"}},
		{Name: "cr", Content: "{\r\"a\": 1,\r}", Problems: []string{"error 2:7: a comma before '}' is not allowed in JSON"}},
		{Name: "bom", Content: "\ufeff{\"a\": 1,}", Problems: []string{
			"warning 1:1: the content begins with a byte order mark…",
			"error 1:8: a comma before '}' is not allowed in JSON",
		}},
		{Name: "only-bom", Content: "\ufeff", Problems: []string{"warning 1:1: the content begins…", "error 1:1: the content is empty…"}},
		{Name: "no-final-newline", Content: `{"a": 1}`},
		{Name: "utf-16", Content: "\xff\xfe{\x00}\x00", Problems: []string{"error 1:1: the content is UTF-16, not UTF-8"}},
		{Name: "latin-1", Content: "{\n\"é\": \"caf\xe9\", \"\xfc\": 1}", Problems: []string{
			"error 2:10: byte 0xe9 is not valid UTF-8", "error 2:15: byte 0xfc is not valid UTF-8",
		}},
		{Name: "columns-are-characters", Content: "[\"é設😀\", x]", Problems: []string{"error 1:9: x is not a JSON value"}},
		{Name: "nul", Content: "{\x00}", Problems: []string{"error 1:2: unexpected U+0000 where a key should be"}},
		{Name: "nul-alone", Content: "\x00", Problems: []string{"error 1:1: unexpected U+0000 where a value should be"}},
		{Name: "vertical-tab", Content: "\v1", Problems: []string{"error 1:1: unexpected U+000B…"}},
		{Name: "depth", Content: strings.Repeat("[", 1001), Problems: []string{"error 1:1001: nested deeper than 1000 levels"}},
		{Name: "depth-allowed", Content: strings.Repeat("[", 1000) + strings.Repeat("]", 1000)},
		{Name: "duplicate-among-many", Content: "{" + strings.Repeat(" ", 3) + many(20) + `"k17":0}`, Problems: []string{`error 1:155: the key "k17" is there already, on line 1, column 131`}},
	})
}

// many is n members, enough for the keys to be kept in a map.
func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"k%d":0,`, i)
	}
	return b.String()
}

// TestParseAgreesWithEncodingJSON reads the valid documents with both.
func TestParseAgreesWithEncodingJSON(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/valid.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range archive.Files {
		if strings.HasSuffix(file.Name, ".json") {
			t.Run(file.Name, func(t *testing.T) { agrees(t, file.Data) })
		}
	}
}

func agrees(t *testing.T, content []byte) {
	t.Helper()
	tree, err := json.New().Parse(content)
	if err != nil {
		t.Fatal(err)
	}
	var want any
	decoder := stdjson.NewDecoder(bytes.NewReader(bytes.TrimPrefix(content, []byte("\ufeff"))))
	decoder.UseNumber()
	if err := decoder.Decode(&want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, value(tree)); diff != "" {
		t.Errorf("tree of %q (-encoding/json +got):\n%s", content, diff)
	}
}

func value(n *format.Node) any {
	switch n.Kind {
	case format.Bool:
		return n.Text == "true"
	case format.Number:
		return stdjson.Number(n.Text)
	case format.String:
		return n.Text
	case format.List:
		list := make([]any, 0, len(n.Items))
		for _, item := range n.Items {
			list = append(list, value(item))
		}
		return list
	case format.Map:
		m := map[string]any{}
		for _, member := range n.Members {
			m[member.Key] = value(member.Value)
		}
		return m
	default:
		return nil
	}
}

// FuzzCheck holds the driver against encoding/json: what has no error is valid
// there and means the same; what is valid there has no error but those that
// encoding/json does not look for.
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
	for _, seed := range []string{"", "\ufeff1", `"\ud800\ud800\udc00"`, "[1,\r\n2\r]", "\xff", "{\"a\":{}}\x00", `{"a":1,"\u0061":2}`, "/*", "'"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		problems := formattest.Contract(t, json.New(), content)
		bare := bytes.TrimPrefix(content, []byte("\ufeff"))
		valid, failed := stdjson.Valid(bare), false
		for _, p := range problems {
			if p.Severity != config.SeverityError {
				continue
			}
			failed = true
			beyond := strings.Contains(p.Message, "is there already") || strings.Contains(p.Message, "UTF-8") || strings.Contains(p.Message, "nested deeper")
			if valid && !beyond {
				t.Errorf("%q is valid, but: %s", content, p)
			}
		}
		switch {
		case failed:
		case !valid:
			t.Errorf("%q is not valid, but has no error", content)
		default:
			agrees(t, content)
		}
	})
}

func BenchmarkCheck(b *testing.B) { benchmark(b, func(c []byte) { json.New().Check(c) }) }
func BenchmarkParse(b *testing.B) {
	benchmark(b, func(c []byte) {
		if _, err := json.New().Parse(c); err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkValid is the floor: encoding/json on the same content.
func BenchmarkValid(b *testing.B) { benchmark(b, func(c []byte) { stdjson.Valid(c) }) }

func benchmark(b *testing.B, do func([]byte)) {
	content, err := os.ReadFile("testdata/kilobyte.json")
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		do(content)
	}
}
