package server

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/setpointhq/setpoint/protocol"
)

// health answers whether the node lives and whether it should be given work.
type health struct {
	checks []check
}

// check is one thing that must hold for the node to be ready.
type check struct {
	name string
	// holds returns "" or, in words that give nothing of the data away, why not.
	holds func() string
	// advisory checks are told of but do not make the node unready: it serves all
	// the same, and taking it out would serve nobody.
	advisory bool
}

// state is how far the node has come.
type state struct{ atomic.Int32 }

const (
	starting int32 = iota
	serving
	draining
)

// holds is the readiness check of the state.
func (s *state) holds() string {
	switch s.Load() {
	case starting:
		return "the node is starting"
	case draining:
		return "the node is shutting down"
	default:
		return ""
	}
}

// register adds the routes.
func (h *health) register(handle func(pattern string, h http.Handler)) {
	handle("/livez", http.HandlerFunc(live))
	handle("/readyz", http.HandlerFunc(h.ready))
}

// live answers while the process can answer at all.
func live(w http.ResponseWriter, r *http.Request) { respond(w, r, http.StatusOK, "ok\n") }

// isReady reports whether every check holds that is not merely advisory.
func (h *health) isReady() bool {
	for _, c := range h.checks {
		if !c.advisory && c.holds() != "" {
			return false
		}
	}
	return true
}

// ready answers 200 if every check holds, else 503. With ?verbose it lists them.
func (h *health) ready(w http.ResponseWriter, r *http.Request) {
	status, failed := http.StatusOK, ""
	var list strings.Builder
	for _, c := range h.checks {
		why := c.holds()
		switch {
		case why != "" && c.advisory:
			fmt.Fprintf(&list, "warning %s: %s\n", c.name, why)
		case why != "":
			status = http.StatusServiceUnavailable
			if failed == "" {
				failed = why
			}
			fmt.Fprintf(&list, "not ok %s: %s\n", c.name, why)
		default:
			fmt.Fprintf(&list, "ok %s\n", c.name)
		}
	}
	summary := "ready\n"
	if failed != "" {
		summary = "not ready: " + failed + "\n"
		w.Header().Set("Retry-After", "1")
	}
	if r.URL.Query().Has("verbose") {
		summary = list.String() + summary
	}
	respond(w, r, status, summary)
}

func respond(w http.ResponseWriter, r *http.Request, status int, text string) {
	h := w.Header()
	h["X-Request-Id"] = protocol.RequestID(r)
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	// The client may be gone; there is nobody to tell.
	_, _ = w.Write([]byte(text))
}
