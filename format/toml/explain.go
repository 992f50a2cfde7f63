package toml

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// explanation is how a mistake that the library found is told to people. In
// text, "%s" stands for the character at the place.
type explanation struct {
	message string // of the library; a part is enough
	opening bool   // the place is where the entry begins, not where it went wrong
	text    string // empty: the library's message will do
	hint    string
}

const quoteHint = "put text in double quotes"

// explanationTable is searched in order.
var explanationTable = []explanation{
	{message: "at start of value", text: "expected a value, found %s", hint: quoteHint},
	{message: "expected keyword", text: "this is not a TOML value", hint: quoteHint},
	{message: "strings must be quoted", text: "a number cannot go on with %s", hint: quoteHint},
	{message: "expected '=' after key", text: "expected '=' after the key, found %s", hint: "write key = value, and put keys with spaces or other characters in quotes"},
	{message: "at start of key", text: "a key cannot begin with %s", hint: "put the key in quotes"},
	{message: "expected newline", text: "expected the end of the line, found %s", hint: "write one entry a line, and put text in quotes"},
	{message: "leading zeroes", text: "a number cannot begin with 0", hint: "put it in quotes if it is text, or write 0o for octal"},
	{message: "radix prefix must be", text: "expected a digit after the prefix"},
	{message: "unterminated", opening: true, text: "the text in this entry is not closed", hint: "close it with the same quote"},
	{message: "string not terminated", opening: true, text: "the text in this entry is not closed", hint: "close it with the same three quotes"},
	{message: "strings cannot have new lines", text: "the text is not closed on its line", hint: `close it with the same quote, or use """ for text of several lines`},
	{message: "array is incomplete", opening: true, text: "the array in this entry is not closed", hint: "close it with ']'"},
	{message: "inline table is incomplete", opening: true, text: "the table in this entry is not closed", hint: "close it with '}'"},
	{message: "',' or ']'", text: "expected ',' or ']' after a value of the array, found %s"},
	{message: "',' or '}'", text: "expected ',' or '}' after an entry of the inline table, found %s"},
	{message: "expected value but got", text: "a value is missing before %s", hint: "remove the comma"},
	{message: "unexpected comma", text: "an entry is missing before %s", hint: "remove the comma"},
	{message: "to close table name", text: "expected ']' after the name of the table, found %s"},
	{message: "to close array table", text: "expected ']]' after the name of the array of tables, found %s"},
	{message: "invalid hexadecimal digit", text: "expected hexadecimal digits in this escape", hint: `write a backslash as \\, or use single quotes`},
	{message: "invalid escape character", text: "this escape means nothing in TOML", hint: `write a backslash as \\, or use single quotes`},
	{message: "control character", text: "%s is not allowed here", hint: `write it as an escape in double quotes`},
	{message: "arriage return", text: "a carriage return must be followed by a line feed"},
	{message: "escape sequence is not a valid", text: "this escape is not a character"},
}

// explain reports a mistake of syntax.
func (r *reader) explain(m *mistake) {
	for _, x := range explanationTable {
		if !strings.Contains(m.message, x.message) {
			continue
		}
		at, text := m.at, x.text
		if x.opening {
			at = r.start()
		}
		if strings.Contains(text, "%s") {
			text = fmt.Sprintf(text, r.character(at))
		}
		r.Errorf(at, x.hint, "%s", text)
		return
	}
	r.Errorf(m.at, "", "%s", clip(m.message))
}

// character names what stands at an offset.
func (r *reader) character(at int) string {
	if at >= len(r.Content()) {
		return "the end of the content"
	}
	switch c, _ := utf8.DecodeRune(r.Content()[at:]); {
	case c == '\r' && !bytes.HasPrefix(r.Content()[at:], []byte("\r\n")):
		return "a carriage return without a line feed"
	case c == '\n' || c == '\r':
		return "the end of the line"
	case unicode.IsPrint(c):
		return fmt.Sprintf("'%c'", c)
	default:
		return fmt.Sprintf("U+%04X", c)
	}
}

// clip keeps a message short.
func clip(text string) string {
	const most = 80
	for i := range text {
		if i >= most {
			return text[:i] + "…"
		}
	}
	return text
}
