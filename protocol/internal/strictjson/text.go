package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/setpointhq/setpoint/protocol/internal/problem"
)

// LongestText bounds, in bytes, what an error says of a field and repeats of it.
const LongestText = 300

// Decode reads JSON that must have known names only; where is what holds it,
// "body". What is wrong is a problem.Malformed that says where.
func Decode(where string, data []byte, known *Names, into any) error {
	if err := CheckText(data); err != nil {
		return problem.Malformed(where, err.Error())
	}
	if err := json.Unmarshal(data, into); err != nil {
		return decodeError(where, data, reflect.TypeOf(into), err)
	}
	return CheckKeys(where, data, known)
}

// Unmarshal is json.Unmarshal for text that must arrive as it was sent: the
// standard decoder puts U+FFFD in the place of what is no Unicode, which would
// change content without a word, and of two equal keys takes the last.
func Unmarshal(data []byte, v any) error {
	if err := CheckText(data); err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		if at, why := misfit(data, reflect.TypeOf(v)); at != "" {
			return errors.New(strings.TrimPrefix(at, ".") + ": " + why)
		}
		return err
	}
	return CheckKeys("body", data, nil)
}

// Encode renders what is known to be JSON, with a final line break and without
// the escapes that are only of use inside HTML.
func Encode(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		// Only a type that cannot be JSON gets here: a defect, not data.
		panic("strictjson: encode: " + err.Error())
	}
	return b.Bytes()
}

// CheckText refuses bytes that are not Unicode text.
func CheckText(data []byte) error {
	if !utf8.Valid(data) {
		return errors.New("the body is not UTF-8; send other bytes as content_base64")
	}
	if HasLoneSurrogate(data) {
		return errors.New(`the body has half a character in it, a \ud800 to \udfff without its other half`)
	}
	return nil
}

// HasLoneSurrogate looks for an escaped UTF-16 surrogate that is not half of a
// pair.
func HasLoneSurrogate(data []byte) bool {
	for {
		i := bytes.IndexByte(data, '\\')
		if i < 0 || i+1 >= len(data) {
			return false
		}
		first, isEscape := surrogate(data[i:])
		switch {
		case !isEscape:
			data = data[i+2:] // \\ and \" must not be looked at twice
		case first == high:
			second, _ := surrogate(data[i+6:])
			if second != low {
				return true
			}
			data = data[i+12:]
		case first == low:
			return true
		default:
			data = data[i+6:]
		}
	}
}

type half uint8

const (
	neither half = iota
	high
	low
)

// surrogate says which half of a pair the \uXXXX at the start of data is;
// isEscape is false if there is none.
func surrogate(data []byte) (h half, isEscape bool) {
	if len(data) < 6 || data[0] != '\\' || data[1] != 'u' {
		return neither, false
	}
	if data[2]|0x20 != 'd' {
		return neither, true
	}
	switch c := data[3] | 0x20; {
	case c == '8' || c == '9' || c == 'a' || c == 'b':
		return high, true
	case c >= 'c' && c <= 'f':
		return low, true
	}
	return neither, true
}
