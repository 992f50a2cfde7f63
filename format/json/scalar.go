package json

import (
	"bytes"
	"fmt"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/setpointhq/setpoint/format"
)

// text reads a string in double quotes and returns its characters; ok is false
// if they are not all known. It copies only what has escapes.
func (p *parser) text() (text []byte, ok bool) {
	open := p.pos
	p.pos++
	start, ok := p.pos, true
	var decoded []byte
	for p.pos < len(p.data) && !p.stopped {
		switch c := p.data[p.pos]; {
		case c == '"':
			text = p.data[start:p.pos]
			p.pos++
			if decoded != nil {
				text = append(decoded, text...)
			}
			return text, ok
		case c == '\\':
			decoded = append(decoded, p.data[start:p.pos]...)
			decoded = p.escape(decoded, &ok)
			start = p.pos
		case c == '\n' || c == '\r':
			p.stop(open, `close it with '"', and write a line break in it as \n`, "the text that begins here is not closed on its line")
			return nil, false
		case c < ' ':
			p.Errorf(p.pos, "write it as "+escaped(c), "a bare control character, %s, is not allowed in text", character(rune(c)))
			p.pos++
			p.stopped = p.Full()
		default:
			p.pos++
		}
	}
	p.stop(open, `close it with '"'`, "the text that begins here is not closed")
	return nil, false
}

func escaped(c byte) string {
	if c == '\t' {
		return `\t`
	}
	return fmt.Sprintf(`\u%04x`, c)
}

// simpleEscapes are the characters that may follow a backslash, each followed
// by what the two of them mean.
const simpleEscapes = "\"\"\\\\//b\bf\fn\nr\rt\t"

// escape appends what the escape at the position stands for.
func (p *parser) escape(to []byte, ok *bool) []byte {
	start := p.pos
	if p.pos++; p.pos == len(p.data) {
		return to
	}
	c := p.data[p.pos]
	if c == 'u' {
		p.pos--
		return p.unicode(to, ok)
	}
	for i := 0; i < len(simpleEscapes); i += 2 {
		if simpleEscapes[i] == c {
			p.pos++
			return append(to, simpleEscapes[i+1])
		}
	}
	r, size := utf8.DecodeRune(p.data[p.pos:])
	*ok, p.stopped = false, p.Full()
	p.Errorf(start, `write a backslash as \\`, "a backslash before %s means nothing in JSON", character(r))
	if r == '\n' || r == '\r' {
		return to
	}
	p.pos += size
	return to
}

// unicode appends the character of a \uXXXX, or of a pair of them.
func (p *parser) unicode(to []byte, ok *bool) []byte {
	start := p.pos
	r, found := p.hex4()
	if !found {
		*ok, p.stopped = false, p.Full()
		p.Errorf(start, "", `\u must be followed by four hexadecimal digits`)
		p.pos += 2
		return to
	}
	if !utf16.IsSurrogate(r) {
		return utf8.AppendRune(to, r)
	}
	after := p.pos
	if low, found := p.hex4(); found {
		if pair := utf16.DecodeRune(r, low); pair != unicode.ReplacementChar {
			return utf8.AppendRune(to, pair)
		}
	}
	p.pos = after
	p.Warnf(start, "write both halves of the pair, or the character itself", `\u%04x is half of a character; readers differ in what they make of it`, r)
	return utf8.AppendRune(to, unicode.ReplacementChar)
}

