package graphql

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/maypok86/otter/v2"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/plugin"
)

// persistedQuery names a document by its hash.
type persistedQuery struct {
	Version int    `json:"version"`
	SHA256  string `json:"sha256Hash"`
}

// digest is the SHA-256 of a document.
type digest [sha256.Size]byte

// persisted finds documents by their hashes: those that clients have sent or, where
// there is a list of those that may run, these and no others.
type persisted struct {
	allowed map[digest]string            // nil: any document may run
	sent    *otter.Cache[digest, string] // nil: clients cannot have any kept
}

func newPersisted(s *Settings, a *api) (*persisted, error) {
	p := &persisted{}
	if s.AllowList != "" {
		return p, p.readList(s.AllowList, a)
	}
	if s.Persisted == 0 {
		return p, nil
	}
	var err error
	p.sent, err = otter.New(&otter.Options[digest, string]{
		MaximumWeight: uint64(s.Persisted),
		Weigher:       func(_ digest, text string) uint32 { return uint32(len(text) + 128) },
	})
	return p, err
}

// The bounds of a list of documents.
const maxListed = 10_000

// readList reads the documents that may run, each of which must be valid.
func (p *persisted) readList(folder string, a *api) error {
	files, err := filepath.Glob(filepath.Join(folder, "*.graphql"))
	if err == nil && len(files) == 0 {
		err = errors.New("there are no .graphql files in it")
	}
	if len(files) > maxListed {
		err = fmt.Errorf("there are more than %d files in it", maxListed)
	}
	if err != nil {
		return config.Errorf(config.Invalid, "settings", place+".allow_list", "%s: %w", folder, err)
	}
	p.allowed = make(map[digest]string, len(files))
	for _, file := range files {
		text, err := readFile(file, a.settings.MaxDocument)
		if err == nil {
			_, err = a.read(text)
		}
		if err != nil {
			return config.Errorf(config.Invalid, "settings", place+".allow_list", "%s: %w", file, err)
		}
		p.allowed[sha256.Sum256([]byte(text))] = text
	}
	return nil
}

// readFile reads a document, without the space around it.
func readFile(name string, most plugin.Size) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // it was only read
	b, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	return strings.TrimSpace(string(b)), err
}

// find returns the document that a request is about, and its hash if it is one to be
// kept.
func (p *persisted) find(r *request) (text string, keep *digest, err error) {
	if p.allowed != nil {
		text, err = p.findAllowed(r)
		return text, nil, err
	}
	if r.Extensions.Persisted == nil {
		return r.Query, nil, nil
	}
	if p.sent == nil {
		return "", nil, &unknownQueryError{supported: false}
	}
	hash, err := r.Extensions.Persisted.digest()
	switch {
	case err != nil:
		return "", nil, err
	case r.Query == "":
		text, found := p.sent.GetIfPresent(hash)
		if !found {
			err = &unknownQueryError{supported: true}
		}
		return text, nil, err
	case sha256.Sum256([]byte(r.Query)) != hash:
		return "", nil, config.Errorf(config.Invalid, "", "", "sha256Hash is not the SHA-256 of the query")
	}
	return r.Query, &hash, nil
}

// findAllowed returns the document of the list that a request is about.
func (p *persisted) findAllowed(r *request) (string, error) {
	hash := digest(sha256.Sum256([]byte(strings.TrimSpace(r.Query))))
	if r.Query == "" && r.Extensions.Persisted != nil {
		var err error
		if hash, err = r.Extensions.Persisted.digest(); err != nil {
			return "", err
		}
	}
	text, found := p.allowed[hash]
	if !found {
		return "", config.Errorf(config.Denied, "", "", "this server runs only the queries that its settings list (allow_list), and this is none of them")
	}
	return text, nil
}

// keep remembers a document that was valid.
func (p *persisted) keep(hash digest, text string) { p.sent.Set(hash, text) }

func (q *persistedQuery) digest() (d digest, err error) {
	if q.Version != 1 {
		return d, config.Errorf(config.Invalid, "", "", "persistedQuery has a version that is not known here; it is 1")
	}
	b, err := hex.DecodeString(q.SHA256)
	if err != nil || len(b) != len(d) {
		return d, config.Errorf(config.Invalid, "", "", "sha256Hash is no SHA-256 in hexadecimal")
	}
	return digest(b), nil
}

// unknownQueryError is the error of a hash whose document is not known. Clients know
// it by its text and code, which are Apollo's, and send the document.
type unknownQueryError struct{ supported bool }

// Error implements error.
func (e *unknownQueryError) Error() string {
	if e.supported {
		return "PersistedQueryNotFound"
	}
	return "PersistedQueryNotSupported"
}

// Unwrap makes it one of the kinds.
func (e *unknownQueryError) Unwrap() error {
	if e.supported {
		return &config.Error{Kind: config.NotFound, Err: errors.New("PersistedQueryNotFound")}
	}
	return &config.Error{Kind: config.Unsupported, Err: errors.New("PersistedQueryNotSupported")}
}

// native gives its rendering the form that clients know.
func (e *unknownQueryError) native(out *gqlerror.Error) {
	out.Message = e.Error()
	out.Extensions["code"] = "PERSISTED_QUERY_NOT_FOUND"
	if !e.supported {
		out.Extensions["code"] = "PERSISTED_QUERY_NOT_SUPPORTED"
	}
}
