// Package toml reads TOML 1.1 (a superset of 1.0). The library parses; what the
// entries mean together – which table is there twice, which key is a value
// already – is found out here, because the library's own way takes quadratic
// time (13 s for 1 MiB of keys) and stops at the first mistake.
package toml

import (
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/format"
)

// Format is the TOML driver.
type Format struct{}

var _ format.Format = Format{}

// New returns the driver; it has no settings.
func New() Format { return Format{} }

// Name is "toml".
func (Format) Name() string { return "toml" }

// Extensions are the endings of TOML files.
func (Format) Extensions() []string { return []string{".toml"} }

// MediaType is the content type that the TOML specification registered.
func (Format) MediaType() string { return "application/toml" }

// Check reports every problem of content.
func (Format) Check(content []byte) []config.Problem {
	r := newReader(content)
	r.document()
	return r.Problems()
}

// Parse reads content. Empty content is an empty Map. Numbers, dates and times
// keep their spelling.
func (Format) Parse(content []byte) (*format.Node, error) {
	r := newReader(content)
	r.document()
	return r.Result("parse toml", r.root.node)
}
