// Package strictjson reads JSON as strictly as every protocol must: what is not
// Unicode, a key that is there twice and a key that nobody knows are errors that
// say where, since the standard decoder would take each of them without a word.
package strictjson

import (
	"bytes"
	"encoding"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"

	"github.com/setpointhq/setpoint/protocol/internal/problem"
)

// Names are the keys that JSON of a type has: exactly these, in this case. The
// standard decoder takes Content for content too.
type Names struct {
	fields map[string]*Names // nil where any key will do
	values *Names            // of the values of a list or map; nil: nothing is known
}

// NamesOf reads the names off a type's tags.
func NamesOf(t reflect.Type) *Names { return naming{}.of(t) }

// naming holds the types that were read, or are being: a rule is made of rules.
type naming map[reflect.Type]*Names

func (m naming) of(t reflect.Type) *Names {
	if t.Kind() == reflect.Pointer {
		return m.of(t.Elem())
	}
	if known, found := m[t]; found || isText(t) {
		return known
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Array, reflect.Map:
		n := &Names{}
		m[t] = n
		n.values = m.of(t.Elem())
		return n
	case reflect.Struct:
		n := &Names{fields: map[string]*Names{}}
		m[t] = n
		for _, field := range reflect.VisibleFields(t) {
			if key := keyOf(field); key != "" {
				n.fields[key] = m.of(field.Type)
			}
		}
		if len(n.fields) > 0 {
			return n
		}
		m[t] = nil
	}
	return nil
}

// keyOf is the key of a field in JSON; "" if it has none of its own.
func keyOf(field reflect.StructField) string {
	key, _, _ := strings.Cut(field.Tag.Get("json"), ",")
	if key == "-" {
		return ""
	}
	return key
}

// isText reports whether a type reads itself from a JSON string.
func isText(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// nesting is an object or list that the scanner is inside of.
type nesting struct {
	object bool
	names  *Names
	first  int // where its keys begin
	seen   map[string]struct{}
	key    []byte // of an object: that of the value which is being read
	index  int    // of a list: the place of that value
}

// fewKeys is how many keys of an object are compared one by one; from there on
// a map is quicker.
const fewKeys = 32

// keyScanner looks at the keys of JSON only.
type keyScanner struct {
	root string // what all of it is, "body"
	open []nesting
	keys [][]byte // of all that is open
	next *Names   // of the value that comes
}

// CheckKeys refuses an object that has a key twice, of which one reader would
// take the first and another the last, or a key that is not among the names. The
// data has been decoded before: of what is no JSON it says nothing. root is what
// the data is, "body".
func CheckKeys(root string, data []byte, known *Names) error {
	s := keyScanner{root: root, next: known}
	isKey := false
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '{', '[':
			isKey = data[i] == '{'
			s.enter(isKey)
		case '}', ']':
			isKey = false
			s.leave()
		case ',':
			isKey = s.comma()
		case '"':
			length := stringLength(data[i+1:])
			if isKey {
				if err := s.key(data[i+1 : i+1+length]); err != nil {
					return err
				}
			}
			isKey = false
			i += length + 1
		}
	}
	return nil
}

// stringLength returns how many bytes come before the quote that ends a string.
func stringLength(data []byte) int {
	for from := 0; ; {
		quote := bytes.IndexByte(data[from:], '"')
		if quote < 0 {
			return len(data)
		}
		quote += from
		escapes := 0
		for quote-escapes > from && data[quote-escapes-1] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return quote
		}
		from = quote + 1
	}
}

// comma goes on to the next value, and reports whether a key comes before it.
func (s *keyScanner) comma() bool {
	if len(s.open) == 0 {
		return false
	}
	in := &s.open[len(s.open)-1]
	in.index++
	return in.object
}

// place says where the value is that is being read.
func (s *keyScanner) place() string {
	at := s.root
	for i := range s.open {
		if in := &s.open[i]; in.object {
			at += "." + problem.Clip(string(in.key))
		} else {
			at += "[" + strconv.Itoa(in.index) + "]"
		}
		if len(at) > LongestText {
			break
		}
	}
	return at
}

func (s *keyScanner) enter(object bool) {
	n := nesting{object: object, names: s.next, first: len(s.keys)}
	s.open = append(s.open, n)
	s.next = nil
	if n.names != nil {
		s.next = n.names.values
	}
}

func (s *keyScanner) leave() {
	if len(s.open) == 0 {
		return
	}
	s.keys = s.keys[:s.open[len(s.open)-1].first]
	s.open = s.open[:len(s.open)-1]
	s.next = nil
	if len(s.open) > 0 && s.open[len(s.open)-1].names != nil {
		s.next = s.open[len(s.open)-1].names.values
	}
}

// key takes in one key of the innermost object, as it is written.
func (s *keyScanner) key(key []byte) error {
	if bytes.IndexByte(key, '\\') >= 0 {
		var plain string
		if json.Unmarshal([]byte(`"`+string(key)+`"`), &plain) == nil {
			key = []byte(plain)
		}
	}
	in := &s.open[len(s.open)-1]
	in.key = key
	if in.repeats(s.keys[in.first:], key) {
		return problem.Malformed(s.place(), "this key is there twice")
	}
	s.keys = append(s.keys, key)
	if in.names == nil {
		return nil
	}
	s.next = in.names.values
	if in.names.fields != nil {
		value, known := in.names.fields[string(key)]
		if !known {
			return problem.Malformed(s.place(), "there is no such field")
		}
		s.next = value
	}
	return nil
}

// repeats notes a key and reports whether it is among those before it.
func (n *nesting) repeats(before [][]byte, key []byte) bool {
	if len(before) < fewKeys {
		for _, k := range before {
			if bytes.Equal(k, key) {
				return true
			}
		}
		return false
	}
	if n.seen == nil {
		n.seen = make(map[string]struct{}, 2*fewKeys)
		for _, k := range before {
			n.seen[string(k)] = struct{}{}
		}
	}
	_, repeated := n.seen[string(key)]
	n.seen[string(key)] = struct{}{}
	return repeated
}
