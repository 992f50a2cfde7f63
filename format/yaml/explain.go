package yaml

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// explanation is how a mistake that the library found is told to people.
type explanation struct {
	message string // of the library; a part is enough
	context string // of the library, if that matters
	opening bool   // the place is where the construct begins, not where it went wrong
	text    string // "%s" stands for where the construct begins
	hint    string
}

// explanationTable is searched in order.
var explanationTable = []explanation{
	{message: "did not find expected key", context: "block mapping",
		text: "this does not continue the map that begins on %s", hint: "give all keys of a map the same indentation"},
	{message: "did not find expected '-' indicator",
		text: "this does not continue the list that begins on %s", hint: "begin each item with '- ' at the same indentation, and indent what is below it"},
	{message: "did not find expected ',' or ']'", text: "expected ',' or ']' in the list that begins on %s", hint: "close the list with ']'"},
	{message: "did not find expected ',' or '}'", text: "expected ',' or '}' in the map that begins on %s", hint: "close the map with '}'"},
	{message: "mapping values are not allowed", text: "a ':' that makes a key is not allowed here",
		hint: "put text that has ': ' in it in quotes, or mend the indentation"},
	{message: "mapping keys are not allowed", text: "a key is not allowed here", hint: "mend the indentation"},
	{message: "could not find expected ':'", opening: true, text: "expected \"key: value\", but there is no ':' after this",
		hint: "write a ':' and a space after the key, or mend the indentation"},
	{message: "block sequence entries are not allowed", text: "an item of a list is not allowed here", hint: "begin the list on a line of its own"},
	{message: "found unexpected end of stream", context: "quoted scalar", opening: true, text: "the quoted text that begins here is not closed", hint: "close it with the same quote"},
	{message: "found unexpected document indicator", context: "quoted scalar", opening: true,
		text: "the quoted text that begins here is not closed before the next document", hint: "close it with the same quote"},
	{message: "found unknown escape character", text: "this escape means nothing in YAML", hint: `write a backslash as \\, or use single quotes`},
	{message: "invalid Unicode character escape code", text: "this escape is not a character", hint: "write the character itself"},
	{message: "did not find expected hexadecimal number", text: "expected hexadecimal digits in this escape",
		hint: `write a backslash as \\, or use single quotes`},
	{message: "did not find expected node content", text: "a value is missing or broken here"},
	{message: "did not find expected <document start>", text: "unexpected content after the end of the document", hint: "put '---' on a line of its own between documents"},
	{message: "found unexpected content after document-end", text: "unexpected content after the end of the document", hint: "leave the rest of the line empty"},
	{message: "found incompatible YAML document", text: "this version of YAML is not supported", hint: "leave the %YAML line out, or write %YAML 1.2"},
	{message: "unknown anchor", text: "this alias repeats something that no anchor before it names", hint: "name it with &, before the alias, in the same document"},
	{message: "found undefined tag handle", text: "the tag's prefix is not defined", hint: "quote text that begins with '!'"},
	{message: "tab character where an indentation space", text: "a tab is used for indentation", hint: "indent with spaces"},
	{message: "comment without preceding whitespace", text: "a comment needs a space before its '#'"},
	{message: "comment or line break", context: "block scalar", text: "only a number, '+' or '-' may follow '|' and '>' on their line", hint: "begin the text on the next line"},
	{message: "exceeded max depth", text: "nested too deep"},
}

// explain reports a mistake of syntax and returns its offset.
func (r *reader) explain(e *yaml.LoadError) int {
	line, column := e.Mark.Line, e.Mark.Column
	if line == 0 {
		line, column = max(e.ContextMark.Line, 1), max(e.ContextMark.Column, 1)
	}
	at, begin := r.offset(line, column), r.offset(e.ContextMark.Line, e.ContextMark.Column)
	if hint, text, ok := r.indicator(at); ok && strings.Contains(e.Message, "cannot start any token") {
		r.Errorf(at, hint, "%s", text)
		return at
	}
	if strings.Contains(e.Message, "did not find expected key") && r.insideLine(at) {
		r.Errorf(at, "check the quotes before it; in single quotes, a quote is written ''", "unexpected text after the value")
		return at
	}
	for _, x := range explanationTable {
		if !strings.Contains(e.Message, x.message) || !strings.Contains(e.ContextMsg, x.context) {
			continue
		}
		text := x.text
		if strings.Contains(text, "%s") {
			text = fmt.Sprintf(text, r.Place(begin))
		}
		if x.opening {
			r.Errorf(begin, x.hint, "%s", text)
			return max(at, begin)
		}
		r.Errorf(at, x.hint, "%s", text)
		return at
	}
	text := clip(e.Message)
	if e.ContextMsg != "" {
		text += " " + e.ContextMsg
	}
	r.Errorf(at, "", "%s", text)
	return at
}

// insideLine says whether anything but spaces comes before an offset on its line.
func (r *reader) insideLine(at int) bool {
	line, _ := r.Position(at)
	return len(bytes.TrimLeft(r.Content()[r.Offset(line, 1):at], " ")) > 0
}

// indicator explains a character that cannot begin a value.
func (r *reader) indicator(at int) (hint, text string, ok bool) {
	if at >= len(r.Content()) {
		return "", "", false
	}
	switch c, _ := utf8.DecodeRune(r.Content()[at:]); c {
	case '\t':
		return "indent with spaces", "a tab is used for indentation", true
	default:
		return "put the text in quotes", fmt.Sprintf("text cannot begin with %q without quotes", c), true
	}
}
