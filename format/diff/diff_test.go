package diff_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/format/diff"
)

func TestUnified(t *testing.T) {
	ten := "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n"
	for name, c := range map[string]struct {
		from, to string
		context  int
		want     string
	}{
		"equal":                  {"a\n", "a\n", 3, ""},
		"both empty":             {"", "", 3, ""},
		"from nothing":           {"", "a\nb\n", 3, "@@ -0,0 +1,2 @@\n+a\n+b\n"},
		"to nothing":             {"a\n", "", 3, "@@ -1 +0,0 @@\n-a\n"},
		"final newline added":    {"a\nb", "a\nb\n", 3, "@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+b\n"},
		"final newline removed":  {"a\nb\n", "a\nb", 3, "@@ -1,2 +1,2 @@\n a\n-b\n+b\n\\ No newline at end of file\n"},
		"no final newline":       {"a\nb", "c\nb", 3, "@@ -1,2 +1,2 @@\n-a\n+c\n b\n\\ No newline at end of file\n"},
		"crlf to lf":             {"a\r\nb\n", "a\nb\n", 3, "@@ -1,2 +1,2 @@\n-a\r\n+a\n b\n"},
		"crlf kept":              {"a\r\nb\r\n", "a\r\nc\r\n", 3, "@@ -1,2 +1,2 @@\n a\r\n-b\r\n+c\r\n"},
		"context":                {ten, strings.Replace(ten, "5", "five", 1), 1, "@@ -4,3 +4,3 @@\n 4\n-5\n+five\n 6\n"},
		"no context":             {ten, strings.Replace(ten, "5\n", "", 1), 0, "@@ -5 +4,0 @@\n-5\n"},
		"no context, insert":     {ten, strings.Replace(ten, "5\n", "5\nx\n", 1), 0, "@@ -5,0 +6 @@\n+x\n"},
		"hunks that touch":       {ten, strings.NewReplacer("2\n", "", "5\n", "").Replace(ten), 1, "@@ -1,6 +1,4 @@\n 1\n-2\n 3\n 4\n-5\n 6\n"},
		"hunks apart":            {ten, strings.NewReplacer("2\n", "", "6\n", "").Replace(ten), 1, "@@ -1,3 +1,2 @@\n 1\n-2\n 3\n@@ -5,3 +4,2 @@\n 5\n-6\n 7\n"},
		"negative context":       {"a\n", "b\n", -1, "@@ -1 +1 @@\n-a\n+b\n"},
		"lines that look marked": {"-a\n", "--- b\n", 3, "@@ -1 +1 @@\n--a\n+--- b\n"},
	} {
		t.Run(name, func(t *testing.T) {
			want := c.want
			if want != "" {
				want = "--- app.yaml@1\n+++ app.yaml@2\n" + want
			}
			got := diff.Unified(diff.Labelled{Name: "app.yaml@1", Content: []byte(c.from)}, diff.Labelled{Name: "app.yaml@2", Content: []byte(c.to)}, c.context)
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("Unified (-want +got):\n%s", d)
			}
		})
	}
}

func TestUnifiedKeepsNamesOnTheirLine(t *testing.T) {
	got := diff.Unified(diff.Labelled{Name: "a\n+++ b"}, diff.Labelled{Name: "b", Content: []byte("x\n")}, 3)
	if want := "--- a?+++ b\n+++ b\n@@ -0,0 +1 @@\n+x\n"; got != want {
		t.Errorf("Unified = %q, want %q", got, want)
	}
}

// TestUnifiedStaysFineWithManyChanges changes every tenth line of many: more
// than the library follows in one go.
func TestUnifiedStaysFineWithManyChanges(t *testing.T) {
	const changed = 1000
	var from, to strings.Builder
	for i := range 10 * changed {
		fmt.Fprintf(&from, "line %d\n", i)
		if i%10 == 5 {
			fmt.Fprintf(&to, "changed %d\n", i)
		} else {
			fmt.Fprintf(&to, "line %d\n", i)
		}
	}
	got := unified(from.String(), to.String(), 0)
	if n := strings.Count(got, "\n@@"); n != changed {
		t.Errorf("%d hunks, want %d", n, changed)
	}
}

func unified(from, to string, context int) string {
	return diff.Unified(diff.Labelled{Name: "a", Content: []byte(from)}, diff.Labelled{Name: "b", Content: []byte(to)}, context)
}

// TestUnifiedOfLargeContent is for its end: whatever differs, it comes.
func TestUnifiedOfLargeContent(t *testing.T) {
	const size = 1 << 20
	contents := []string{
		"a\nb\n",
		strings.Repeat("\n", size),
		strings.Repeat("x", size),
		numbers(size, 1),
		numbers(size, 3),
		strings.Repeat("a\n", size/2),
		strings.Repeat("a\nb\n", size/4),
		strings.Repeat("b\na\na\n", size/6),
	}
	for i, from := range contents {
		to := contents[(i+1)%len(contents)]
		if got := apply(t, from, unified(from, to, 3)); got != to {
			t.Errorf("the diff of content %d to the next does not lead there", i)
		}
	}
}

func numbers(size, step int) string {
	var b []byte
	for i := 0; len(b) < size; i += step {
		b = append(strconv.AppendInt(b, int64(i), 10), '\n')
	}
	return string(b)
}

func FuzzUnified(f *testing.F) {
	f.Add("a\nb\nc\n", "a\nc", 3)
	f.Add("", "\n", 0)
	f.Add("a\r\nb", "a\nb\r", 1)
	f.Add("a\nb\nc\nd\ne\nf\ng", "b\nc\nx\ne\ng\nf", 0)
	f.Fuzz(func(t *testing.T, from, to string, context int) {
		got := unified(from, to, context%10)
		if (got == "") != (from == to) {
			t.Fatalf("diff of %q and %q is %q", from, to, got)
		}
		if applied := apply(t, from, got); applied != to {
			t.Errorf("diff of %q and %q leads to %q:\n%s", from, to, applied, got)
		}
	})
}

// apply patches a text, strictly: every line of the diff must fit.
func apply(t *testing.T, from, patch string) string {
	t.Helper()
	if patch == "" {
		return from
	}
	old := strings.SplitAfter(from, "\n")
	var out []string
	at := 0
	lines := strings.SplitAfter(patch, "\n")[2:]
	for i, line := range lines {
		if line == "" {
			continue
		}
		text := line[1:]
		if i+1 < len(lines) && strings.HasPrefix(lines[i+1], "\\ No newline") {
			text = strings.TrimSuffix(text, "\n")
		}
		switch line[0] {
		case '@':
			var start, count int
			if n, err := fmt.Sscanf(strings.Replace(line, " +", ",1 +", 1), "@@ -%d,%d", &start, &count); n != 2 {
				t.Fatalf("header %q: %v", line, err)
			}
			if count > 0 {
				start--
			}
			out = append(out, old[at:start]...)
			at = start
		case ' ', '-':
			if at >= len(old) || old[at] != text {
				t.Fatalf("line %d is not %q", at+1, text)
			}
			if line[0] == ' ' {
				out = append(out, text)
			}
			at++
		case '+':
			out = append(out, text)
		}
	}
	return strings.Join(append(out, old[at:]...), "")
}

func BenchmarkUnified(b *testing.B) {
	from := strings.Repeat("key: value\nother: [1, 2, 3]\n", 40)
	to := strings.Replace(from, "value", "changed", 3)
	b.ReportAllocs()
	for b.Loop() {
		unified(from, to, 3)
	}
}
