// Package text reads plain text: anything that is UTF-8. It takes the files
// whose ending no other format claims, so that a directory of real files is
// stored and served whole although not every one can be checked.
package text

import (
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/format"
)

// Format is the plain text driver.
type Format struct{}

var _ format.Format = Format{}

// New returns the driver; it has no settings.
func New() Format { return Format{} }

// Name is "text".
func (Format) Name() string { return "text" }

// Extensions are the endings of text files, and every ending that is nobody's.
func (Format) Extensions() []string { return []string{".txt", format.AnyExtension} }

// MediaType names the only charset that Check lets through.
func (Format) MediaType() string { return "text/plain; charset=utf-8" }

// Check reports bytes that are not UTF-8.
func (Format) Check(content []byte) []config.Problem {
	r := format.NewReport(content)
	r.Text()
	return r.Problems()
}

// Parse returns the whole text as one string.
func (Format) Parse(content []byte) (*format.Node, error) {
	r := format.NewReport(content)
	r.Text()
	return r.Result("parse text", &format.Node{Kind: format.String, Text: string(r.Content()), Line: 1, Column: 1})
}
