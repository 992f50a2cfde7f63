package diff

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/setpointhq/setpoint/format"
)

// pointer renders a JSON Pointer.
func pointer(path []string) string {
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	var b strings.Builder
	for _, key := range path {
		b.WriteByte('/')
		b.WriteString(escape.Replace(key))
	}
	return b.String()
}

// render shows a value: a scalar as it is, a list or map as JSON on one line.
func render(n *format.Node) string {
	switch n.Kind {
	case format.List, format.Map:
		var b strings.Builder
		compact(&b, n)
		return clip(b.String())
	case format.Null:
		return "null"
	default:
		return clip(n.Text)
	}
}

// compact writes a value as JSON, and little more than will be shown of it.
func compact(b *strings.Builder, n *format.Node) {
	switch n.Kind {
	case format.Null, format.Bool, format.Number:
		b.WriteString(render(n))
	case format.String, format.Time:
		quote(b, n.Text)
	case format.List:
		b.WriteByte('[')
		for i, item := range n.Items {
			if b.Len() > maxValue {
				return
			}
			if i > 0 {
				b.WriteByte(',')
			}
			compact(b, item)
		}
		b.WriteByte(']')
	case format.Map:
		b.WriteByte('{')
		for i, m := range n.Members {
			if b.Len() > maxValue {
				return
			}
			if i > 0 {
				b.WriteByte(',')
			}
			quote(b, m.Key)
			b.WriteByte(':')
			compact(b, m.Value)
		}
		b.WriteByte('}')
	}
}

func quote(b *strings.Builder, text string) {
	quoted, err := json.Marshal(clip(text))
	if err != nil { // a string always has a JSON form
		return
	}
	b.Write(quoted)
}

func clip(text string) string {
	if len(text) <= maxValue {
		return text
	}
	end := maxValue
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}
