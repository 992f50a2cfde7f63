package rbac

import (
	"strings"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
)

// levels is how deep a path goes: tenant, app, env, config.
const levels = int(config.LevelConfig)

// part is a set of names at one level: one name or, if open, all that begin with
// the text. The open part without text is every name.
type part struct {
	text string
	open bool
}

// covers reports whether all names of q are names of p.
func (p part) covers(q part) bool {
	if p.open {
		return strings.HasPrefix(q.text, p.text)
	}
	return !q.open && p.text == q.text
}

// meet returns the names that both have. Two parts are disjoint, or one covers the
// other.
func (p part) meet(q part) (part, bool) {
	switch {
	case p.covers(q):
		return q, true
	case q.covers(p):
		return p, true
	default:
		return part{}, false
	}
}

// box is a set of places: those whose first names are of the parts, and all that
// lies below them.
type box struct {
	parts [levels]part
	depth int // how many parts say something
}

// boxAt is the path and all that lies below it.
func boxAt(path *config.Path) box {
	var b box
	b.depth = int(path.Level())
	for i, name := range [...]string{path.Tenant, path.App, path.Env, path.Name} {
		if i < b.depth {
			b.parts[i] = part{text: name, open: name == ""}
		}
	}
	return b
}

// boxOf is where the grant holds, as Grant.Covers has it; false if that is nowhere.
func boxOf(g *auth.Grant) (box, bool) {
	b := boxAt(&g.Scope)
	rest, more := g.Pattern, g.Pattern != ""
	for more {
		var text string
		text, rest, more = strings.Cut(rest, "/")
		if text == "" || b.depth == levels {
			return box{}, false // no name is empty, and nothing lies below a config
		}
		p := part{text: text}
		p.text, p.open = strings.CutSuffix(text, "*")
		b.parts[b.depth] = p
		b.depth++
	}
	return b, true
}

// covers reports whether all of c lies in b.
func (b *box) covers(c *box) bool {
	if b.depth > c.depth {
		return false
	}
	for i := range b.depth {
		if !b.parts[i].covers(c.parts[i]) {
			return false
		}
	}
	return true
}

// meet returns what lies in both.
func (b *box) meet(c *box) (box, bool) {
	both := *b
	for i := range c.depth {
		if i >= b.depth {
			both.parts[i] = c.parts[i]
			continue
		}
		p, ok := b.parts[i].meet(c.parts[i])
		if !ok {
			return box{}, false
		}
		both.parts[i] = p
	}
	both.depth = max(b.depth, c.depth)
	return both, true
}
