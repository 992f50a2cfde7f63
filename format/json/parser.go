package json

import (
	"bytes"
	"unicode/utf8"

	"github.com/setpointhq/setpoint/format"
)

// parser reads a document in one pass. After a mistake whose meaning is plain
// it goes on; after any other it stops, because what followed would be a guess.
type parser struct {
	*format.Report
	data    []byte
	pos     int
	depth   int
	build   bool // make Nodes; a check needs none
	stopped bool
	keys    []key // of all objects that are open, the innermost last
}

// key is an object's key that was read.
type key struct {
	text   []byte
	offset int
}

// linearKeys is up to how many keys of an object are compared one by one; a map
// is faster beyond it.
const linearKeys = 16

// stop reports a mistake after which nothing more can be understood.
func (p *parser) stop(offset int, hint, text string, args ...any) {
	if !p.stopped {
		p.Errorf(offset, hint, text, args...)
	}
	p.stopped = true
}

// peek returns the next byte, 0 at the end of the content. (A real NUL is not
// the beginning of anything, so the two need no telling apart.)
func (p *parser) peek() byte {
	if p.pos < len(p.data) {
		return p.data[p.pos]
	}
	return 0
}

// space skips whitespace, and comments as mistakes.
func (p *parser) space() {
	for p.pos < len(p.data) && !p.stopped {
		switch c := p.data[p.pos]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			p.pos++
		case c == '#' || c == '/' && p.pos+1 < len(p.data) && (p.data[p.pos+1] == '/' || p.data[p.pos+1] == '*'):
			p.comment(c)
		default:
			return
		}
	}
}

func (p *parser) comment(c byte) {
	p.Errorf(p.pos, "remove it, or keep the file as YAML", "comments are not allowed in JSON")
	end, skip := bytes.IndexAny(p.data[p.pos:], "\r\n"), 0
	if c == '/' && p.data[p.pos+1] == '*' {
		end, skip = bytes.Index(p.data[p.pos+2:], []byte("*/")), 4
	}
	if p.stopped = p.Full(); end < 0 {
		p.pos = len(p.data)
		return
	}
	p.pos += end + skip
}

// value reads a value of any kind; nil if it is not building, or at a mistake.
func (p *parser) value() *format.Node {
	start := p.pos
	switch c := p.peek(); {
	case c == '{' || c == '[':
		return p.nested(c)
	case c == '"':
		text, _ := p.text()
		return p.node(format.String, start, text)
	case c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.':
		return p.number()
	case c == '\'':
		text, _ := p.singleQuoted()
		return p.node(format.String, start, text)
	case p.pos == len(p.data):
		p.stop(p.pos, "", "a value is missing at the end of the content")
	case c == ',' || c == ']' || c == '}':
		p.Errorf(p.pos, "write a value, null if there is none", "a value is missing before %s", p.token())
		p.stopped = p.Full()
	case isWord(c):
		return p.word()
	default:
		p.stop(p.pos, "", "unexpected %s where a value should be", p.token())
	}
	return nil
}

func (p *parser) nested(c byte) *format.Node {
	if p.depth == format.MaxDepth {
		p.stop(p.pos, "", "nested deeper than %d levels", format.MaxDepth)
		return nil
	}
	p.depth++
	defer func() { p.depth-- }()
	if c == '{' {
		return p.object()
	}
	return p.list()
}

func (p *parser) list() *format.Node {
	open := p.pos
	node := p.node(format.List, open, nil)
	p.pos++
	for p.space(); p.peek() != ']' && !p.stopped; {
		if p.pos == len(p.data) {
			p.unclosed(open)
			break
		}
		item := p.value()
		if node != nil && item != nil {
			node.Items = append(node.Items, item)
		}
		p.separator(open, ']')
	}
	p.pos++
	return node
}

func (p *parser) object() *format.Node {
	open, base := p.pos, len(p.keys)
	var index map[string]int // keys to offsets, once there are many
	node := p.node(format.Map, open, nil)
	p.pos++
	for p.space(); p.peek() != '}' && !p.stopped; {
		start := p.pos
		if start == len(p.data) {
			p.unclosed(open)
			break
		}
		if p.peek() == ',' {
			p.Errorf(start, "remove the comma, or write the missing key and value", "unexpected ',' where a key should be")
			p.pos++
			p.stopped = p.Full()
			p.space()
			continue
		}
		text, ok := p.key()
		if ok {
			index = p.unique(base, index, key{text, start})
		}
		p.colon()
		if p.stopped {
			break
		}
		value := p.value()
		if node != nil && value != nil {
			node.Members = append(node.Members, format.Member{Key: string(text), Value: value})
		}
		p.separator(open, '}')
	}
	p.pos++
	p.keys = p.keys[:base]
	return node
}

