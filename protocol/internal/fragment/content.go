package fragment

import "unicode/utf8"

// Content is the content of a config in JSON: as text, or as base64 where it is
// no UTF-8.
type Content struct {
	Text   *string `json:"content,omitempty" doc:"the content, where it is UTF-8 text" example:"server:\n  port: 8080\n"`
	Base64 []byte  `json:"content_base64,omitempty" doc:"the content, where it is other bytes"`
}

// ContentOf renders bytes.
func ContentOf(content []byte) Content {
	if utf8.Valid(content) {
		text := string(content)
		return Content{Text: &text}
	}
	return Content{Base64: content}
}
