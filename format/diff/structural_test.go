package diff_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/format"
	"github.com/setpointhq/setpoint/format/diff"
	jsonformat "github.com/setpointhq/setpoint/format/json"
	"github.com/setpointhq/setpoint/format/yaml"
)

func parse(t testing.TB, f format.Format, content string) *format.Node {
	t.Helper()
	if content == "" {
		return nil
	}
	tree, err := f.Parse([]byte(content))
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestStructural(t *testing.T) {
	for name, c := range map[string]struct {
		from, to string
		want     []string
	}{
		"equal":                 {`{"a": [1, {"b": 2}]}`, `{ "a":[1,{"b":2}] }`, nil},
		"order of keys":         {`{"a": 1, "b": {"c": 1, "d": 2}}`, `{"b": {"d": 2, "c": 1}, "a": 1}`, nil},
		"scalar":                {`{"a": 1}`, `{"a": 2}`, []string{"change /a number 1 -> number 2"}},
		"kind":                  {`{"a": 1}`, `{"a": "1"}`, []string{"change /a number 1 -> string 1"}},
		"null":                  {`{"a": null}`, `{"a": ""}`, []string{"change /a null null -> string "}},
		"add and remove":        {`{"a": 1, "b": 2}`, `{"b": 2, "c": [3]}`, []string{"remove /a number 1", "add /c list [3]"}},
		"deep":                  {`{"a": {"b": {"c": 1}}}`, `{"a": {"b": {"c": 2}}}`, []string{"change /a/b/c number 1 -> number 2"}},
		"escapes":               {`{"a/b": {"c~d": 1}}`, `{"a/b": {"c~d": 2}}`, []string{"change /a~1b/c~0d number 1 -> number 2"}},
		"empty key":             {`{"": 1}`, `{"": 2}`, []string{"change / number 1 -> number 2"}},
		"document":              {`1`, `[]`, []string{"change  number 1 -> list []"}},
		"empty list and map":    {`{"a": []}`, `{"a": {}}`, []string{"change /a list [] -> map {}"}},
		"document added":        {``, `{"a": "<"}`, []string{"add  map {\"a\":\"\\u003c\"}"}},
		"document removed":      {`{"a": 1}`, ``, []string{"remove  map {\"a\":1}"}},
		"insert in the middle":  {`["a", "b", "c"]`, `["a", "x", "b", "c"]`, []string{"add /1 string x"}},
		"insert and remove":     {`["a", "b", "c", "d"]`, `["b", "c", "x", "d"]`, []string{"remove /0 string a", "add /2 string x"}},
		"change in the middle":  {`["a", "b", "c"]`, `["a", "x", "c"]`, []string{"change /1 string b -> string x"}},
		"item changed, shifted": {`[{"name": "a", "v": 1}, {"name": "b", "v": 1}]`, `[{"name": "new", "v": 9}, {"name": "a", "v": 1}, {"name": "b", "v": 2}]`, []string{"add /0 map {\"name\":\"new\",\"v\":9}", "change /2/v (was /1/v) number 1 -> number 2"}},
		"items by name":         {`[{"name": "a", "v": 1}, {"name": "b", "v": 1}]`, `[{"name": "c", "v": 1}, {"name": "a", "v": 3}, {"name": "b", "v": 4}]`, []string{"add /0 map {\"name\":\"c\",\"v\":1}", "change /1/v (was /0/v) number 1 -> number 3", "change /2/v (was /1/v) number 1 -> number 4"}},
		"lists in lists":        {`[[1, 2], [3]]`, `[[1, 2, 9], [3]]`, []string{"add /0/2 number 9"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, change := range diff.Structural(parse(t, jsonformat.New(), c.from), parse(t, jsonformat.New(), c.to)) {
				got = append(got, show(change))
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("Structural (-want +got):\n%s", d)
			}
		})
	}
}

func show(c diff.Change) string {
	path := c.Path
	if c.FromPath != "" {
		path += " (was " + c.FromPath + ")"
	}
	switch c.Op {
	case diff.Add:
		return fmt.Sprintf("add %s %s %s", path, c.ToKind, c.To)
	case diff.Remove:
		return fmt.Sprintf("remove %s %s %s", path, c.FromKind, c.From)
	default:
		return fmt.Sprintf("%s %s %s %s -> %s %s", c.Op, path, c.FromKind, c.From, c.ToKind, c.To)
	}
}

func TestChangeAsJSON(t *testing.T) {
	changes := diff.Structural(parse(t, yaml.New(), "server:\n  port: 80\n"), parse(t, yaml.New(), "server:\n\n  port: 'x'\n"))
	got, err := json.Marshal(changes)
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"op":"change","path":"/server/port","from":"80","to":"x","from_kind":"number","to_kind":"string","from_line":2,"to_line":3}]`
	if string(got) != want {
		t.Errorf("JSON\n%s\nwant\n%s", got, want)
	}
}

func TestStructuralClipsValues(t *testing.T) {
	long := strings.Repeat("設", 1000)
	changes := diff.Structural(nil, &format.Node{Kind: format.List, Items: []*format.Node{{Kind: format.String, Text: long}, {Kind: format.String, Text: long}}})
	if to := changes[0].To; len(to) > 300 || !strings.HasSuffix(to, "…") || !strings.HasPrefix(to, `["設`) {
		t.Errorf("To = %q", to)
	}
}

