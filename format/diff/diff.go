// Package diff tells what differs between two versions of a config: as text,
// line by line, and for formats that parse, value by value.
//
// Both are bounded: on content that differs in very many places they may say it
// less finely, never wrongly.
package diff

import (
	"fmt"
	"strings"

	"github.com/aymanbagabas/go-udiff/lcs"
)

// Labelled is one side of a text diff. The name is shown in its header.
type Labelled struct {
	Name    string
	Content []byte
}

// refinements bounds how often a block of changes is compared again. The
// library gives up after about a hundred changes, and calls all between the
// first and the last of them one block.
const refinements = 64

// Unified returns the unified diff of two texts, as diff -u and git write it,
// with context unchanged lines around each change; "" if they are equal. Only
// LF ends a line, so that a change of CRLF to LF shows.
func Unified(from, to Labelled, context int) string {
	a, b := lines(from.Content), lines(to.Content)
	changes := compare(a, b)
	if len(changes) == 0 {
		return ""
	}
	context = max(context, 0)
	var out strings.Builder
	fmt.Fprintf(&out, "--- %s\n+++ %s\n", label(from.Name), label(to.Name))
	for len(changes) > 0 {
		n := 1
		for n < len(changes) && changes[n].Start-changes[n-1].End <= 2*context {
			n++
		}
		hunk(&out, a, b, changes[:n], context)
		changes = changes[n:]
	}
	return out.String()
}

// lines splits content after each LF; the last line may lack one.
func lines(content []byte) []string {
	all := strings.SplitAfter(string(content), "\n")
	if all[len(all)-1] == "" {
		all = all[:len(all)-1]
	}
	return all
}

// label keeps a name on the one line that the header has for it.
func label(name string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' {
			return '?'
		}
		return r
	}, name)
}

// compare returns what to replace in a to get b, in order. It is linear in the
// length of both, times a constant that refinements sets.
func compare(a, b []string) []lcs.Diff {
	var done []lcs.Diff
	open := lcs.DiffLines(a, b)
	for left := refinements; len(open) > 0; {
		d := open[0]
		open = open[1:]
		if left == 0 || d.Start == d.End || d.ReplStart == d.ReplEnd {
			done = append(done, d)
			continue
		}
		finer := lcs.DiffLines(a[d.Start:d.End], b[d.ReplStart:d.ReplEnd])
		if len(finer) == 1 && finer[0].End-finer[0].Start == d.End-d.Start {
			done = append(done, d)
			continue
		}
		left--
		for i := range finer {
			finer[i].Start += d.Start
			finer[i].End += d.Start
			finer[i].ReplStart += d.ReplStart
			finer[i].ReplEnd += d.ReplStart
		}
		open = append(finer, open...)
	}
	return done
}

// hunk writes changes that lie close together, with the lines around them.
func hunk(out *strings.Builder, a, b []string, changes []lcs.Diff, context int) {
	first, last := changes[0], changes[len(changes)-1]
	before := min(context, first.Start)
	after := min(context, len(a)-last.End)
	fmt.Fprintf(out, "@@ -%s +%s @@\n",
		span(first.Start-before, last.End+after), span(first.ReplStart-before, last.ReplEnd+after))
	at := first.Start - before
	for _, d := range changes {
		write(out, ' ', a[at:d.Start])
		write(out, '-', a[d.Start:d.End])
		write(out, '+', b[d.ReplStart:d.ReplEnd])
		at = d.End
	}
	write(out, ' ', a[at:at+after])
}

// span renders lines [start, end), counted from 0, as a hunk's header has them.
func span(start, end int) string {
	switch end - start {
	case 0:
		return fmt.Sprintf("%d,0", start)
	case 1:
		return fmt.Sprintf("%d", end)
	default:
		return fmt.Sprintf("%d,%d", start+1, end-start)
	}
}

func write(out *strings.Builder, mark byte, lines []string) {
	for _, line := range lines {
		out.WriteByte(mark)
		out.WriteString(line)
		if !strings.HasSuffix(line, "\n") {
			out.WriteString("\n\\ No newline at end of file\n")
		}
	}
}
