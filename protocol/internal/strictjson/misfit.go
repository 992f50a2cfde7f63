package strictjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/problem"
)

// decodeError says which field of a text is wrong.
func decodeError(where string, data []byte, t reflect.Type, err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		if int(syntax.Offset) >= len(data) && strings.Contains(syntax.Error(), "unexpected end") {
			return problem.Malformed(where, "not JSON: it ends too early")
		}
		return problem.Malformed(where, fmt.Sprintf("not JSON, at byte %d: %s", syntax.Offset, syntax.Error()))
	}
	at, why := misfit(data, t)
	if why == "" {
		why = err.Error()
	}
	return problem.Malformed(problem.ClipTo(where+at, LongestText), problem.ClipTo(why, LongestText))
}

// misfitDepth bounds how deep misfit looks: each level is read once more.
const misfitDepth = 24

// misfit finds the first value in a JSON text that cannot be read into its type:
// where it is, as ".items[2].path", and what is wrong with it. The standard
// decoder tells the place of some mistakes only.
func misfit(data []byte, t reflect.Type) (at, why string) { return misfitAt(data, t, "", misfitDepth) }

func misfitAt(data []byte, t reflect.Type, at string, depth int) (string, string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	err := json.Unmarshal(data, reflect.New(t).Interface())
	if err == nil {
		return "", ""
	}
	if depth > 0 && !isText(t) {
		for key, value := range within(data, t) {
			if where, why := misfitAt(value.data, value.as, at+key, depth-1); why != "" {
				return where, why
			}
		}
	}
	return at, MisfitText(err)
}

// typed is JSON and the type that it is read into.
type typed struct {
	data []byte
	as   reflect.Type
}

// within yields the values that a struct or list is made of, by their places.
func within(data []byte, t reflect.Type) iter.Seq2[string, typed] {
	return func(yield func(string, typed) bool) {
		var fields map[string]json.RawMessage
		var items []json.RawMessage
		switch {
		case t.Kind() == reflect.Struct && json.Unmarshal(data, &fields) == nil:
			for _, field := range reflect.VisibleFields(t) {
				value, there := fields[keyOf(field)]
				if there && !yield("."+keyOf(field), typed{value, field.Type}) {
					return
				}
			}
		case t.Kind() == reflect.Slice && json.Unmarshal(data, &items) == nil:
			for i, value := range items {
				if !yield("["+strconv.Itoa(i)+"]", typed{value, t.Elem()}) {
					return
				}
			}
		}
	}
}

// MisfitText says what is wrong with a value that cannot be read.
func MisfitText(err error) string {
	var wrongType *json.UnmarshalTypeError
	var known *config.Error
	var instant *time.ParseError
	switch {
	case errors.As(err, &wrongType):
		return fmt.Sprintf("want %s, got %s", sortOf(wrongType.Type), problem.Clip(wrongType.Value))
	case errors.As(err, &known):
		return known.Detail()
	case errors.As(err, &instant):
		return "want a time as RFC 3339 has it, 2026-01-31T10:00:00Z"
	}
	return err.Error()
}

// sortOf names what JSON has for a type.
func sortOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "a whole number"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "a list"
	default:
		return "an object"
	}
}
