package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"text/tabwriter"
	"time"
)

// table is a result for people.
type table struct {
	header []string
	rows   [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// show prints a result: the table, or the value as JSON or YAML.
func (a *app) show(value any, t table) error {
	if a.flags.output == "json" || a.flags.output == "yaml" {
		return a.encode(value)
	}
	var out bytes.Buffer
	w := tabwriter.NewWriter(&out, 0, 8, 2, ' ', 0)
	if len(t.header) > 0 {
		fmt.Fprintln(w, strings.Join(t.header, "\t"))
	}
	for _, row := range t.rows {
		for i, cell := range row {
			row[i] = strings.NewReplacer("\n", " ", "\t", " ").Replace(clean(cell))
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for line := range bytes.Lines(out.Bytes()) {
		if _, err := fmt.Fprintf(a.env.Stdout, "%s\n", bytes.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

// encode prints a value as JSON or YAML, with the names of the REST interface.
func (a *app) encode(value any) error {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(value); err != nil {
		return err
	}
	text := out.Bytes()
	if a.flags.output == "yaml" {
		var err error
		if text, err = jsonToYAML(text); err != nil {
			return err
		}
	}
	_, err := a.env.Stdout.Write(text)
	return err
}

// done prints what a change made: a sentence, or the value as JSON or YAML.
func (a *app) done(value any, format string, args ...any) error {
	if a.flags.output == "json" || a.flags.output == "yaml" {
		return a.encode(value)
	}
	if !a.flags.quiet {
		_, err := fmt.Fprintln(a.env.Stdout, clean(fmt.Sprintf(format, args...)))
		return err
	}
	return nil
}

// collect gathers a listing; most 0 is all of it. It is never nil, so that it
// encodes as a list.
func collect[T any](seq iter.Seq2[T, error], most int) ([]T, error) {
	all := []T{}
	for item, err := range seq {
		if err != nil {
			return all, err
		}
		if all = append(all, item); len(all) == most {
			break
		}
	}
	return all, nil
}

func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// size renders a number of bytes.
func size(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	v := float64(n)
	for _, unit := range []string{"KiB", "MiB", "GiB"} {
		if v /= 1024; v < 1024 {
			return fmt.Sprintf("%.1f %s", v, unit)
		}
	}
	return fmt.Sprintf("%.1f TiB", v/1024)
}

// short cuts a digest down to what tells two apart by eye.
func short(digest string) string { return digest[:min(len(digest), 12)] }

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// count renders "1 config", "2 configs".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
