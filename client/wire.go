package client

import (
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
