// Package scalar reads and writes the scalars of the schema. What is read is what
// the schema says and nothing else: a number is no text, and a text no number.
//
// A value that comes from a variable is what JSON made of it, with json.Number for
// numbers; one that stands in the document is an int64, a float64, a string, a bool,
// a list or a map.
package scalar

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"github.com/setpointhq/setpoint/config"
)

// wrong is the error of a value that is not what it must be.
func wrong(format string, args ...any) error {
	return config.Errorf(config.Invalid, "", "", format, args...)
}

// MarshalString writes a text.
func MarshalString(s string) graphql.Marshaler { return graphql.MarshalString(s) }

// UnmarshalString reads a text; null is the empty one.
func UnmarshalString(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	}
	return "", wrong("want a text")
}

// MarshalBoolean writes true or false.
func MarshalBoolean(b bool) graphql.Marshaler { return graphql.MarshalBoolean(b) }

// UnmarshalBoolean reads true or false; null is false.
func UnmarshalBoolean(v any) (bool, error) {
	switch v := v.(type) {
	case nil:
		return false, nil
	case bool:
		return v, nil
	}
	return false, wrong("want true or false")
}

// MarshalInt writes a whole number.
func MarshalInt(i int) graphql.Marshaler { return graphql.MarshalInt(i) }

// UnmarshalInt reads a whole number of 32 bits; null is 0.
func UnmarshalInt(v any) (int, error) {
	n, err := whole(v, math.MinInt32, math.MaxInt32)
	return int(n), err
}

// MarshalLong writes a whole number with all its digits.
func MarshalLong(i int64) graphql.Marshaler { return graphql.MarshalInt64(i) }

// UnmarshalLong reads a whole number of 64 bits, or a text of its digits; null is 0.
func UnmarshalLong(v any) (int64, error) {
	if s, is := v.(string); is {
		v = json.Number(s)
	}
	return whole(v, math.MinInt64, math.MaxInt64)
}

// whole reads a whole number within bounds; null is 0.
func whole(v any, least, most int64) (int64, error) {
	var n int64
	switch v := v.(type) {
	case nil:
		return 0, nil
	case int64:
		n = v
	case json.Number:
		var err error
		if n, err = strconv.ParseInt(v.String(), 10, 64); err != nil {
			return 0, wrong("want a whole number from %d to %d", least, most)
		}
	default:
		return 0, wrong("want a whole number")
	}
	if n < least || n > most {
		return 0, wrong("want a whole number from %d to %d", least, most)
	}
	return n, nil
}

// MarshalShare writes a share in hundredths of a percent.
func MarshalShare(s config.Share) graphql.Marshaler { return graphql.MarshalInt32(int32(s)) }

// UnmarshalShare reads a share in hundredths of a percent; null is 0.
func UnmarshalShare(v any) (config.Share, error) {
	n, err := whole(v, math.MinInt32, math.MaxInt32)
	return config.Share(n), err
}

// MarshalTime writes a moment; null for none.
func MarshalTime(t time.Time) graphql.Marshaler {
	if t.IsZero() {
		return graphql.Null
	}
	return graphql.WriterFunc(func(w io.Writer) {
		var room [len(time.RFC3339Nano) + 2]byte
		b := append(t.AppendFormat(append(room[:0], '"'), time.RFC3339Nano), '"')
		_, _ = w.Write(b) // into memory
	})
}

// UnmarshalTime reads a moment; null is none.
func UnmarshalTime(v any) (time.Time, error) {
	switch v := v.(type) {
	case nil:
		return time.Time{}, nil
	case string:
		if t, err := time.Parse(time.RFC3339, v); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, wrong(`want a moment like "2027-01-31T10:00:00Z"`)
}

// MarshalSeconds writes a time span as a number of seconds.
func MarshalSeconds(s config.Seconds) graphql.Marshaler { return graphql.MarshalFloat(float64(s)) }

// UnmarshalSeconds reads a time span, a number of seconds or a text; null is 0.
func UnmarshalSeconds(v any) (config.Seconds, error) {
	switch v := v.(type) {
	case nil:
		return 0, nil
	case int64:
		return config.Seconds(v), nil
	case float64:
		return config.Seconds(v), nil
	case json.Number:
		if f, err := v.Float64(); err == nil {
			return config.Seconds(f), nil
		}
	case string:
		if d, err := time.ParseDuration(v); err == nil {
			return config.Seconds(d.Seconds()), nil
		}
	}
	return 0, wrong(`want a number of seconds, or a time span like "1h30m"`)
}

// MarshalSpan writes a time span as a number of seconds.
func MarshalSpan(d time.Duration) graphql.Marshaler { return graphql.MarshalFloat(d.Seconds()) }

// UnmarshalSpan reads a time span as UnmarshalSeconds does, if there can be one.
func UnmarshalSpan(v any) (time.Duration, error) {
	s, err := UnmarshalSeconds(v)
	if err != nil {
		return 0, err
	}
	// The largest is some 292 years.
	if nanoseconds := float64(s) * float64(time.Second); nanoseconds > -math.MaxInt64 && nanoseconds < math.MaxInt64 {
		return time.Duration(nanoseconds), nil
	}
	return 0, wrong("the time span is too long")
}

// MarshalBase64 writes bytes.
func MarshalBase64(b []byte) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) {
		text := make([]byte, 0, base64.StdEncoding.EncodedLen(len(b))+2)
		text = base64.StdEncoding.AppendEncode(append(text, '"'), b)
		_, _ = w.Write(append(text, '"')) // into memory
	})
}

// UnmarshalBase64 reads bytes; null is none, which the empty text is not.
func UnmarshalBase64(v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case string:
		b := make([]byte, base64.StdEncoding.DecodedLen(len(v)))
		if n, err := base64.StdEncoding.Decode(b, []byte(v)); err == nil {
			return b[:n], nil
		}
	}
	return nil, wrong("want base64, with padding")
}

// MarshalLabels writes keys with their values; null for none.
func MarshalLabels(labels map[string]string) graphql.Marshaler {
	if labels == nil {
		return graphql.Null
	}
	return graphql.WriterFunc(func(w io.Writer) {
		b, _ := json.Marshal(labels) // texts can always be written
		_, _ = w.Write(b)            // into memory
	})
}

// UnmarshalLabels reads keys with their values; null is none.
func UnmarshalLabels(v any) (map[string]string, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case map[string]any:
		labels := make(map[string]string, len(v))
		for key, value := range v {
			text, is := value.(string)
			if !is {
				return nil, wrong("want a text as the value of %q", key)
			}
			labels[key] = text
		}
		return labels, nil
	}
	return nil, wrong("want an object of texts")
}
