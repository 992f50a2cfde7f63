package format_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/format"
)

func TestPosition(t *testing.T) {
	for name, c := range map[string]struct {
		content      string
		offset       int
		line, column int
	}{
		"empty":               {"", 0, 1, 1},
		"first":               {"ab", 0, 1, 1},
		"end":                 {"ab", 2, 1, 3},
		"beyond the end":      {"ab", 9, 1, 3},
		"before the start":    {"ab", -1, 1, 1},
		"at a line feed":      {"a\nb", 1, 1, 2},
		"after a line feed":   {"a\nb", 2, 2, 1},
		"within crlf":         {"a\r\nb", 2, 1, 3},
		"after crlf":          {"a\r\nb", 3, 2, 1},
		"after cr":            {"a\rb", 2, 2, 1},
		"after the last line": {"a\n", 2, 2, 1},
		"after wide":          {"é設😀x", 9, 1, 4},
		"within a character":  {"設x", 1, 1, 1},
		"after wrong bytes":   {"\xff\xfe\x80x", 3, 1, 4},
		"after a mark":        {"\ufeffab", 1, 1, 2},
		"far along a line":    {strings.Repeat("設", 1000) + "x", 3000, 1, 1001},
		"far down":            {strings.Repeat("設\n", 1000) + "x", 4000, 1001, 1},
	} {
		t.Run(name, func(t *testing.T) {
			line, column := format.NewSource([]byte(c.content)).Position(c.offset)
			if line != c.line || column != c.column {
				t.Errorf("Position(%d) = %d:%d, want %d:%d", c.offset, line, column, c.line, c.column)
			}
		})
	}
}

// FuzzPosition holds the index against counting character by character.
func FuzzPosition(f *testing.F) {
	f.Add([]byte("a\r\n\rb\n"))
	f.Add([]byte(strings.Repeat("設é", 50) + "\n" + strings.Repeat("\xff", 70)))
	f.Fuzz(func(t *testing.T, content []byte) {
		source := format.NewSource(content)
		content = source.Content()
		line, column := 1, 1
		for at := 0; at <= len(content); {
			gotLine, gotColumn := source.Position(at)
			if gotLine != line || gotColumn != column {
				t.Fatalf("Position(%d) of %q = %d:%d, want %d:%d", at, content, gotLine, gotColumn, line, column)
			}
			breaking := at < len(content) && (content[at] == '\n' || content[at] == '\r')
			if back := source.Offset(line, column); back != at && !breaking {
				t.Fatalf("Offset(%d, %d) of %q = %d, want %d", line, column, content, back, at)
			}
			source.Excerpt(line, column)
			r, size := utf8.DecodeRune(content[at:])
			at += max(size, 1)
			column++
			if r == '\n' || r == '\r' && (at == len(content) || content[at] != '\n') {
				line, column = line+1, 1
			}
		}
	})
}

func TestExcerpt(t *testing.T) {
	long := strings.Repeat("abcdefghi ", 30)
	for name, c := range map[string]struct {
		content      string
		line, column int
		want         string
	}{
		"first line":         {"port: x", 1, 7, "1 | port: x\n  |       ^"},
		"line before":        {"a\nb\nc", 2, 1, "1 | a\n2 | b\n  | ^"},
		"tenth line":         {strings.Repeat("a\n", 12), 10, 1, " 9 | a\n10 | a\n   | ^"},
		"empty":              {"", 1, 1, "1 |\n  | ^"},
		"end of content":     {"a\n", 2, 1, "1 | a\n2 |\n  | ^"},
		"end of line":        {"ab\nc", 1, 3, "1 | ab\n  |   ^"},
		"beyond the content": {"ab", 7, 99, "1 | ab\n  |   ^"},
		"before the content": {"ab", 0, 0, "1 | ab\n  | ^"},
		"tabs":               {"\ta\tb", 1, 4, "1 |     a    b\n  |          ^"},
		"wide characters":    {"設定: x", 1, 5, "1 | 設定: x\n  |       ^"},
		"combining":          {"e\u0301 x", 1, 4, "1 | e\u0301 x\n  |   ^"},
		"crlf":               {"a\r\nb\r\n", 2, 2, "1 | a\n2 | b\n  |  ^"},
		"byte order mark":    {"\ufeffab", 1, 2, "1 | ab\n  |  ^"},
		"what does not show": {"a\x00\x1b\u202eb\xff!", 1, 7, "1 | a���b�!\n  |       ^"},
		"long line, its start": {long, 1, 5,
			"1 | " + long[:100] + "…\n  |     ^"},
		"long line, its middle": {"short\n" + long, 2, 151,
			"1 | …\n2 | …" + long[90:190] + "…\n  | " + strings.Repeat(" ", 61) + "^"},
		"long line, its end": {long, 1, 300,
			"1 | …" + strings.TrimRight(long[239:], " ") + "\n  | " + strings.Repeat(" ", 61) + "^"},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, format.Excerpt([]byte(c.content), c.line, c.column)); diff != "" {
				t.Errorf("Excerpt(%d, %d) (-want +got):\n%s", c.line, c.column, diff)
			}
		})
	}
}

func TestReportKeepsErrorsBesideManyWarnings(t *testing.T) {
	r := format.NewReport([]byte("a\nb"))
	for range 2 * format.MaxProblems {
		r.Warnf(0, "", "odd")
	}
	if r.Failed() {
		t.Error("warnings alone make it fail")
	}
	r.Errorf(2, "mend it", "wrong %d", 1)
	problems := r.Problems()
	if len(problems) != format.MaxProblems+1 {
		t.Fatalf("%d problems, want %d", len(problems), format.MaxProblems+1)
	}
	want := config.Problem{Line: 2, Column: 1, Severity: config.SeverityError, Message: "wrong 1", Excerpt: "1 | a\n2 | b\n  | ^", Hint: "mend it"}
	if diff := cmp.Diff(want, problems[format.MaxProblems]); diff != "" {
		t.Errorf("the error (-want +got):\n%s", diff)
	}
}

func TestInvalid(t *testing.T) {
	problem := func(line int, severity config.Severity) config.Problem {
		return config.Problem{Line: line, Column: 1, Severity: severity, Message: "m"}
	}
	for name, c := range map[string]struct {
		problems []config.Problem
		want     string
	}{
		"one":      {[]config.Problem{problem(3, config.SeverityError)}, "parse json: invalid: 3:1: m"},
		"several":  {[]config.Problem{problem(1, config.SeverityWarning), problem(3, config.SeverityError), problem(4, config.SeverityError)}, "parse json: invalid: 3:1: m (and 1 more)"},
		"warnings": {[]config.Problem{problem(1, config.SeverityWarning)}, "parse json: invalid: 1 warnings"},
	} {
		t.Run(name, func(t *testing.T) {
			err := format.Invalid("parse json", c.problems)
			if err.Error() != c.want || err.Kind != config.Invalid || len(err.Problems) != len(c.problems) {
				t.Errorf("Invalid = %v with %d problems, want %q", err, len(err.Problems), c.want)
			}
		})
	}
}
