package graphql

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io"
	"io/fs"
	"net/http"
	"strconv"
	"strings"

	"github.com/setpointhq/setpoint/protocol"
)

// assets is below what the page's files are.
const assets = path + "/assets/"

// files are the page, and GraphiQL with what it needs, which tools/fetch-graphiql
// fetches.
//
//go:embed page
var files embed.FS

// policy lets the page load its own files and talk to its own node, and nothing else.
// The editor writes styles into the elements that it makes.
const policy = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
	"connect-src 'self'; img-src 'self' data:; font-src data:; style-src 'self' 'unsafe-inline'; script-src 'self'"

// playground is the page that lets one try queries, and the files that it loads. It
// needs no identity: it tells nothing of what is stored, and what it asks for is asked
// for with the credentials that are written into it.
type playground struct {
	files map[string]*file
}

// file is one file of the page.
type file struct {
	contentType string
	plain       []byte
	gzipped     []byte
	tag         string
}

func newPlayground() (*playground, error) {
	p := &playground{files: map[string]*file{}}
	entries, err := fs.ReadDir(files, "page")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		b, err := files.ReadFile("page/" + e.Name())
		if err != nil {
			return nil, err
		}
		name, compressed := strings.CutSuffix(e.Name(), ".gz")
		f := &file{contentType: contentType(name)}
		if f.plain, f.gzipped, err = bothForms(b, compressed); err != nil {
			return nil, err
		}
		sum := sha256.Sum256(f.plain)
		f.tag = `"` + hex.EncodeToString(sum[:16]) + `"`
		p.files[name] = f
	}
	return p, nil
}

// contentType is that of a file, by its name: what the machine thinks of names is
// nothing to go by.
func contentType(name string) string {
	_, ending, _ := strings.Cut(name, ".") // no name has more than one dot
	kind, known := map[string]string{"html": "text/html", "css": "text/css", "js": "text/javascript"}[ending]
	if !known {
		kind = "text/plain"
	}
	return kind + "; charset=utf-8"
}

// bothForms returns a file as it is and compressed.
func bothForms(b []byte, compressed bool) (plain, gzipped []byte, err error) {
	if compressed {
		r, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			return nil, nil, err
		}
		plain, err = io.ReadAll(r)
		return plain, b, err
	}
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		return nil, nil, err
	}
	err = w.Close() // which writes the rest
	return b, out.Bytes(), err
}

// wantsPage reports whether a browser asks for the page, rather than a client for an
// answer.
func wantsPage(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && r.URL.RawQuery == "" &&
		r.Header.Get("Upgrade") == "" && strings.Contains(r.Header.Get("Accept"), "text/html")
}

// page answers with the page.
func (p *playground) page(w http.ResponseWriter, r *http.Request) { p.files["index.html"].serve(w, r) }

// ServeHTTP implements http.Handler: it answers with the files that the page loads.
func (p *playground) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header()["X-Request-Id"] = protocol.RequestID(r)
	f, found := p.files[strings.TrimPrefix(r.URL.Path, assets)]
	switch {
	case !found:
		http.Error(w, "there is no such file", http.StatusNotFound)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "GET and HEAD are possible here", http.StatusMethodNotAllowed)
	default:
		f.serve(w, r)
	}
}

func (f *file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.contentType)
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-cache")
	h.Set("Vary", "Accept, Accept-Encoding")
	h.Set("Etag", f.tag)
	if r.Header.Get("If-None-Match") == f.tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body := f.plain
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body = f.gzipped
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // a client that is gone needs no answer
}