// key reads an object's key, and says whether it may be compared with others.
func (p *parser) key() (text []byte, ok bool) {
	switch c := p.peek(); {
	case c == '"':
		return p.text()
	case c == '\'':
		return p.singleQuoted()
	case isWord(c):
		start := p.pos
		text = p.run()
		p.Errorf(start, "write \""+clip(text)+"\"", "a key must be in double quotes")
		return text, true
	}
	p.stop(p.pos, "a key is text in double quotes", "unexpected %s where a key should be", p.token())
	return nil, false
}

// colon reads what stands between key and value.
func (p *parser) colon() {
	if p.space(); p.stopped {
		return
	}
	switch c := p.peek(); {
	case c == ':':
		p.pos++
	case c == '=':
		p.Errorf(p.pos, "write ':'", "unexpected '=' after a key")
		p.pos++
	case c == '"' || c == '{' || c == '[' || isWord(c):
		p.Errorf(p.pos, "write ':' between key and value", "expected ':' after the key, found %s", p.token())
	case c == ',' || c == '}': // value reports it
	default:
		p.stop(p.pos, "write ':' between key and value", "expected ':' after the key, found %s", p.token())
	}
	p.space()
}

// separator reads what follows a value in the list or object that began at open.
func (p *parser) separator(open int, closing byte) {
	if p.space(); p.stopped {
		return
	}
	start := p.pos
	switch c := p.peek(); {
	case c == closing:
	case c == ',':
		p.pos++
		if p.space(); p.peek() == closing {
			p.Errorf(start, "remove the comma", "a comma before '%c' is not allowed in JSON", closing)
		}
	case p.pos == len(p.data):
		p.unclosed(open)
	case c == ']' || c == '}':
		p.stop(p.pos, "close it with '"+string(closing)+"'", "%s does not close the '%c' of %s", p.token(), p.data[open], p.Place(open))
	case c == '"' || c == '{' || c == '[' || isWord(c) || c == '-':
		p.Errorf(p.pos, "put a comma after the value before it", "expected ',' or '%c', found %s", closing, p.token())
	default:
		p.stop(p.pos, "", "expected ',' or '%c', found %s", closing, p.token())
	}
	p.stopped = p.stopped || p.Full()
}

func (p *parser) unclosed(open int) {
	c := p.data[open]
	p.stop(len(p.data), "add the missing '"+string(c+2)+"'", "the content ends, but the '%c' of %s is not closed", c, p.Place(open))
}

// unique remembers a key and reports it if the object has it already. index
// replaces the list of keys when that grows long.
func (p *parser) unique(base int, index map[string]int, k key) map[string]int {
	first := -1
	if index != nil {
		if offset, ok := index[string(k.text)]; ok {
			first = offset
		}
	} else {
		for _, other := range p.keys[base:] {
			if bytes.Equal(other.text, k.text) {
				first = other.offset
				break
			}
		}
	}
	switch {
	case first >= 0:
		p.Errorf(k.offset, "remove one of the two", "the key \"%s\" is there already, on %s", clip(k.text), p.Place(first))
	case index != nil:
		index[string(k.text)] = k.offset
	default:
		p.keys = append(p.keys, k)
	}
	if index == nil && len(p.keys)-base > linearKeys {
		index = make(map[string]int, 4*linearKeys)
		for _, other := range p.keys[base:] {
			index[string(other.text)] = other.offset
		}
	}
	return index
}

func (p *parser) node(kind format.NodeKind, offset int, text []byte) *format.Node {
	if !p.build {
		return nil
	}
	node := &format.Node{Kind: kind, Text: string(text)}
	node.Line, node.Column = p.Position(offset)
	return node
}

// token describes what comes next, for a message.
func (p *parser) token() string {
	if p.pos >= len(p.data) {
		return "the end of the content"
	}
	if c := p.data[p.pos]; isWord(c) {
		end := p.pos
		for end < len(p.data) && isWord(p.data[end]) {
			end++
		}
		return clip(p.data[p.pos:end])
	}
	r, _ := utf8.DecodeRune(p.data[p.pos:])
	return character(r)
}
