package fault

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/test/fault/check"
	"github.com/setpointhq/setpoint/test/fault/history"
)

// figures are what one trial has measured.
type figures struct {
	scenario string
	faults   int
	ok       map[bool]int // by whether it was a write
	refused  int
	unknown  int
	events   int
	lost     int
	// writeGap is the longest time without an acknowledged write while something
	// was broken; readGap that without a plain read on any one node, but for those
	// that were dead, frozen or behind the slow link.
	writeGap, readGap time.Duration
	refusedIn         time.Duration // until a node that was cut off refused a write
	revoked           time.Duration // until a revoked token was refused
}

// report gathers the figures of all trials.
type report struct {
	mu   sync.Mutex
	rows []figures
}

func (r *report) add(f figures) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows = append(r.rows, f)
}

// count takes the numbers of a history.
func (f *figures) count(ops []history.Op, watches []history.Watch) {
	if f.ok == nil {
		f.ok = map[bool]int{}
	}
	for _, o := range ops {
		switch o.Outcome {
		case history.OK:
			f.ok[o.Kind.Writes()]++
		case history.Refused:
			f.refused++
		case history.Unknown:
			f.unknown++
		}
	}
	for _, w := range watches {
		f.events += len(w.Seen)
	}
}

// table is the report as Markdown, one row for each scenario.
func (r *report) table() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	fmt.Fprintln(&b, "| scenario | runs | faults | writes | reads | events | refused | unknown | longest write gap | longest read gap | cut off, refused within | revoked within | lost |")
	fmt.Fprintln(&b, "| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |")
	var order []string
	rows := map[string]figures{}
	runs := map[string]int{}
	for _, row := range r.rows {
		if runs[row.scenario] == 0 {
			order = append(order, row.scenario)
		}
		runs[row.scenario]++
		rows[row.scenario] = sum(rows[row.scenario], row)
	}
	total := figures{}
	for _, name := range order {
		total = sum(total, rows[name])
		line(&b, name, runs[name], rows[name])
	}
	line(&b, "**together**", len(r.rows), total)
	return b.String()
}

func sum(a, b figures) figures {
	return figures{
		faults: a.faults + b.faults, refused: a.refused + b.refused, unknown: a.unknown + b.unknown,
		ok:     map[bool]int{true: a.ok[true] + b.ok[true], false: a.ok[false] + b.ok[false]},
		events: a.events + b.events, lost: a.lost + b.lost,
		writeGap: max(a.writeGap, b.writeGap), readGap: max(a.readGap, b.readGap), revoked: max(a.revoked, b.revoked),
		refusedIn: max(a.refusedIn, b.refusedIn),
	}
}

func line(b *strings.Builder, name string, runs int, f figures) {
	fmt.Fprintf(b, "| %s | %d | %d | %d | %d | %d | %d | %d | %s | %s | %s | %s | %d |\n", name, runs, f.faults,
		f.ok[true], f.ok[false], f.events, f.refused, f.unknown, span(f.writeGap), span(f.readGap), span(f.refusedIn), span(f.revoked), f.lost)
}

func span(d time.Duration) string {
	if d == 0 {
		return "–"
	}
	return d.Round(time.Millisecond).String()
}

// write prints the table, and writes it to the file that FAULTS_REPORT names.
func (r *report) write(t *testing.T) {
	t.Helper()
	text := r.table()
	t.Logf("\n%s", text)
	if name := os.Getenv("FAULTS_REPORT"); name != "" {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Error(err)
		}
	}
}

func TestReport(t *testing.T) {
	var r report
	r.add(figures{scenario: "one", faults: 1, ok: map[bool]int{true: 10, false: 20}, unknown: 3, events: 5, writeGap: 1500 * time.Millisecond, revoked: time.Millisecond})
	r.add(figures{scenario: "one", faults: 2, ok: map[bool]int{true: 1}, refused: 2, writeGap: time.Second, readGap: 20 * time.Millisecond})
	r.add(figures{scenario: "two", lost: 1})
	want := []string{
		"| one | 2 | 3 | 11 | 20 | 5 | 2 | 3 | 1.5s | 20ms | – | 1ms | 0 |",
		"| two | 1 | 0 | 0 | 0 | 0 | 0 | 0 | – | – | – | – | 1 |",
		"| **together** | 3 | 3 | 11 | 20 | 5 | 2 | 3 | 1.5s | 20ms | – | 1ms | 1 |",
	}
	got := strings.Split(strings.TrimSpace(r.table()), "\n")
	if len(got) != 5 || strings.Join(got[2:], "\n") != strings.Join(want, "\n") {
		t.Errorf("want\n%s\ngot\n%s", strings.Join(want, "\n"), strings.Join(got, "\n"))
	}
}

// longest is the longest of revocations.
func longest(all []check.Revocation) (most time.Duration) {
	for _, r := range all {
		most = max(most, r.Took)
	}
	return most
}