// TestStructuralIsBounded compares documents that differ everywhere, and one
// whose paths are long.
func TestStructuralIsBounded(t *testing.T) {
	var a, b strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&a, "- {n: %d}\n", i)
		fmt.Fprintf(&b, "- {n: %d, m: 1}\n", i)
	}
	if n := len(diff.Structural(parse(t, yaml.New(), a.String()), parse(t, yaml.New(), b.String()))); n != diff.MaxChanges {
		t.Errorf("%d changes, want %d", n, diff.MaxChanges)
	}
	key := strings.Repeat("k", 100_000)
	from := fmt.Sprintf(`{%q: [%s0]}`, key, strings.Repeat("0,", 5000))
	to := fmt.Sprintf(`{%q: {}}`, key)
	if n := len(diff.Structural(parse(t, jsonformat.New(), from), parse(t, jsonformat.New(), to))); n != 1 {
		t.Errorf("%d changes, want 1", n)
	}
	to = fmt.Sprintf(`{%q: [%s1]}`, key, strings.Repeat("1,", 5000))
	size := 0
	for _, c := range diff.Structural(parse(t, jsonformat.New(), from), parse(t, jsonformat.New(), to)) {
		size += len(c.Path)
	}
	if size == 0 || size > 5<<20 {
		t.Errorf("%d bytes of paths, want some, but not more than a few MiB", size)
	}
}

// FuzzStructural holds what is true of any two documents.
func FuzzStructural(f *testing.F) {
	f.Add(`{"a": [1, 2, {"b": null}]}`, `{"a": [2, {"b": {}}], "c": 1}`)
	f.Add(`[[1], [2], [3]]`, `[[1], [3], [2], [2]]`)
	f.Fuzz(func(t *testing.T, a, b string) {
		from, err := jsonformat.New().Parse([]byte(a))
		if err != nil {
			return
		}
		to, err := jsonformat.New().Parse([]byte(b))
		if err != nil {
			return
		}
		if changes := diff.Structural(from, from); len(changes) > 0 {
			t.Errorf("%q differs from itself: %v", a, changes)
		}
		there, again, back := diff.Structural(from, to), diff.Structural(from, to), diff.Structural(to, from)
		if d := cmp.Diff(there, again); d != "" {
			t.Errorf("not the same twice:\n%s", d)
		}
		if (len(there) == 0) != (len(back) == 0) {
			t.Errorf("%q to %q has %d changes, and back %d", a, b, len(there), len(back))
		}
		for _, c := range there {
			if c.Op != diff.Remove && at(to, c.Path) == nil || c.Op == diff.Remove && at(from, c.Path) == nil {
				t.Errorf("%+v: nothing is there", c)
			}
		}
	})
}

// at follows a JSON Pointer.
func at(n *format.Node, pointer string) *format.Node {
	if pointer == "" {
		return n
	}
	unescape := strings.NewReplacer("~1", "/", "~0", "~")
	for _, key := range strings.Split(pointer[1:], "/") {
		var next *format.Node
		for _, m := range n.Members {
			if m.Key == unescape.Replace(key) {
				next = m.Value
			}
		}
		for i, item := range n.Items {
			if fmt.Sprint(i) == key {
				next = item
			}
		}
		if next == nil {
			return nil
		}
		n = next
	}
	return n
}

func BenchmarkStructural(b *testing.B) {
	from := parse(b, yaml.New(), strings.Repeat("- {name: a, port: 80, tags: [x, y]}\n", 30))
	to := parse(b, yaml.New(), strings.Repeat("- {name: a, port: 80, tags: [x, y]}\n", 15)+"- new\n"+strings.Repeat("- {name: a, port: 80, tags: [x, y]}\n", 15))
	b.ReportAllocs()
	for b.Loop() {
		diff.Structural(from, to)
	}
}
