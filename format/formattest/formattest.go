// Package formattest is the one suite that every driver of package format
// passes. A driver's test calls Run with the cases that a text file cannot
// hold; all others are golden files in its testdata.
//
// Each testdata/*.txtar holds any number of inputs. What a file "NAME" gives is
// in "NAME.problems" (absent if there are none) and "NAME.tree" (absent if it
// does not parse). The flag -update writes them anew.
package formattest

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/format"
)

var update = flag.Bool("update", false, "write the golden files of testdata anew") //nolint:gochecknoglobals // a flag must be there before flags are parsed

// Case is one input that a text file cannot hold well: other line breaks, a
// byte order mark, wrong bytes.
type Case struct {
	Name    string
	Content string
	// Problems are what Check must report, in order, each rendered as
	// "error 3:5: message". A want that ends with "…" is a prefix.
	Problems []string
}

// Run runs the suite on a driver, from the driver's own folder.
func Run(t *testing.T, f format.Format, cases []Case) {
	t.Run("names", func(t *testing.T) { names(t, f) })
	t.Run("golden", func(t *testing.T) { golden(t, f) })
	for _, c := range cases {
		t.Run("case/"+c.Name, func(t *testing.T) {
			problems := Contract(t, f, []byte(c.Content))
			var got []string
			for i, p := range problems {
				line := fmt.Sprintf("%s %s", p.Severity, p)
				if prefix, ok := strings.CutSuffix(at(c.Problems, i), "…"); ok && strings.HasPrefix(line, prefix) {
					line = c.Problems[i]
				}
				got = append(got, line)
			}
			if diff := cmp.Diff(c.Problems, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("hostile", func(t *testing.T) { hostile(t, f) })
	t.Run("concurrent", func(t *testing.T) { concurrent(t, f) })
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return ""
}

func names(t *testing.T, f format.Format) {
	if f.Name() == "" || f.Name() != strings.ToLower(f.Name()) {
		t.Errorf("Name() = %q, want a lower-case word", f.Name())
	}
	if len(f.Extensions()) == 0 {
		t.Error("Extensions() is empty")
	}
	for _, ext := range f.Extensions() {
		if ext != format.AnyExtension && (!strings.HasPrefix(ext, ".") || ext != strings.ToLower(ext)) {
			t.Errorf("extension %q, want a dot and lower case", ext)
		}
	}
	if !strings.Contains(f.MediaType(), "/") {
		t.Errorf("MediaType() = %q, want type/subtype", f.MediaType())
	}
}

// Contract checks what holds for any content, whatever the format, and returns
// the problems. Fuzz targets call it too.
func Contract(t testing.TB, f format.Format, content []byte) []config.Problem {
	t.Helper()
	before := bytes.Clone(content)
	problems := f.Check(content)
	tree, err := f.Parse(content)
	if !bytes.Equal(before, content) {
		t.Fatal("the content was changed")
	}
	failed := false
	source := format.NewSource(content)
	for i, p := range problems {
		failed = failed || p.Severity == config.SeverityError
		well(t, source, p)
		if i > 0 && (p.Line < problems[i-1].Line || p.Line == problems[i-1].Line && p.Column < problems[i-1].Column) {
			t.Errorf("problem %q comes after %q", p, problems[i-1])
		}
	}
	switch {
	case failed != (err != nil):
		t.Fatalf("Check reports an error: %t, but Parse returns %v", failed, err)
	case err == nil:
		node(t, tree, 0)
		return problems
	}
	var e *config.Error
	if !errors.As(err, &e) || e.Kind != config.Invalid {
		t.Fatalf("Parse returns %v, want a *config.Error of kind %s", err, config.Invalid)
	}
	if diff := cmp.Diff(problems, e.Problems); diff != "" {
		t.Fatalf("problems of Check and Parse differ (-check +parse):\n%s", diff)
	}
	return problems
}

// well checks one problem: a place within the content, a severity, words.
func well(t testing.TB, source *format.Source, p config.Problem) {
	t.Helper()
	if p.Severity != config.SeverityError && p.Severity != config.SeverityWarning {
		t.Errorf("problem %q has severity %q", p, p.Severity)
	}
	if p.Message == "" || strings.Contains(p.Message, "\n") || len(p.Message) > 500 {
		t.Errorf("problem with message %q, want one short line", p.Message)
	}
	line, column := source.Position(source.Offset(p.Line, p.Column))
	if line != p.Line || column != p.Column {
		t.Errorf("problem %q is not at a place of the content; the nearest is %d:%d", p, line, column)
	}
	if want := source.Excerpt(p.Line, p.Column); p.Excerpt != want {
		t.Errorf("problem %q has excerpt\n%s\nwant\n%s", p, p.Excerpt, want)
	}
}

// node checks the form of a tree. Aliases may make one much larger than its
// content, so it looks at a bounded part.
func node(t testing.TB, n *format.Node, depth int) {
	t.Helper()
	const enough = 20
	switch {
	case n == nil:
		t.Fatal("the tree has a nil node")
	case depth > format.MaxDepth+1:
		t.Fatalf("the tree is deeper than %d", format.MaxDepth)
	case n.Line < 1 || n.Column < 1:
		t.Errorf("%s %q has no place: %d:%d", n.Kind, n.Text, n.Line, n.Column)
	case n.Kind != format.List && n.Items != nil, n.Kind != format.Map && n.Members != nil:
		t.Errorf("%s at %d:%d has items or members", n.Kind, n.Line, n.Column)
	}
	seen := map[string]bool{}
	for _, m := range n.Members {
		if seen[m.Key] {
			t.Errorf("key %q is twice in the map at %d:%d", m.Key, n.Line, n.Column)
		}
		seen[m.Key] = true
	}
	for i, m := range n.Members {
		if i < enough {
			node(t, m.Value, depth+1)
		}
	}
	for i, item := range n.Items {
		if i < enough {
			node(t, item, depth+1)
		}
	}
}

func concurrent(t *testing.T, f format.Format) {
	var inputs [][]byte
	for _, archive := range archives(t) {
		for _, file := range archive.Files {
			inputs = append(inputs, file.Data)
		}
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for _, content := range inputs {
				f.Check(content)
				if _, err := f.Parse(content); err != nil && config.KindOf(err) != config.Invalid {
					t.Errorf("Parse: %v", err)
				}
			}
		})
	}
	wg.Wait()
}

func archives(t *testing.T) map[string]*txtar.Archive {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no testdata/*.txtar (%v)", err)
	}
	all := map[string]*txtar.Archive{}
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all[path] = archive
	}
	return all
}

func golden(t *testing.T, f format.Format) {
	for path, archive := range archives(t) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			got := &txtar.Archive{Comment: archive.Comment}
			for _, file := range archive.Files {
				if strings.HasSuffix(file.Name, ".problems") || strings.HasSuffix(file.Name, ".tree") {
					continue
				}
				got.Files = append(got.Files, file)
				if problems := Contract(t, f, file.Data); len(problems) > 0 {
					got.Files = append(got.Files, txtar.File{Name: file.Name + ".problems", Data: render(problems)})
				}
				if tree, err := f.Parse(file.Data); err == nil {
					got.Files = append(got.Files, txtar.File{Name: file.Name + ".tree", Data: []byte(Dump(tree))})
				}
			}
			if *update {
				if err := os.WriteFile(path, txtar.Format(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(txtar.Format(archive)), string(txtar.Format(got))); diff != "" && !*update {
				t.Errorf("%s (-want +got); -update accepts it:\n%s", path, diff)
			}
		})
	}
}

func render(problems []config.Problem) []byte {
	var b bytes.Buffer
	for _, p := range problems {
		fmt.Fprintf(&b, "%s %s\n%s\n", p.Severity, p, p.Excerpt)
		if p.Hint != "" {
			fmt.Fprintf(&b, "hint: %s\n", p.Hint)
		}
		b.WriteByte('\n')
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// Dump renders a tree, a line a node, with the places.
func Dump(n *format.Node) string {
	var b strings.Builder
	dump(&b, n, "", "")
	return b.String()
}

func dump(b *strings.Builder, n *format.Node, indent, label string) {
	fmt.Fprintf(b, "%s%s%s", indent, label, n.Kind)
	if n.Kind == format.String {
		fmt.Fprintf(b, " %q", n.Text)
	} else if n.Text != "" {
		fmt.Fprintf(b, " %s", n.Text)
	}
	fmt.Fprintf(b, " @%d:%d\n", n.Line, n.Column)
	for _, m := range n.Members {
		dump(b, m.Value, indent+"  ", m.Key+": ")
	}
	for _, item := range n.Items {
		dump(b, item, indent+"  ", "- ")
	}
}
