package config

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxSelectorText bounds what is read at all, in bytes: room for a thousand
// short values.
const maxSelectorText = 16 << 10

// ParseSelector reads a selector:
//
//	selector    = requirement { "," requirement }
//	requirement = "!" word | word [ comparison word | [ "not" ] "in" "(" word { "," word } ")" ]
//	comparison  = "=" | "!=" | "<" | "<=" | ">" | ">="
//
// A word is printable characters other than blanks and ,()=!<>"\ or anything
// between double quotes, where \" and \\ stand for the characters themselves.
// The error is Invalid, says in which column, and has it as its Problem too.
func ParseSelector(text string) (Selector, error) {
	p := selectorParser{text: text}
	if len(text) > maxSelectorText {
		return nil, p.fail(0, "it has %d bytes; at most %d are read", len(text), maxSelectorText)
	}
	if !utf8.ValidString(text) {
		return nil, p.fail(0, "it is no UTF-8")
	}
	var s Selector
	for {
		p.blanks()
		start := p.pos
		q, err := p.requirement()
		if err != nil {
			return nil, err
		}
		if why := q.problem(); why != "" {
			return nil, p.fail(start, "%s", why)
		}
		if len(s) == MaxRequirements {
			return nil, p.fail(start, "there are more than %d requirements", MaxRequirements)
		}
		s = append(s, q)
		if p.pos == len(text) {
			return s, nil
		}
		if !p.take(",") {
			return nil, p.fail(p.pos, "want ',' or the end, found %s", p.next())
		}
	}
}

// selectorParser reads from pos on. Every method that takes something takes the
// blanks after it too.
type selectorParser struct {
	text string
	pos  int
}

func (p *selectorParser) requirement() (Requirement, error) {
	absent := p.take("!")
	key, err := p.word("a label's key")
	if err != nil || absent {
		return Requirement{Key: key, Operator: OpAbsent}, err
	}
	q := Requirement{Key: key, Operator: OpExists}
	// The longer ones come first: "<" begins "<=".
	for _, op := range [...]Operator{OpNotEqual, OpLessEqual, OpGreaterEqual, OpEqual, OpLess, OpGreater} {
		if p.take(string(op)) {
			value, err := p.word("a value")
			q.Operator, q.Values = op, []string{value}
			return q, err
		}
	}
	if p.pos == len(p.text) || p.text[p.pos] == ',' {
		return q, nil
	}
	start := p.pos
	switch {
	case p.keyword("in"):
		q.Operator = OpIn
	case p.keyword("not") && p.keyword("in"):
		q.Operator = OpNotIn
	default:
		p.pos = start
		return q, p.fail(start, "want an operator, one of =, !=, in, 'not in', <, <=, > and >=, found %s", p.next())
	}
	q.Values, err = p.list()
	return q, err
}

// list reads "(a, b)".
func (p *selectorParser) list() ([]string, error) {
	if !p.take("(") {
		return nil, p.fail(p.pos, "want '(', found %s", p.next())
	}
	var values []string
	for {
		start := p.pos
		value, err := p.word("a value")
		if err != nil {
			return nil, err
		}
		if len(values) == MaxValues {
			return nil, p.fail(start, "there are more than %d values", MaxValues)
		}
		values = append(values, value)
		if p.take(")") {
			return values, nil
		}
		if !p.take(",") {
			return nil, p.fail(p.pos, "want ',' or ')', found %s", p.next())
		}
	}
}

// word reads a bare or a quoted word.
func (p *selectorParser) word(what string) (string, error) {
	if p.pos < len(p.text) && p.text[p.pos] == '"' {
		return p.quoted()
	}
	bare := p.bare()
	if bare == "" {
		return "", p.fail(p.pos, "want %s, found %s", what, p.next())
	}
	p.pos += len(bare)
	p.blanks()
	return bare, nil
}

// bare is the bare word that comes next, if any.
func (p *selectorParser) bare() string {
	rest := p.text[p.pos:]
	if end := strings.IndexFunc(rest, func(r rune) bool { return !isBare(r) }); end >= 0 {
		return rest[:end]
	}
	return rest
}

func (p *selectorParser) quoted() (string, error) {
	start := p.pos
	var b strings.Builder
	for p.pos++; p.pos < len(p.text); p.pos++ {
		switch c := p.text[p.pos]; c {
		case '"':
			p.pos++
			p.blanks()
			return b.String(), nil
		case '\\':
			p.pos++
			if p.pos == len(p.text) || p.text[p.pos] != '"' && p.text[p.pos] != '\\' {
				return "", p.fail(p.pos-1, `want \" or \\ in a quoted word`)
			}
			b.WriteByte(p.text[p.pos])
		default:
			b.WriteByte(c)
		}
	}
	return "", p.fail(start, "the quoted word has no end")
}

// keyword takes a bare word if it is this one.
func (p *selectorParser) keyword(s string) bool {
	if p.bare() != s {
		return false
	}
	p.pos += len(s)
	p.blanks()
	return true
}

// take takes a sign if it comes next.
func (p *selectorParser) take(sign string) bool {
	if !strings.HasPrefix(p.text[p.pos:], sign) {
		return false
	}
	p.pos += len(sign)
	p.blanks()
	return true
}

func (p *selectorParser) blanks() {
	for p.pos < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.pos]) >= 0 {
		p.pos++
	}
}

// next names what comes next, for an error.
func (p *selectorParser) next() string {
	if p.pos == len(p.text) {
		return "the end"
	}
	if bare := p.bare(); bare != "" {
		return fmt.Sprintf("%q", clip(bare))
	}
	r, _ := utf8.DecodeRuneInString(p.text[p.pos:])
	return fmt.Sprintf("%q", r)
}

func (p *selectorParser) fail(pos int, format string, args ...any) error {
	column := utf8.RuneCountInString(p.text[:pos]) + 1
	message := fmt.Sprintf(format, args...)
	e := Errorf(Invalid, "", "", "label expression, column %d: %s", column, message)
	e.Problems = []Problem{{Line: 1, Column: column, Severity: SeverityError, Message: message}}
	return e
}
