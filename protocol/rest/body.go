package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"unicode/utf8"
)

// unmarshalStrict is json.Unmarshal for text that must arrive as it was sent:
// the standard decoder puts U+FFFD in the place of what is no Unicode, which
// would change content without a word, and of two equal keys takes the last.
func unmarshalStrict(data []byte, v any) error {
	if err := checkText(data); err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		if at, why := misfit(data, reflect.TypeOf(v)); at != "" {
			return errors.New(strings.TrimPrefix(at, ".") + ": " + why)
		}
		return err
	}
	return checkKeys(data, nil)
}

func checkText(data []byte) error {
	if !utf8.Valid(data) {
		return errors.New("the body is not UTF-8; send other bytes as content_base64")
	}
	if hasLoneSurrogate(data) {
		return errors.New(`the body has half a character in it, a \ud800 to \udfff without its other half`)
	}
	return nil
}

// hasLoneSurrogate looks for an escaped UTF-16 surrogate that is not half of a
// pair.
func hasLoneSurrogate(data []byte) bool {
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

// decodeBody reads a JSON body of a handler that huma does not serve, as
// strictly as huma does. known are the names of what it is read into.
func decodeBody(w http.ResponseWriter, r *http.Request, known *names, into any) error {
	data, err := readBody(w, r)
	if err != nil {
		return err
	}
	if len(data) == 0 {
		return malformed("body", "a body is required")
	}
	return decodeText("body", data, known, into)
}

// decodeText reads JSON that must have known names only; where is what holds it.
func decodeText(where string, data []byte, known *names, into any) error {
	if err := checkText(data); err != nil {
		return malformed(where, err.Error())
	}
	if err := json.Unmarshal(data, into); err != nil {
		return jsonError(where, data, reflect.TypeOf(into), err)
	}
	return checkKeysOf(where, data, known)
}

// readBody reads all of a body that bounded has bounded.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	var buf bytes.Buffer
	if r.ContentLength > 0 { // which bounded has compared with the limit
		buf.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	if _, err := buf.ReadFrom(r.Body); err != nil {
		return nil, err
	}
	arrived(w)
	return buf.Bytes(), nil
}

// readable is a body whose errors say what went wrong, since what is wrong with
// it the client did: left to huma, a bad chunk would be an error of the server.
type readable struct{ io.ReadCloser }

// Read implements io.Reader.
func (b readable) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == nil || err == io.EOF {
		return n, err
	}
	if known := bodyError(err); known != nil {
		return n, known
	}
	return n, malformed("body", "the body cannot be read")
}
