package format

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// An excerpt shows at most excerptWidth characters of a line, with
// excerptLead of them before the one that is pointed at.
const (
	excerptWidth = 100
	excerptLead  = 60
	tabWidth     = 4
)

// Excerpt renders the line before, the line itself, and a caret under the
// column, each with the line number beside it:
//
//	 9 | server:
//	10 |   port 8080
//	   |   ^
//
// Long lines are clipped around the column, tabs become spaces, and characters
// that would not show are replaced. It never ends with a line break.
func Excerpt(content []byte, line, column int) string {
	return NewSource(content).Excerpt(line, column)
}

// Excerpt is the function Excerpt on content that is indexed already.
func (s *Source) Excerpt(line, column int) string {
	line = max(1, min(line, s.Lines()))
	first := max(0, column-1-excerptLead)
	if start, end := s.line(line); s.characters(end)-s.characters(start) <= excerptWidth {
		first = 0
	}
	width := len(strconv.Itoa(line))
	var b strings.Builder
	if line > 1 {
		text, _ := s.clip(line-1, first, 0)
		gutter(&b, width, strconv.Itoa(line-1), text)
	}
	text, indent := s.clip(line, first, column)
	gutter(&b, width, strconv.Itoa(line), text)
	gutter(&b, width, "", strings.Repeat(" ", indent)+"^")
	return strings.TrimSuffix(b.String(), "\n")
}

func gutter(b *strings.Builder, width int, number, text string) {
	b.WriteString(strings.Repeat(" ", width-len(number)))
	b.WriteString(number)
	b.WriteString(strings.TrimRight(" | "+text, " "))
	b.WriteByte('\n')
}

// clip renders the characters of a line from the one with index first, and
// says how many cells of a terminal come before the column.
func (s *Source) clip(line, first, column int) (text string, indent int) {
	start, end := s.line(line)
	var b strings.Builder
	cells := 0
	if first > 0 && start < end {
		b.WriteRune('…')
		cells++
	}
	index := first
	for at := s.Offset(line, first+1); at < end; index++ {
		if index == column-1 {
			indent = cells
		}
		if index == first+excerptWidth {
			b.WriteRune('…')
			break
		}
		r, size := utf8.DecodeRune(s.content[at:end])
		at += size
		cells += writeCells(&b, r)
	}
	if index <= column-1 { // the column is the end of the line, or beyond
		indent = cells
	}
	return b.String(), indent
}

// writeCells writes a character as it can be shown, and returns its width.
func writeCells(b *strings.Builder, r rune) int {
	switch {
	case r == '\t':
		b.WriteString(strings.Repeat(" ", tabWidth))
		return tabWidth
	case unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Me, r):
		b.WriteRune(r)
		return 0
	case unicode.Is(wideTable, r):
		b.WriteRune(r)
		return 2
	case !unicode.IsPrint(r): // also what would reorder or hide text
		r = utf8.RuneError
	}
	b.WriteRune(r)
	return 1
}

// wideTable holds what fills two cells of a terminal: the blocks whose characters
// Unicode's EastAsianWidth.txt calls wide or full width.
var wideTable = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x1100, Hi: 0x115f, Stride: 1}, {Lo: 0x2e80, Hi: 0x303e, Stride: 1},
		{Lo: 0x3041, Hi: 0xa4cf, Stride: 1}, {Lo: 0xac00, Hi: 0xd7a3, Stride: 1},
		{Lo: 0xf900, Hi: 0xfaff, Stride: 1}, {Lo: 0xfe30, Hi: 0xfe6f, Stride: 1},
		{Lo: 0xff00, Hi: 0xff60, Stride: 1}, {Lo: 0xffe0, Hi: 0xffe6, Stride: 1},
	},
	R32: []unicode.Range32{
		{Lo: 0x1f300, Hi: 0x1f64f, Stride: 1}, {Lo: 0x1f680, Hi: 0x1f6ff, Stride: 1},
		{Lo: 0x1f900, Hi: 0x1faff, Stride: 1}, {Lo: 0x20000, Hi: 0x3fffd, Stride: 1},
	},
}
