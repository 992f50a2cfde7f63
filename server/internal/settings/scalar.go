package settings

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// setText sets a value from its text, as a variable or flag gives it: a list
// is written with commas, a map as key=value pairs.
func setText(v reflect.Value, text string) error {
	switch {
	case v.Kind() == reflect.Slice && !isText(v):
		list := reflect.MakeSlice(v.Type(), 0, 0)
		for part := range strings.SplitSeq(text, ",") {
			item := reflect.New(v.Type().Elem()).Elem()
			if err := setScalar(item, strings.TrimSpace(part)); err != nil {
				return err
			}
			list = reflect.Append(list, item)
		}
		v.Set(list)
		return nil
	case v.Kind() == reflect.Map:
		m := reflect.MakeMap(v.Type())
		for part := range strings.SplitSeq(text, ",") {
			key, value, ok := strings.Cut(strings.TrimSpace(part), "=")
			if !ok {
				return fmt.Errorf("%q is no pair; write key=value,key=value", part)
			}
			item := reflect.New(v.Type().Elem()).Elem()
			if err := setScalar(item, value); err != nil {
				return err
			}
			m.SetMapIndex(reflect.ValueOf(key), item)
		}
		v.Set(m)
		return nil
	default:
		return setScalar(v, text)
	}
}

// setScalar sets a single value from its text.
func setScalar(v reflect.Value, text string) error {
	if v.Type() == reflect.TypeFor[time.Duration]() {
		d, err := parseDuration(text)
		v.SetInt(int64(d))
		return err
	}
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return fmt.Errorf("%q is neither true nor false", text)
		}
		v.SetBool(text == "true")
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, v.Type().Bits())
		if err != nil {
			return notNumber(text, "a whole number", err)
		}
		v.SetInt(n)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n, err := strconv.ParseUint(text, 10, v.Type().Bits())
		if err != nil {
			return notNumber(text, "a whole number, not negative", err)
		}
		v.SetUint(n)
	case reflect.Float32, reflect.Float64:
		n, err := strconv.ParseFloat(text, v.Type().Bits())
		if err != nil {
			return notNumber(text, "a number", err)
		}
		v.SetFloat(n)
	default:
		return fmt.Errorf("a setting cannot have the type %s", v.Type())
	}
	return nil
}

func notNumber(text, want string, err error) error {
	if errors.Is(err, strconv.ErrRange) {
		return fmt.Errorf("%s is out of range", text)
	}
	return fmt.Errorf("%q is not %s", text, want)
}

// parseDuration explains itself better than time.ParseDuration.
func parseDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration; write a number with a unit: 500ms, 30s, 5m, 12h", text)
	}
	return d, nil
}

// isText reports whether a value reads itself from text.
func isText(v reflect.Value) bool {
	return reflect.PointerTo(v.Type()).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// text writes a value as setText reads it.
func text(v reflect.Value) string {
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		return durationText(time.Duration(v.Int()))
	case isText(v):
		if s, ok := v.Interface().(config.Secret); ok && s.Empty() {
			return "" // nothing to hide
		}
		if m, ok := v.Interface().(encoding.TextMarshaler); ok {
			b, err := m.MarshalText()
			if err != nil {
				return err.Error()
			}
			return string(b)
		}
		return fmt.Sprint(v.Interface())
	default:
		return fmt.Sprint(v.Interface())
	}
}

// durationText drops the zero units that time.Duration.String appends: 5m, not 5m0s.
func durationText(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
