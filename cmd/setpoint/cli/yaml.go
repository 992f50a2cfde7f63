package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// yamlWriter renders JSON as YAML for people: keys in their order, text with
// many lines as blocks, and quotes, in JSON's manner, wherever a reader of YAML
// could take text for something else.
type yamlWriter struct {
	in  *json.Decoder
	out bytes.Buffer
}

func jsonToYAML(text []byte) ([]byte, error) {
	w := &yamlWriter{in: json.NewDecoder(bytes.NewReader(text))}
	w.in.UseNumber()
	if err := w.value(0, false); err != nil {
		return nil, err
	}
	return w.out.Bytes(), nil
}

// value renders the next value at a depth. Where the line has begun already,
// with a key or a dash, a collection of a key goes to the next line.
func (w *yamlWriter) value(depth int, afterKey bool) error {
	token, err := w.in.Token()
	if err != nil {
		return err
	}
	switch v := token.(type) {
	case json.Delim:
		return w.collection(v, depth, afterKey)
	case string:
		w.lead(afterKey)
		w.text(v, depth)
	case nil:
		w.lead(afterKey)
		w.out.WriteString("null\n")
	default:
		w.lead(afterKey)
		fmt.Fprintln(&w.out, v)
	}
	return nil
}

func (w *yamlWriter) lead(afterKey bool) {
	if afterKey {
		w.out.WriteByte(' ')
	}
}

func (w *yamlWriter) collection(open json.Delim, depth int, afterKey bool) error {
	if !w.in.More() {
		w.lead(afterKey)
		w.out.WriteString(map[json.Delim]string{'{': "{}\n", '[': "[]\n"}[open])
		_, err := w.in.Token()
		return err
	}
	if afterKey {
		w.out.WriteByte('\n')
	}
	for first := !afterKey; w.in.More(); first = false {
		if !first { // the first follows the dash that it belongs to
			w.out.WriteString(strings.Repeat("  ", depth))
		}
		if err := w.entry(open, depth); err != nil {
			return err
		}
	}
	_, err := w.in.Token()
	return err
}

func (w *yamlWriter) entry(open json.Delim, depth int) error {
	if open == '[' {
		w.out.WriteString("- ")
		return w.value(depth+1, false)
	}
	key, err := w.in.Token()
	if err != nil {
		return err
	}
	w.out.WriteString(scalar(fmt.Sprint(key)))
	w.out.WriteByte(':')
	return w.value(depth+1, true)
}

// text renders a string, as a block if it has many lines that a block can hold.
func (w *yamlWriter) text(s string, depth int) {
	if !blockable(s) {
		w.out.WriteString(scalar(s) + "\n")
		return
	}
	body, chomp := strings.CutSuffix(s, "\n")
	mark := "|-\n"
	if chomp {
		mark = "|\n"
	}
	w.out.WriteString(mark)
	for line := range strings.SplitSeq(body, "\n") {
		if line != "" {
			w.out.WriteString(strings.Repeat("  ", max(depth, 1)) + line)
		}
		w.out.WriteByte('\n')
	}
}

// blockable says that a block gives back exactly this text: no blanks at its
// beginning or at the ends of lines, no empty lines at its ends, and nothing that cannot be seen.
func blockable(s string) bool {
	return strings.Contains(strings.TrimSuffix(s, "\n"), "\n") &&
		!strings.HasSuffix(s, "\n\n") && !strings.ContainsAny(s[:1], " \t\n") &&
		!strings.Contains(s+"\n", " \n") && !strings.Contains(s+"\n", "\t\n") &&
		strings.IndexFunc(s, func(r rune) bool { return r != '\n' && r != '\t' && hidden(r) }) < 0
}

func hidden(r rune) bool {
	return r < ' ' || r >= 0x7f && r <= 0xa0 || r == '\u2028' || r == '\u2029' || r == '\uFEFF' || r == utf8.RuneError || r > 0xffff ||
		r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r >= 0xfff0
}

// Text that no reader takes for anything but text, however old.
var (
	plainTypes = regexp.MustCompile(`^[A-Za-z_/][A-Za-z0-9_./@+-]*( [A-Za-z0-9_./@+-]+)*$`)
	otherWords = regexp.MustCompile(`(?i)^(true|false|yes|no|on|off|y|n|null|nan|inf)$`)
)

// scalar renders a string on one line.
func scalar(s string) string {
	if plainTypes.MatchString(s) && !otherWords.MatchString(s) {
		return s
	}
	var quoted bytes.Buffer
	enc := json.NewEncoder(&quoted)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // strings always encode
	var b strings.Builder
	for _, r := range strings.TrimSuffix(quoted.String(), "\n") {
		switch {
		case r <= 0xffff && hidden(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
