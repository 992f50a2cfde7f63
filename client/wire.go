package client

import (
	"encoding/json"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/setpointhq/setpoint/config"
)

// wireContent is content inside JSON: text where it is UTF-8, else base64, so
// that every byte survives.
type wireContent struct {
	Text   *string `json:"content,omitempty"`
	Base64 []byte  `json:"content_base64,omitempty"`
}

func contentOf(b []byte) wireContent {
	if !utf8.Valid(b) {
		return wireContent{Base64: b}
	}
	text := string(b)
	return wireContent{Text: &text}
}

func (w wireContent) bytes() []byte {
	if w.Text != nil {
		return []byte(*w.Text)
	}
	return w.Base64
}

type wireRelease struct {
	config.Release
	wireContent
}

func (w wireRelease) release() Release { return Release{Release: w.Release, Content: w.bytes()} }

// MarshalJSON renders the release as the server does, with its content.
func (r Release) MarshalJSON() ([]byte, error) {
	return json.Marshal(wireRelease{Release: r.Release, wireContent: contentOf(r.Content)})
}

type wireDraft struct {
	config.Draft
	wireContent
}

func (w wireDraft) draft() Draft {
	d := Draft{Draft: w.Draft}
	d.Content = w.bytes()
	return d
}

// MarshalJSON renders the draft as the server does, with its content.
func (d Draft) MarshalJSON() ([]byte, error) {
	return json.Marshal(wireDraft{Draft: d.Draft, wireContent: contentOf(d.Content)})
}

// plainChange is a Change without its methods.
type plainChange Change

type wireChange struct {
	plainChange
	wireContent
}

func (w wireChange) change() Change {
	c := Change(w.plainChange)
	c.Content = w.bytes()
	return c
}

// MarshalJSON renders the change as the server does, with its content if that
// is known.
func (c Change) MarshalJSON() ([]byte, error) {
	w := wireChange{plainChange: plainChange(c)}
	if c.Content != nil {
		w.wireContent = contentOf(c.Content)
	}
	return json.Marshal(w)
}

// at builds an address below /v1: the path's parts, each under its collection
// ("tenants", "apps", "envs", "configs"), then more parts as they are.
func at(p config.Path, more ...string) string {
	parts := []string{"/v1"}
	collections := []struct{ collection, name string }{
		{"tenants", p.Tenant}, {"apps", p.App}, {"envs", p.Env}, {"configs", p.Name},
	}
	for _, c := range collections[:p.Level()] {
		parts = append(parts, c.collection, url.PathEscape(c.name))
	}
	for _, m := range more {
		parts = append(parts, url.PathEscape(m))
	}
	return strings.Join(parts, "/")
}

// served is the data plane's address of a path.
func served(p config.Path) string {
	var parts []string
	for part := range strings.SplitSeq(p.String(), "/") {
		parts = append(parts, url.PathEscape(part))
	}
	return "/v1/configs/" + strings.Join(parts, "/")
}
