package protocol_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/setpointhq/setpoint/protocol"
)

func text(s string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, s) })
}

func TestMux(t *testing.T) {
	var m protocol.Mux
	m.Handle("/v1/", text("v1"))
	m.Handle("/v1/ws", text("ws"))
	m.Handle("/v1/deep/er/", text("deeper"))
	m.Handle("/openapi.json", text("openapi"))

	for path, want := range map[string]string{
		"/v1/":             "v1",
		"/v1/x":            "v1",
		"/v1//x":           "v1",
		"/v1/../x":         "v1",
		"/v1/ws":           "ws",
		"/v1/ws/more":      "v1",
		"/v1/deep/er/x":    "deeper",
		"/v1/deep/error":   "v1",
		"/openapi.json":    "openapi",
		"/openapi.jsonnet": "",
		"/v1":              "",
		"/v2":              "",
		"/":                "",
	} {
		t.Run(path, func(t *testing.T) {
			w := httptest.NewRecorder()
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.URL.Path = path
			m.ServeHTTP(w, r)
			if want == "" {
				if w.Code != http.StatusNotFound || w.Header().Get("Content-Type") != "application/problem+json" {
					t.Fatalf("want a 404 problem, got %d %s", w.Code, w.Header())
				}
				if w.Header().Get("X-Request-Id") == "" {
					t.Errorf("want a request id, got %v", w.Header())
				}
				return
			}
			if got := w.Body.String(); got != want || w.Code != http.StatusOK {
				t.Fatalf("want %q, got %d %q", want, w.Code, got)
			}
		})
	}
}

func TestMuxRefusesPatterns(t *testing.T) {
	for name, add := range map[string]func(*protocol.Mux){
		"taken path": func(m *protocol.Mux) { m.Handle("/a", text("")); m.Handle("/a", text("")) },
		"taken tree": func(m *protocol.Mux) { m.Handle("/a/", text("")); m.Handle("/a/", text("")) },
		"no path":    func(m *protocol.Mux) { m.Handle("a", text("")) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Fatal("want a panic, got none")
				}
			}()
			add(&protocol.Mux{})
		})
	}
}

// The zero Mux must serve too, not only one with patterns.
func TestMuxZero(t *testing.T) {
	w := httptest.NewRecorder()
	new(protocol.Mux).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusNotFound {
		t.Fatalf("want 404, got %d", w.Code)
	}
}
