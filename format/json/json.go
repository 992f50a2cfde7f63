// Package json reads JSON as RFC 8259 defines it: no comments, no trailing
// commas, every key once. It goes on after most mistakes, so that one check
// reports them all.
//
// encoding/json would do for valid content, but it takes duplicate keys without
// a word, and stops at the first mistake with a byte offset and nothing else.
package json

import (
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/format"
)

// Format is the JSON driver.
type Format struct{}

var _ format.Format = Format{}

// New returns the driver; it has no settings.
func New() Format { return Format{} }

// Name is "json".
func (Format) Name() string { return "json" }

// Extensions are the endings of JSON files.
func (Format) Extensions() []string { return []string{".json", ".webmanifest"} }

// MediaType is the content type of RFC 8259.
func (Format) MediaType() string { return "application/json" }

// Check reports every problem of content.
func (Format) Check(content []byte) []config.Problem {
	p := parser{Report: format.NewReport(content)}
	p.document(content)
	return p.Problems()
}

// Parse reads content. Numbers keep their spelling, so nothing is lost of what
// a float64 could not hold.
func (Format) Parse(content []byte) (*format.Node, error) {
	p := parser{Report: format.NewReport(content), build: true}
	return p.Result("parse json", p.document(content))
}

// document reads the one value that content must hold.
func (p *parser) document(content []byte) *format.Node {
	if !p.Text() {
		return nil
	}
	p.data = p.Content()
	if len(p.data) < len(content) {
		p.Warnf(0, "save the file as UTF-8 without a byte order mark",
			"the content begins with a byte order mark, which many JSON readers refuse")
	}
	p.space()
	if p.pos == len(p.data) && !p.Failed() {
		p.Errorf(0, "an empty JSON document is written {}", "the content is empty, JSON needs one value")
		return nil
	}
	node := p.value()
	if p.space(); !p.stopped && p.pos < len(p.data) {
		p.Errorf(p.pos, p.trailingHint(), "unexpected %s after the end of the document", p.token())
	}
	return node
}

func (p *parser) trailingHint() string {
	switch p.data[p.pos] {
	case '}', ']':
		return "remove it, or add the bracket that it should close"
	case '{', '[', '"':
		return "a JSON file holds one value; put several into a list"
	}
	return "remove it"
}
