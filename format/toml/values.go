package toml

import (
	"bytes"
	"errors"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/setpointhq/setpoint/format"
)

// keyValue reads key = value into a table.
func (r *reader) keyValue(in *entry, n *unstable.Node) {
	var parts [4]part // r.parts is needed by the values within this one
	key := append(parts[:0], r.key(n)...)
	last := key[len(key)-1]
	in = r.front(in, key)
	if first := r.find(in, last.text); first != nil {
		r.clash(last, first)
		in = r.nowhere()
	}
	if e := (&entry{depth: in.depth + 1}); !r.deep(e.depth, last.offset) {
		r.add(in, plain, last, r.value(n.Value(), e))
	}
	r.cursor = r.offset(n.Raw) + int(n.Raw.Length)
}

// front walks to the table that the last part of a dotted key belongs to.
func (r *reader) front(in *entry, key []part) *entry {
	for _, p := range key[:len(key)-1] {
		e := r.find(in, p.text)
		switch {
		case r.deep(in.depth+1, p.offset):
			return r.nowhere()
		case e == nil:
			e = r.add(in, dotted, p, r.node(format.Map, p.offset))
		case e.kind != dotted:
			r.clash(p, e)
			return r.nowhere()
		}
		in = e
	}
	return in
}

// value reads a value; e stands for it as a table, if it is one.
func (r *reader) value(n *unstable.Node, e *entry) *format.Node {
	switch n.Kind {
	case unstable.Array:
		return r.list(n, e)
	case unstable.InlineTable:
		at := r.offset(n.Raw)
		r.cursor = at + 1
		e.node = r.node(format.Map, at)
		for it := n.Children(); it.Next() && !r.Full(); {
			r.keyValue(e, it.Node())
		}
		return e.node
	}
	at := r.offset(n.Raw)
	node := r.node(format.String, at)
	node.Text = string(n.Data)
	r.cursor = at + int(n.Raw.Length)
	switch n.Kind {
	case unstable.Bool:
		node.Kind = format.Bool
	case unstable.Integer, unstable.Float:
		node.Kind = format.Number
		r.literal(at, n.Data)
	case unstable.LocalDate, unstable.LocalTime, unstable.LocalDateTime, unstable.DateTime:
		node.Kind = format.Time
		r.literal(at, n.Data)
	}
	return node
}

func (r *reader) list(n *unstable.Node, e *entry) *format.Node {
	r.opening()
	node := r.node(format.List, r.cursor)
	if r.cursor++; r.deep(e.depth+1, r.cursor-1) {
		return node
	}
	for it := n.Children(); it.Next() && !r.Full(); {
		node.Items = append(node.Items, r.value(it.Node(), &entry{depth: e.depth + 1}))
	}
	return node
}

// opening moves the cursor to the next '['. The library does not say where a
// list begins; all that lies between the cursor and it has no meaning.
func (r *reader) opening() {
	content := r.Content()
	for r.cursor < len(content) && content[r.cursor] != '[' {
		if content[r.cursor] == '#' {
			r.cursor += max(0, bytes.IndexByte(content[r.cursor:], '\n'))
		}
		r.cursor++
	}
}

// literal checks a number, date or time, of which the parser has looked at the
// characters only. What is short and plain needs no second look; the rest is
// judged by the library, as an entry of its own.
func (r *reader) literal(at int, text []byte) {
	if len(text) <= 18 && isPlain(text) {
		return
	}
	const before = "x = "
	var into map[string]any
	err := toml.Unmarshal(append([]byte(before), text...), &into)
	if err == nil {
		return
	}
	column := 1
	var failure *toml.DecodeError
	if errors.As(err, &failure) {
		_, column = failure.Position()
	}
	message := strings.TrimPrefix(err.Error(), "toml: ")
	if strings.Contains(message, "out of range") {
		message = "the number " + clip(string(text)) + " is out of range"
	}
	r.Errorf(at+max(0, min(column-1-len(before), len(text)-1)), "", "%s", message)
}

// isPlain says that text is digits with at most a sign and, inside, a point.
func isPlain(text []byte) bool {
	points := 0
	for i, c := range text {
		switch {
		case c >= '0' && c <= '9', i == 0 && (c == '-' || c == '+'):
		case c == '.' && i > 0:
			points++
		default:
			return false
		}
	}
	return points <= 1
}
