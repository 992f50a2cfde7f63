package protocol

import (
	"fmt"
	"net/http"
	"strings"
)

// Mux shares one HTTP listener among protocols. Unlike http.ServeMux it never
// cleans a path and never redirects: what a client sent reaches the protocol as
// it is, which refuses what it does not like. The zero Mux is ready for use;
// patterns are added before it serves, not after.
type Mux struct {
	exact map[string]http.Handler
	trees map[string]http.Handler // without the final slash
}

// Handle registers a handler for a path or, where the pattern ends in a slash,
// for everything below one. It panics if the pattern is taken or no path.
func (m *Mux) Handle(pattern string, h http.Handler) {
	if m.exact == nil {
		m.exact, m.trees = map[string]http.Handler{}, map[string]http.Handler{}
	}
	if !strings.HasPrefix(pattern, "/") {
		panic(fmt.Sprintf("protocol: pattern %q does not begin with a slash", pattern))
	}
	set, key := m.exact, pattern
	if tree, ok := strings.CutSuffix(pattern, "/"); ok {
		set, key = m.trees, tree
	}
	if _, taken := set[key]; taken {
		panic(fmt.Sprintf("protocol: pattern %q registered twice", pattern))
	}
	set[key] = h
}

// ServeHTTP calls the handler of the path itself, else of the deepest tree that
// holds it, else answers 404.
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if h, ok := m.exact[path]; ok {
		h.ServeHTTP(w, r)
		return
	}
	for {
		cut := strings.LastIndexByte(path, '/')
		if cut < 0 {
			break
		}
		path = path[:cut]
		if h, ok := m.trees[path]; ok {
			h.ServeHTTP(w, r)
			return
		}
	}
	notFound(w, r)
}

// notFound answers for paths that belong to no protocol, in the form that REST
// gives its errors.
func notFound(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h["X-Request-Id"] = RequestID(r)
	h.Set("Content-Type", "application/problem+json")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusNotFound)
	// The client may be gone; there is nobody to tell.
	_, _ = w.Write([]byte(`{"type":"https://setpoint.dev/problems/not_found","title":"Not found","status":404,"detail":"nothing is served at this path","code":"not_found"}` + "\n"))
}
