package rest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/swaggest/swgui"
	"github.com/swaggest/swgui/v5emb"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/protocol"
)

// docsPath is where the page to try the API is.
const docsPath = "/docs"

// mountDocs registers the description and the page that shows it. They need no
// identity: they tell nothing of what is stored.
func (a *api) mountDocs(register func(string, http.Handler)) error {
	asJSON, err := json.Marshal(a.spec)
	if err != nil {
		return fmt.Errorf("render the API description: %w", err)
	}
	asYAML, err := a.spec.YAML()
	if err != nil {
		return fmt.Errorf("render the API description as YAML: %w", err)
	}
	register("/openapi.json", a.document("application/openapi+json", asJSON))
	register("/openapi.yaml", a.document("application/openapi+yaml", asYAML))
	if !a.settings.Docs {
		return nil
	}
	ui := v5emb.NewHandlerWithConfig(swgui.Config{
		Title: "Setpoint API", SwaggerJSON: "/openapi.json", BasePath: docsPath + "/",
		SettingsUI: map[string]string{
			"defaultModelsExpandDepth": "0", "docExpansion": `"none"`, "filter": "true",
			"displayRequestDuration": "true", "tryItOutEnabled": "true",
		},
	})
	page := newDocsPage(ui)
	register(docsPath, a.readOnly(page))
	register(docsPath+"/", a.readOnly(page))
	return nil
}

// document serves bytes that never change while the server runs.
func (a *api) document(contentType string, body []byte) http.Handler {
	tag := etagOf(fmt.Sprintf("%x", sha256.Sum256(body)), identity)
	return a.readOnly(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", contentType)
		h.Set("Etag", tag)
		h.Set("Cache-Control", "no-cache")
		h.Set("Content-Security-Policy", noFramesHeaders[0])
		if r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = w.Write(body) // a client that is gone needs no answer
	}))
}

// readOnly gives what needs no identity the same bounds as everything else.
func (a *api) readOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, id := w.Header(), protocol.RequestID(r)
		r = r.WithContext(auth.WithRequest(r.Context(), auth.Request{ID: id[0]}))
		h["X-Request-Id"] = id
		h["X-Content-Type-Options"] = noSniffHeaders
		h["Referrer-Policy"] = noReferrerHeaders
		if err := guardPath(r); err != nil {
			a.fail(w, r, err)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			a.fail(w, r, &statusError{
				err:    errMethod(r.Method, "GET, HEAD"),
				status: http.StatusMethodNotAllowed, allow: "GET, HEAD",
			})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// docsPage is the page, rendered once, and the files that it loads.
type docsPage struct {
	html   []byte
	policy string
	files  http.Handler
}

var inlineScript = regexp.MustCompile(`(?s)<script>(.*?)</script>`)

// newDocsPage renders the page and writes a policy for it: scripts are our own
// files and exactly the inline ones that the page has; nothing is loaded from,
// or sent to, anywhere else.
func newDocsPage(ui http.Handler) *docsPage {
	var page capture
	ui.ServeHTTP(&page, &http.Request{Method: http.MethodGet, URL: &url.URL{Path: docsPath}})
	scripts := []string{"'self'"}
	for _, script := range inlineScript.FindAllSubmatch(page.body.Bytes(), -1) {
		sum := sha256.Sum256(script[1])
		scripts = append(scripts, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'")
	}
	return &docsPage{
		html: page.body.Bytes(),
		policy: "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
			"connect-src 'self'; img-src 'self' data:; font-src 'self' data:; style-src 'self' 'unsafe-inline'; script-src " +
			strings.Join(scripts, " "),
		files: ui,
	}
}

func (p *docsPage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", p.policy)
	h.Set("Cache-Control", "no-cache")
	if strings.TrimSuffix(r.URL.Path, "/") != docsPath {
		p.files.ServeHTTP(w, r)
		return
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(p.html) // a client that is gone needs no answer
}

// capture is a ResponseWriter that keeps the body.
type capture struct {
	header http.Header
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (c *capture) Header() http.Header {
	if c.header == nil {
		c.header = http.Header{}
	}
	return c.header
}

// Write implements http.ResponseWriter.
func (c *capture) Write(b []byte) (int, error) { return c.body.Write(b) }

// WriteHeader implements http.ResponseWriter.
func (*capture) WriteHeader(int) {}
