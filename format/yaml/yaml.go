// Package yaml reads YAML 1.2, one document or a stream of several, with
// anchors, aliases and merge keys resolved. It warns of what YAML 1.1 reads
// otherwise, because many applications still do.
//
// What the parser takes but no application can use is an error here: a key that
// is there twice, a key that is a list or map, aliases that multiply without
// end.
package yaml

import (
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/format"
)

// Format is the YAML driver.
type Format struct{}

var _ format.Format = Format{}

// New returns the driver; it has no settings.
func New() Format { return Format{} }

// Name is "yaml".
func (Format) Name() string { return "yaml" }

// Extensions are the endings of YAML files.
func (Format) Extensions() []string { return []string{".yaml", ".yml"} }

// MediaType is the content type of RFC 9512.
func (Format) MediaType() string { return "application/yaml" }

// Check reports every problem of content: of each document the first mistake of
// syntax, or else all that is wrong with what it says.
func (Format) Check(content []byte) []config.Problem {
	r := newReader(content)
	r.stream()
	return r.Problems()
}

// Parse reads content. Empty content is null; several documents are a List.
func (Format) Parse(content []byte) (*format.Node, error) {
	r := newReader(content)
	documents := r.stream()
	var tree *format.Node
	switch len(documents) {
	case 0:
		tree = &format.Node{Kind: format.Null, Line: 1, Column: 1}
	case 1:
		tree = documents[0]
	default:
		tree = &format.Node{Kind: format.List, Items: documents, Line: documents[0].Line, Column: documents[0].Column}
	}
	return r.Result("parse yaml", tree)
}
