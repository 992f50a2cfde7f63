package center

import (
	"context"
	"strconv"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/format"
	"github.com/setpointhq/setpoint/format/diff"
)

// Ref names one content to compare: a release, the draft, or what is served.
type Ref struct {
	Path    config.Path
	Version int64 // 0 and no Draft: what is served now
	Draft   bool
}

// DiffSide tells what one side of a Diff turned out to be.
type DiffSide struct {
	Path    config.Path `json:"path"`
	Version int64       `json:"version,omitempty"`
	Draft   bool        `json:"draft,omitempty"`
	Digest  string      `json:"digest,omitempty"`
	Format  string      `json:"format,omitempty"`
	// Missing sides have no content: nothing was released yet.
	Missing bool `json:"missing,omitempty"`

	content []byte
}

// Diff is the difference between two contents.
type Diff struct {
	From  DiffSide `json:"from"`
	To    DiffSide `json:"to"`
	Equal bool     `json:"equal"`
	// Unified is the difference by line.
	Unified string `json:"unified"`
	// Structural says that both sides are lists or maps of one format, so that
	// Changes holds the difference by path.
	Structural bool          `json:"structural"`
	Changes    []diff.Change `json:"changes"`
}

// contextLines is how many lines around a difference are shown.
const contextLines = 3

// Diff compares two contents, by line and, where both sides parse in one
// format, by path.
func (c *Center) Diff(ctx context.Context, from, to Ref) (Diff, error) {
	const op = "config.diff"
	for _, ref := range []Ref{from, to} {
		if _, err := c.authorize(ctx, op, auth.Read, ref.Path); err != nil {
			return Diff{}, err
		}
	}
	a, err := c.diffSide(ctx, from)
	if err != nil {
		return Diff{}, located(op, from.Path.String(), err)
	}
	b, err := c.diffSide(ctx, to)
	if err != nil {
		return Diff{}, located(op, to.Path.String(), err)
	}
	d := Diff{From: a, To: b, Equal: a.Digest == b.Digest && a.Missing == b.Missing, Changes: []diff.Change{}}
	d.Unified = diff.Unified(a.labelled(), b.labelled(), contextLines)
	if changes, ok := c.structural(a, b); ok {
		d.Structural, d.Changes = true, append(d.Changes, changes...)
	}
	return d, nil
}

func (c *Center) diffSide(ctx context.Context, ref Ref) (DiffSide, error) {
	side := DiffSide{Path: ref.Path, Version: ref.Version, Draft: ref.Draft}
	switch {
	case ref.Draft:
		draft, _, err := c.loadDraft(ctx, ref.Path)
		if err != nil {
			return side, err
		}
		side.content, side.Format = draft.Content, draft.Format
	case ref.Version != 0:
		release, content, err := c.loadRelease(ctx, ref.Path, ref.Version)
		if err != nil {
			return side, err
		}
		side.content, side.Format = content, release.Format
	default:
		cfg, err := configAt(c.view.Snapshot(), ref.Path)
		if err != nil {
			return side, err
		}
		stable := cfg.Rollout.Stable
		if side.Missing = stable == nil || cfg.Rollout.Deleted; side.Missing {
			return side, nil
		}
		side.Version, side.Format = stable.Version, stable.Format
		if side.content, err = c.view.Content(ctx, stable); err != nil {
			return side, err
		}
	}
	side.Digest = digestOf(side.content)
	return side, nil
}

// structural compares the parsed sides; not ok if one does not parse, or they
// are of different formats.
func (c *Center) structural(a, b DiffSide) ([]diff.Change, bool) {
	if a.Missing || b.Missing || a.Format != b.Format {
		return nil, false
	}
	f, err := c.formats.Get(a.Format)
	if err != nil {
		return nil, false
	}
	from, err := f.Parse(a.content)
	if err != nil {
		return nil, false
	}
	to, err := f.Parse(b.content)
	if err != nil {
		return nil, false
	}
	if !hasPaths(from) || !hasPaths(to) {
		return nil, false
	}
	return diff.Structural(from, to), true
}

// hasPaths reports whether there is something to name within a document.
func hasPaths(n *format.Node) bool { return n.Kind == format.List || n.Kind == format.Map }

func (s DiffSide) labelled() diff.Labelled {
	name := s.Path.String()
	switch {
	case s.Draft:
		name += " (draft)"
	case s.Missing:
		name += " (nothing released)"
	default:
		name += "@" + strconv.FormatInt(s.Version, 10)
	}
	return diff.Labelled{Name: name, Content: s.content}
}
