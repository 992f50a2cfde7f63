package format

import (
	"bytes"
	"sort"
	"unicode/utf8"
)

// blockSize is the distance in bytes between the places whose character count
// a Source remembers: finding a column decodes at most this many bytes, however
// long the line.
const blockSize = 64

// Source is content whose byte offsets can be turned into lines and columns.
// A line ends with LF, CRLF or a lone CR. Columns count characters, and every
// byte that is not part of valid UTF-8 counts as one character.
//
// It is not safe for concurrent use: the index is built at first need.
type Source struct {
	content []byte
	starts  []int // where each line begins; nil until index ran
	blocks  []block
}

// block is the first character that begins at or after a multiple of blockSize.
type block struct{ offset, characters int }

// NewSource returns content as a Source. A byte order mark at its beginning is
// left out, so that offset 0 is the first character: line 1, column 1.
func NewSource(content []byte) *Source {
	return &Source{content: bytes.TrimPrefix(content, []byte("\ufeff"))}
}

// Content is what offsets refer to: the content without a byte order mark.
func (s *Source) Content() []byte { return s.content }

// Lines returns the number of lines; content that ends with a line break has
// an empty last one.
func (s *Source) Lines() int {
	s.index()
	return len(s.starts)
}

// Position returns the line and column, from 1, of the character at a byte
// offset. An offset outside the content is moved to its nearest end.
func (s *Source) Position(offset int) (line, column int) {
	s.index()
	offset = max(0, min(offset, len(s.content)))
	line = sort.SearchInts(s.starts, offset+1)
	return line, s.characters(offset) - s.characters(s.starts[line-1]) + 1
}

// Offset is the inverse of Position. A column beyond the line's end gives the
// end of the line, before its line break.
func (s *Source) Offset(line, column int) int {
	s.index()
	line = max(1, min(line, len(s.starts)))
	start, end := s.line(line)
	want := s.characters(start) + max(column, 1) - 1
	offset := start
	if s.blocks == nil {
		return min(want, end)
	}
	at := sort.Search(len(s.blocks), func(i int) bool { return s.blocks[i].characters > want })
	seen := s.characters(start)
	if at > 0 && s.blocks[at-1].offset > start {
		offset, seen = s.blocks[at-1].offset, s.blocks[at-1].characters
	}
	for ; seen < want && offset < end; seen++ {
		_, size := utf8.DecodeRune(s.content[offset:])
		offset += size
	}
	return min(offset, end)
}

// line returns where a line begins and ends, without its line break.
func (s *Source) line(line int) (start, end int) {
	start, end = s.starts[line-1], len(s.content)
	if line < len(s.starts) {
		end = s.starts[line] - 1
		if s.content[end] == '\n' && end > start && s.content[end-1] == '\r' {
			end--
		}
	}
	return start, end
}

// characters counts the characters before offset.
func (s *Source) characters(offset int) int {
	if s.blocks == nil {
		return offset
	}
	from := s.blocks[offset/blockSize]
	if from.offset > offset { // offset is inside the character that ends here
		return from.characters - 1
	}
	n := from.characters
	for i := from.offset; i < offset; {
		_, size := utf8.DecodeRune(s.content[i:])
		if i += size; i <= offset {
			n++
		}
	}
	return n
}

func (s *Source) index() {
	if s.starts != nil {
		return
	}
	s.starts = append(make([]int, 0, 64), 0)
	ascii := true
	for i, c := range s.content {
		switch {
		case c == '\n', c == '\r' && (i+1 == len(s.content) || s.content[i+1] != '\n'):
			s.starts = append(s.starts, i+1)
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	if ascii {
		return
	}
	s.blocks = make([]block, 0, len(s.content)/blockSize+1)
	n := 0
	for i := 0; i <= len(s.content); n++ {
		if i >= len(s.blocks)*blockSize {
			s.blocks = append(s.blocks, block{i, n})
		}
		_, size := utf8.DecodeRune(s.content[i:])
		i += max(size, 1)
	}
}
