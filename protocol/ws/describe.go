package ws

import (
	"crypto/sha256"
	"fmt"
	"net/http"

	"github.com/goccy/go-yaml"

	"github.com/setpointhq/setpoint/api"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/protocol/internal/socket"
)

// mountDescription registers the description of the messages. It needs no
// identity: it tells nothing of what is stored.
func (g *gateway) mountDescription(register func(string, http.Handler)) error {
	asJSON, err := yaml.YAMLToJSON(api.AsyncAPI)
	if err != nil {
		return fmt.Errorf("render the description of messages: %w", err)
	}
	register("/asyncapi.yaml", g.document("application/asyncapi+yaml", api.AsyncAPI))
	register("/asyncapi.json", g.document("application/asyncapi+json", asJSON))
	return nil
}

// document serves bytes that never change while the server runs.
func (g *gateway) document(contentType string, body []byte) http.Handler {
	tag := fmt.Sprintf(`"%x"`, sha256.Sum256(body))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, id := w.Header(), protocol.RequestID(r)
		h["X-Request-Id"] = id
		h.Set("X-Content-Type-Options", "nosniff")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			r = r.WithContext(auth.WithRequest(r.Context(), auth.Request{ID: id[0]}))
			h.Set("Allow", "GET, HEAD")
			err := &socket.StatusError{
				Err:    config.Errorf(config.Invalid, "", "", "this can only be read"),
				Status: http.StatusMethodNotAllowed,
			}
			g.hub.Refuse(w, g.report(r.Context(), err), err)
			return
		}
		h.Set("Content-Type", contentType)
		h.Set("Etag", tag)
		h.Set("Cache-Control", "no-cache")
		h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
		if r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = w.Write(body) // a client that is gone needs no answer
	})
}
