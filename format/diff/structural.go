package diff

import (
	"strconv"

	"github.com/setpointhq/setpoint/format"
)

// Op is what happened to a value.
type Op string

// The operations.
const (
	Add    Op = "add"
	Remove Op = "remove"
	Modify Op = "change"
)

// Change is one difference between two documents.
type Change struct {
	Op Op `json:"op"`
	// Path is the JSON Pointer (RFC 6901) of the value; "" is the document. It
	// is the place in the new document, or for Remove in the old.
	Path string `json:"path"`
	// FromPath is the place in the old document, where that differs: items of
	// lists move when others come before them.
	FromPath string `json:"from_path,omitempty"`
	// From and To are the values: of a scalar the text, of a list or map short
	// JSON. Long ones are clipped and end with "…".
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
	// FromKind and ToKind are the names of format.NodeKind; "" where there is
	// no value.
	FromKind string `json:"from_kind,omitempty"`
	ToKind   string `json:"to_kind,omitempty"`
	// FromLine and ToLine, from 1, are where the values begin.
	FromLine int `json:"from_line,omitempty"`
	ToLine   int `json:"to_line,omitempty"`
}

// Bounds on what Structural returns.
const (
	// MaxChanges is how many changes are listed; the others are left out.
	MaxChanges = 10_000
	// maxText bounds their text in bytes: paths may be long.
	maxText = 4 << 20
	// maxValue is how many bytes of a value are shown.
	maxValue = 256
)

// Structural lists the differences between two documents: first those of the
// old document's values in its order, in each map and list, then what is new.
// The order of a map's keys makes no difference; items of lists are matched
// with what is most like them, in order. A nil document is one that is not
// there.
func Structural(from, to *format.Node) []Change {
	w := walker{hashes: newHashes()}
	w.value(from, to)
	return w.changes
}

// walker goes through both documents side by side.
type walker struct {
	hashes
	changes          []Change
	text             int      // bytes of the changes so far
	fromPath, toPath []string // unescaped keys and indices
}

func (w *walker) full() bool { return len(w.changes) >= MaxChanges || w.text >= maxText }

// value compares what is at the current paths.
func (w *walker) value(from, to *format.Node) {
	switch {
	case w.full():
	case from == nil && to == nil:
	case from == nil:
		w.add(Change{Op: Add, Path: pointer(w.toPath)}, nil, to)
	case to == nil:
		w.add(Change{Op: Remove, Path: pointer(w.fromPath)}, from, nil)
	case w.of(from) == w.of(to):
	case from.Kind == format.Map && to.Kind == format.Map:
		w.members(from, to)
	case from.Kind == format.List && to.Kind == format.List:
		w.items(from.Items, to.Items)
	default:
		c := Change{Op: Modify, Path: pointer(w.toPath)}
		if path := pointer(w.fromPath); path != c.Path {
			c.FromPath = path
		}
		w.add(c, from, to)
	}
}

func (w *walker) add(c Change, from, to *format.Node) {
	if from != nil {
		c.From, c.FromKind, c.FromLine = render(from), from.Kind.String(), from.Line
	}
	if to != nil {
		c.To, c.ToKind, c.ToLine = render(to), to.Kind.String(), to.Line
	}
	w.text += len(c.Path) + len(c.FromPath) + len(c.From) + len(c.To)
	w.changes = append(w.changes, c)
}

// at compares two values one level down; a nil one has no key.
func (w *walker) at(fromKey, toKey string, from, to *format.Node) {
	w.fromPath, w.toPath = append(w.fromPath, fromKey), append(w.toPath, toKey)
	w.value(from, to)
	w.fromPath, w.toPath = w.fromPath[:len(w.fromPath)-1], w.toPath[:len(w.toPath)-1]
}

func (w *walker) members(from, to *format.Node) {
	old, now := index(from), index(to)
	for _, m := range from.Members {
		w.at(m.Key, m.Key, m.Value, now[m.Key])
	}
	for _, m := range to.Members {
		if old[m.Key] == nil {
			w.at(m.Key, m.Key, nil, m.Value)
		}
	}
}

func index(n *format.Node) map[string]*format.Node {
	byKey := make(map[string]*format.Node, len(n.Members))
	for _, m := range n.Members {
		byKey[m.Key] = m.Value
	}
	return byKey
}

func (w *walker) items(from, to []*format.Node) {
	for _, p := range w.align(from, to) {
		var a, b *format.Node
		if p.from >= 0 {
			a = from[p.from]
		}
		if p.to >= 0 {
			b = to[p.to]
		}
		w.at(strconv.Itoa(p.from), strconv.Itoa(p.to), a, b)
	}
}
