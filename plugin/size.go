package plugin

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes in a settings struct. As text it is a whole number
// with an optional unit: "512", "64KiB", "1.5GiB", "10MB".
type Size int64

// The binary units.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
	TiB Size = 1 << 40
)

var units = []struct {
	name string
	size Size
}{
	{"TiB", TiB}, {"GiB", GiB}, {"MiB", MiB}, {"KiB", KiB},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"KB", 1e3}, {"B", 1},
}

// String writes the size in the largest binary unit that loses nothing.
func (s Size) String() string {
	for _, u := range units[:4] {
		if s != 0 && s%u.size == 0 {
			return strconv.FormatInt(int64(s/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// MarshalText implements encoding.TextMarshaler.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Size) UnmarshalText(text []byte) error {
	number, unit := strings.TrimSpace(string(text)), Size(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(number, u.name); ok {
			number, unit = strings.TrimSpace(rest), u.size
			break
		}
	}
	bytes, ok := times(number, unit)
	if !ok {
		return fmt.Errorf("%q is not a size; write a whole number of bytes, with a unit if you like: 512, 64KiB, 1.5GiB, 10MB", text)
	}
	*s = bytes
	return nil
}

// times multiplies a decimal number with a unit; false if the text is no such
// number, or the product is negative, too large or not whole.
func times(number string, unit Size) (Size, bool) {
	if strings.Trim(number, "0123456789.") != "" {
		return 0, false
	}
	if n, err := strconv.ParseInt(number, 10, 64); err == nil {
		return Size(n) * unit, n <= math.MaxInt64/int64(unit)
	}
	n, err := strconv.ParseFloat(number, 64)
	bytes := n * float64(unit)
	return Size(bytes), err == nil && bytes < math.MaxInt64 && bytes == math.Trunc(bytes)
}