// hex4 reads \uXXXX; if there is none, the position stays.
func (p *parser) hex4() (rune, bool) {
	if p.pos+6 > len(p.data) || p.data[p.pos] != '\\' || p.data[p.pos+1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range p.data[p.pos+2 : p.pos+6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	p.pos += 6
	return r, true
}

// singleQuoted skips text in single quotes, which is a mistake.
func (p *parser) singleQuoted() (text []byte, ok bool) {
	rest := p.data[p.pos+1:]
	end := bytes.IndexAny(rest, "'\r\n")
	if end < 0 || rest[end] != '\'' {
		p.stop(p.pos, "put text in double quotes", "text in single quotes is not allowed in JSON, and this one is not closed")
		return nil, false
	}
	p.Errorf(p.pos, "put it in double quotes", "text in single quotes is not allowed in JSON")
	p.stopped = p.Full()
	p.pos += end + 2
	return rest[:end], true
}

// number reads everything that looks like a number and then judges it whole.
func (p *parser) number() *format.Node {
	start := p.pos
	text := p.run()
	if !isNumber(text) {
		p.Errorf(start, numberHint(text), "%s is not a JSON number", clip(text))
		p.stopped = p.stopped || p.Full()
	}
	return p.node(format.Number, start, text)
}

// isNumber follows the grammar of RFC 8259, section 6.
func isNumber(b []byte) bool {
	b = bytes.TrimPrefix(b, []byte("-"))
	n := digits(b)
	if n == 0 || n > 1 && b[0] == '0' {
		return false
	}
	b = b[n:]
	if len(b) > 0 && b[0] == '.' {
		if n = digits(b[1:]); n == 0 {
			return false
		}
		b = b[1+n:]
	}
	if len(b) > 0 && (b[0] == 'e' || b[0] == 'E') {
		b = b[1:]
		if len(b) > 0 && (b[0] == '+' || b[0] == '-') {
			b = b[1:]
		}
		if n = digits(b); n == 0 {
			return false
		}
		b = b[n:]
	}
	return len(b) == 0
}

func digits(b []byte) int {
	n := 0
	for n < len(b) && b[n] >= '0' && b[n] <= '9' {
		n++
	}
	return n
}

func numberHint(b []byte) string {
	switch {
	case b[0] == '+':
		return "leave out the '+'"
	case b[0] == '.':
		return "write a 0 before the point"
	case b[len(b)-1] == '.':
		return "write a digit after the point, or leave out the point"
	case len(b) > 1 && b[0] == '0' && digits(b) == len(b):
		return "leave out the leading zeros, or put it in double quotes"
	}
	return "put it in double quotes if it is text"
}

// word reads null, true or false, and reports every other bare word.
func (p *parser) word() *format.Node {
	start := p.pos
	word := p.run()
	switch string(word) {
	case "null":
		return p.node(format.Null, start, nil)
	case "true", "false":
		return p.node(format.Bool, start, word)
	case "True", "TRUE", "False", "FALSE":
		p.Errorf(start, "write "+string(bytes.ToLower(word)), "%s is not a JSON value", word)
	case "None", "Null", "NULL", "nil", "undefined":
		p.Errorf(start, "write null", "%s is not a JSON value", word)
	case "NaN", "Infinity":
		p.Errorf(start, "JSON has no such number; write null, or the name in double quotes", "%s is not a JSON value", word)
	default:
		p.Errorf(start, "put text in double quotes", "%s is not a JSON value", clip(word))
		p.stopped = p.depth == 0 // what follows is most likely not JSON either
	}
	p.stopped = p.stopped || p.Full()
	return p.node(format.String, start, word)
}

// run reads the characters of a bare word or number.
func (p *parser) run() []byte {
	start := p.pos
	for p.pos < len(p.data) && (isWord(p.data[p.pos]) || p.data[p.pos] == '+' || p.data[p.pos] == '.' || p.data[p.pos] == '-') {
		p.pos++
	}
	return p.data[start:p.pos]
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '$' || c >= utf8.RuneSelf
}

// clip keeps a message short.
func clip(text []byte) string {
	const most = 40
	if utf8.RuneCount(text) <= most {
		return string(text)
	}
	runes := []rune(string(text[:min(len(text), most*utf8.UTFMax)]))
	return string(runes[:most]) + "…"
}

// character names a character so that it can be read whatever it is.
func character(r rune) string {
	if unicode.IsPrint(r) {
		return fmt.Sprintf("'%c'", r)
	}
	return fmt.Sprintf("U+%04X", r)
}
