package yaml

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/setpointhq/setpoint/format"
)

// scalar turns a scalar into a Node and warns of what it may not mean.
func (r *reader) scalar(n *yaml.Node) *format.Node {
	node := r.node(format.String, n)
	node.Text = n.Value
	if n.Style&yaml.TaggedStyle != 0 {
		r.tagged(n)
	}
	switch n.Tag {
	case "!!null":
		node.Kind, node.Text = format.Null, ""
	case "!!bool":
		node.Kind = format.Bool
	case "!!int", "!!float":
		node.Kind = format.Number
	case "!!timestamp":
		node.Kind = format.Time
	}
	if n.Style == 0 {
		r.traps(n, node.Kind)
	}
	return node
}

// tagged checks that a value is what its tag says it is.
func (r *reader) tagged(n *yaml.Node) {
	kind, known := strings.CutPrefix(n.Tag, "!!")
	if !known || kind == "str" {
		return // a tag of the application's
	}
	var value any
	if err := n.Decode(&value); err != nil {
		r.Errorf(r.offset(n.Line, n.Column), "mend the value, or leave the tag out", "%q is not what its tag says, %s", clip(n.Value), kind)
	}
}

// traps warns of plain scalars that YAML 1.1 reads otherwise than YAML 1.2.
func (r *reader) traps(n *yaml.Node, kind format.NodeKind) {
	text := n.Value
	switch {
	case kind == format.String && (len(text) == 2 || len(text) == 3) && isSwitch(text):
		r.Warnf(r.offset(n.Line, n.Column), "put it in quotes if it is text, or write true or false",
			"%s is text in YAML 1.2 but a truth value in YAML 1.1, which many applications read", text)
	case kind == format.Number && isOctal(text):
		octal, err := strconv.ParseUint(strings.TrimLeft(text, "+-"), 8, 64)
		if err != nil {
			return
		}
		r.Warnf(r.offset(n.Line, n.Column), "put it in quotes if it is text, or write 0o"+strings.TrimLeft(text, "+-0")+" or the decimal number",
			"%s is %d to readers of YAML 1.1, which take it as octal, and %s to others", text, octal, strings.TrimLeft(text, "+-0"))
	case kind == format.String && isSexagesimal(text):
		r.Warnf(r.offset(n.Line, n.Column), "put it in quotes",
			"%s is text in YAML 1.2 but a number to base 60 in YAML 1.1, which many applications read", text)
	}
}

func isSwitch(text string) bool {
	lower := strings.ToLower(text)
	if text != lower && text != strings.ToUpper(text) && text != strings.ToUpper(text[:1])+lower[1:] {
		return false
	}
	return lower == "yes" || lower == "no" || lower == "on" || lower == "off"
}

func isOctal(text string) bool {
	text = strings.TrimLeft(text, "+-")
	return len(text) > 1 && text[0] == '0' && strings.Trim(text, "01234567") == "" && strings.Trim(text, "0") != ""
}

// isSexagesimal says whether YAML 1.1 takes text for a number like 12:30:45.
func isSexagesimal(text string) bool {
	if len(text) < 3 || len(text) > 20 || text[0] < '1' || text[0] > '9' {
		return false
	}
	parts := strings.Split(text, ":")
	for i, part := range parts {
		digits := len(part) > 0 && strings.Trim(part, "0123456789") == ""
		if !digits || i > 0 && (len(part) > 2 || len(part) == 2 && part[0] > '5') {
			return false
		}
	}
	return len(parts) > 1
}

func kindWithArticle(kind format.NodeKind) string {
	if kind == format.Null {
		return "null"
	}
	return "a " + kind.String()
}

// clip keeps a message short.
func clip(text string) string {
	const most = 40
	for i := range text {
		if i >= most {
			return text[:i] + "…"
		}
	}
	return text
}
