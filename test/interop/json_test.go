package interop

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
)

// at finds a place in a JSON text, "changes.served.0.version"; nil if there is
// nothing.
func at(t testing.TB, text, place string) any {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%q is no JSON: %v", text, err)
	}
	for step := range strings.SplitSeq(place, ".") {
		switch v := value.(type) {
		case map[string]any:
			value = v[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(v) {
				return nil
			}
			value = v[i]
		default:
			return nil
		}
	}
	return value
}
