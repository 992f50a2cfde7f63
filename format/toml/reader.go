package toml

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/setpointhq/setpoint/format"
)

// reader reads one document.
type reader struct {
	*format.Report
	parser unstable.Parser
	base   int // the offset of what the parser reads
	cursor int // the offset up to which the expression at hand was looked at
	tables
}

func newReader(content []byte) *reader {
	r := &reader{Report: format.NewReport(content)}
	r.root = &entry{kind: header, node: &format.Node{Kind: format.Map, Line: 1, Column: 1}}
	r.current = r.root
	return r
}

// document reads all expressions. After one that is broken it goes on with the
// next that surely is one.
func (r *reader) document() {
	if !r.Text() {
		return
	}
	content := r.Content()
	if n := len(content); n > 0 && content[n-1] != '\n' && content[n-1] != '\r' {
		// So that what ends too early ends with its line, and not, as the
		// library has it, with the character before the end.
		content = append(content[:len(content):len(content)], '\n')
	}
	for r.base >= 0 && r.base < len(content) && !r.Full() {
		r.cursor = r.base
		failure := r.expressions(content[r.base:len(content):len(content)])
		if failure == nil {
			return
		}
		r.explain(failure)
		r.base = r.next(failure.at)
	}
}

// mistake is one of syntax, as the library tells it.
type mistake struct {
	at      int
	message string
}

// expressions reads up to the end or a mistake. A panic of the library would be
// a defect of it that some content has found; the server must outlive that.
func (r *reader) expressions(data []byte) (found *mistake) {
	defer func() {
		if cause := recover(); cause != nil {
			found = &mistake{len(r.Content()), fmt.Sprintf("the TOML reader gave up: %v", cause)}
		}
	}()
	r.parser.Reset(data)
	for r.parser.NextExpression() {
		r.expression(r.parser.Expression())
		if r.Full() {
			return nil
		}
	}
	var failure *unstable.ParserError
	switch err := r.parser.Error(); {
	case err == nil:
		return nil
	case errors.As(err, &failure) && len(failure.Highlight) > 0:
		return &mistake{r.offset(r.parser.Range(failure.Highlight)), failure.Message}
	default:
		return &mistake{len(r.Content()), err.Error()}
	}
}

// expression reads a table header, or a key with its value.
func (r *reader) expression(n *unstable.Node) {
	switch n.Kind {
	case unstable.Table:
		r.table(r.key(n))
	case unstable.ArrayTable:
		r.arrayTable(r.key(n))
	case unstable.KeyValue:
		r.keyValue(r.current, n)
	}
}

// part is one part of a dotted key.
type part struct {
	text   string
	offset int
}

// key reads the parts of an expression's key.
func (r *reader) key(n *unstable.Node) []part {
	r.parts = r.parts[:0]
	for it := n.Key(); it.Next(); {
		r.parts = append(r.parts, part{string(it.Node().Data), r.offset(it.Node().Raw)})
	}
	r.cursor = r.end(n)
	return r.parts
}

// end is where the key of an expression ends.
func (r *reader) end(n *unstable.Node) int {
	end := r.cursor
	for it := n.Key(); it.Next(); {
		end = r.offset(it.Node().Raw) + int(it.Node().Raw.Length)
	}
	return end
}

func (r *reader) offset(raw unstable.Range) int { return r.base + int(raw.Offset) }

// start is where the expression that could not be read begins: after those that
// could, blank lines and comments.
func (r *reader) start() int {
	content := r.Content()
	at := r.cursor
	if at > r.base { // the rest of the line belongs to what came before
		at += max(0, bytes.IndexByte(content[at:], '\n'))
	}
	for at < len(content) {
		switch content[at] {
		case ' ', '\t', '\r', '\n':
			at++
		case '#':
			end := bytes.IndexByte(content[at:], '\n')
			if end < 0 {
				return at
			}
			at += end
		default:
			return at
		}
	}
	return at
}

// next returns where to go on after a mistake, or -1: with the next line, or if
// the mistake is inside of a value of several lines, with the next table.
func (r *reader) next(mistake int) int {
	content := r.Content()
	first, _ := r.Position(r.start())
	line, _ := r.Position(mistake)
	severalLines := line > first
	for at := max(mistake, r.base); ; {
		end := bytes.IndexByte(content[at:], '\n')
		if end < 0 {
			return -1
		}
		at += end + 1
		if !severalLines || isHeader(content[at:]) {
			return at
		}
	}
}

// isHeader says whether a line can be nothing but the header of a table.
func isHeader(b []byte) bool {
	if end := bytes.IndexByte(b, '\n'); end >= 0 {
		b = b[:end]
	}
	if comment := bytes.IndexByte(b, '#'); comment >= 0 {
		b = b[:comment]
	}
	name, opened := bytes.CutPrefix(bytes.TrimSpace(b), []byte("["))
	name, closed := bytes.CutSuffix(name, []byte("]"))
	name = bytes.TrimPrefix(name, []byte("["))
	return opened && closed && len(name) > 0 && !bytes.ContainsAny(name, ",=\"'[{") && (name[0]|0x20 >= 'a' && name[0]|0x20 <= 'z')
}
