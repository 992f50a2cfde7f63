package config

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Operator compares a client's label with what a requirement says.
type Operator string

// The operators. A label that is not there is unequal to everything: NotEqual
// and NotIn hold for it, as in Kubernetes; add the bare key to want it there.
// The last four compare versions by the precedence of Semantic Versioning, so
// that 1.10 is more than 1.9; a label that is no version satisfies none of them.
const (
	OpExists       Operator = "exists" // written "key"
	OpAbsent       Operator = "absent" // written "!key"
	OpEqual        Operator = "="
	OpNotEqual     Operator = "!="
	OpIn           Operator = "in"     // written "key in (a, b)"
	OpNotIn        Operator = "not in" // written "key not in (a, b)"
	OpLess         Operator = "<"
	OpLessEqual    Operator = "<="
	OpGreater      Operator = ">"
	OpGreaterEqual Operator = ">="
)

// The bounds of a selector. Keys and values are as long as those of a client.
const (
	MaxRequirements = 32
	MaxValues       = 100
	MaxLabelLength  = 256 // bytes, key and value each
)

// Requirement is one thing that a selector wants of a client's labels.
type Requirement struct {
	Key      string
	Operator Operator
	// Values are none for OpExists and OpAbsent, one or more for OpIn and
	// OpNotIn, and one for every other operator.
	Values []string
}

// Selector chooses clients by their labels: all its requirements must hold. In
// JSON and on the command line it is text, "region in (eu, us), tier != batch",
// that ParseSelector reads and String writes.
type Selector []Requirement

// matches reports whether all requirements hold; none is not enough.
func (s Selector) matches(labels map[string]string) bool {
	for i := range s {
		value, there := labels[s[i].Key]
		if !s[i].holds(value, there) {
			return false
		}
	}
	return len(s) > 0
}

// holds reports whether the requirement is met by a label. What Validate
// refuses is never met.
func (q *Requirement) holds(value string, there bool) bool {
	switch q.Operator {
	case OpExists:
		return there
	case OpAbsent:
		return !there
	case OpEqual, OpIn:
		return there && slices.Contains(q.Values, value)
	case OpNotEqual, OpNotIn:
		return len(q.Values) > 0 && (!there || !slices.Contains(q.Values, value))
	}
	if !there || len(q.Values) != 1 {
		return false
	}
	order, ok := compareVersions(value, q.Values[0])
	switch q.Operator {
	case OpLess:
		return ok && order < 0
	case OpLessEqual:
		return ok && order <= 0
	case OpGreater:
		return ok && order > 0
	case OpGreaterEqual:
		return ok && order >= 0
	}
	return false
}

// problem says what is wrong with the requirement; "" if nothing is.
func (q *Requirement) problem() string {
	if q.Key == "" {
		return "a label's key is missing"
	}
	if why := wordProblem(q.Key); why != "" {
		return "a label's key " + why
	}
	want := 1
	switch q.Operator {
	case OpExists, OpAbsent:
		want = 0
	case OpIn, OpNotIn:
		want = min(max(len(q.Values), 1), MaxValues)
	case OpLess, OpLessEqual, OpGreater, OpGreaterEqual:
		if len(q.Values) == 1 {
			if _, _, ok := splitVersion(q.Values[0]); !ok {
				return fmt.Sprintf("%q is no version: %q compares versions such as 1.4.2 or 8", clip(q.Values[0]), q.Operator)
			}
		}
	case OpEqual, OpNotEqual:
	default:
		return fmt.Sprintf("%q is no operator: use =, !=, in, 'not in', <, <=, > or >=, 'key' for a label that is there or '!key' for one that is not", clip(string(q.Operator)))
	}
	if len(q.Values) != want {
		return fmt.Sprintf("%q of label %q has %d values; want %s", q.Operator, clip(q.Key), len(q.Values), howMany(q.Operator, want))
	}
	for i, value := range q.Values {
		if why := wordProblem(value); why != "" {
			return fmt.Sprintf("a value of label %q %s", clip(q.Key), why)
		}
		if slices.Contains(q.Values[:i], value) {
			return fmt.Sprintf("value %q of label %q is there twice", clip(value), clip(q.Key))
		}
	}
	return ""
}

func howMany(op Operator, want int) string {
	if op == OpIn || op == OpNotIn {
		return fmt.Sprintf("1 to %d", MaxValues)
	}
	return fmt.Sprint(want)
}

// wordProblem says why no client could send s as the key or value of a label.
func wordProblem(s string) string {
	switch {
	case len(s) > MaxLabelLength:
		return fmt.Sprintf("has %d bytes; at most %d are taken", len(s), MaxLabelLength)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, isControl):
		return "has control characters or is no UTF-8"
	}
	return ""
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// excludes reports whether no label can satisfy both requirements. It finds what
// people write by mistake, not every contradiction.
func (q *Requirement) excludes(other *Requirement) bool {
	if q.Key != other.Key {
		return false
	}
	if q.Operator == OpEqual || q.Operator == OpIn {
		return !slices.ContainsFunc(q.Values, func(v string) bool { return other.holds(v, true) })
	}
	return q.Operator == OpAbsent && !other.holds("", false)
}

// String writes the selector as ParseSelector reads it.
func (s Selector) String() string {
	var b strings.Builder
	for i := range s {
		if i > 0 {
			b.WriteString(", ")
		}
		s[i].write(&b)
	}
	return b.String()
}

func (q *Requirement) write(b *strings.Builder) {
	if q.Operator == OpAbsent {
		b.WriteByte('!')
	}
	writeWord(b, q.Key)
	switch q.Operator {
	case OpExists, OpAbsent:
	case OpIn, OpNotIn:
		b.WriteString(" " + string(q.Operator) + " (")
		for i, value := range q.Values {
			if i > 0 {
				b.WriteString(", ")
			}
			writeWord(b, value)
		}
		b.WriteByte(')')
	default:
		b.WriteString(" " + string(q.Operator) + " ")
		for _, value := range q.Values {
			writeWord(b, value)
		}
	}
}

// writeWord quotes what would not be read as one word.
func writeWord(b *strings.Builder, s string) {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !isBare(r) }) {
		b.WriteString(s)
		return
	}
	b.WriteByte('"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	b.WriteByte('"')
}

// isBare reports whether a word may have the character without quotes.
func isBare(r rune) bool {
	return unicode.IsPrint(r) && !strings.ContainsRune(` ,()=!<>"\`, r)
}

// MarshalText writes the selector as String does.
func (s Selector) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what ParseSelector reads.
func (s *Selector) UnmarshalText(b []byte) error {
	parsed, err := ParseSelector(string(b))
	if err != nil {
		return err
	}
	*s = parsed
	return nil
}
