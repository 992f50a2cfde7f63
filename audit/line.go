package audit

import (
	"encoding/json"
	"errors"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/setpointhq/setpoint/config"
)

// Encoded is a record with its JSON text, the one that every sink gives out.
type Encoded struct {
	Record
	JSON []byte // one line, without the line feed
}

// Encode encodes a batch. The error, which is config.Invalid, is about the
// records that have no JSON text and were left out: a sink writes the others
// before it returns it.
func Encode(records []Record) ([]Encoded, error) {
	encoded, bad := make([]Encoded, 0, len(records)), []error(nil)
	for _, r := range records {
		text, err := AppendJSON(nil, r)
		if err != nil {
			bad = append(bad, err)
			continue
		}
		encoded = append(encoded, Encoded{Record: r, JSON: text})
	}
	return encoded, errors.Join(bad...)
}

// AppendJSON appends the record as one line of JSON, without a line feed, with
// the names that the API has. Characters that a terminal or an editor would
// obey rather than show (controls, and marks that reorder text) are escaped.
func AppendJSON(dst []byte, r Record) ([]byte, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return dst, config.Errorf(config.Invalid, "encode", r.ID, "an audit record that JSON cannot hold: %w", err)
	}
	for len(text) > 0 {
		char, size := utf8.DecodeRune(text)
		if char > unicode.MaxASCII && unicode.In(char, unicode.Cc, unicode.Cf) || char == '\x7f' {
			dst = appendEscaped(dst, char)
		} else {
			dst = append(dst, text[:size]...)
		}
		text = text[size:]
	}
	return dst, nil
}

const hexadecimal = "0123456789abcdef"

// appendEscaped writes \u and the UTF-16 code, or the two of them.
func appendEscaped(dst []byte, char rune) []byte {
	for _, code := range utf16.Encode([]rune{char}) {
		dst = append(dst, '\\', 'u', hexadecimal[code>>12], hexadecimal[code>>8&15], hexadecimal[code>>4&15], hexadecimal[code&15])
	}
	return dst
}
