package graphql

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol"
)

func hashOf(query string) string {
	sum := sha256.Sum256([]byte(query))
	return hex.EncodeToString(sum[:])
}

// byHash asks for an operation by its hash; query may be empty.
func (n *station) byHash(token, query, hash string, version int) replied {
	n.t.Helper()
	body, err := json.Marshal(map[string]any{
		"query": query, "extensions": map[string]any{"persistedQuery": map[string]any{"version": version, "sha256Hash": hash}, "other": 1},
	})
	n.must(err)
	return n.send("POST", path, string(body), "Content-Type", jsonType, "Authorization", "Bearer "+token)
}

func TestPersistedQueries(t *testing.T) {
	n := launch(t)
	const query = `{version{version}}`
	unknown := n.byHash(n.app, "", hashOf(query), 1)
	if unknown.status != 200 || unknown.code() != "PERSISTED_QUERY_NOT_FOUND" || unknown.Errors[0].Message != "PersistedQueryNotFound" {
		t.Fatalf("want to be asked for the document, as clients know it, got %d %s", unknown.status, unknown.body)
	}
	for _, q := range []string{query, "", query} {
		if got := n.byHash(n.nobody, q, hashOf(query), 1); len(got.Errors) > 0 {
			t.Fatalf("want %q to do, got %s", q, got.body)
		}
	}
	byGet := n.send("GET", path+`?extensions=`+`{"persistedQuery":{"version":1,"sha256Hash":"`+hashOf(query)+`"}}`, "", "Authorization", "Bearer "+n.app)
	if len(byGet.Errors) > 0 {
		t.Errorf("want it by GET, got %s", byGet.body)
	}
	for name, got := range map[string]replied{
		"another's hash":    n.byHash(n.app, query, hashOf("x"), 1),
		"no hash":           n.byHash(n.app, "", "zz", 1),
		"a short hash":      n.byHash(n.app, "", "00", 1),
		"another version":   n.byHash(n.app, "", hashOf(query), 2),
		"no valid document": n.byHash(n.app, "{nothing}", hashOf("{nothing}"), 1),
	} {
		if got.code() != "invalid" {
			t.Errorf("%s: want invalid, got %s", name, got.body)
		}
	}
	if got := n.byHash(n.app, "", hashOf("{nothing}"), 1); got.code() != "PERSISTED_QUERY_NOT_FOUND" {
		t.Errorf("want what is not valid not to be kept, got %s", got.body)
	}

	off := launch(t, func(s *Settings) { s.Persisted = 0 })
	if got := off.byHash(off.app, query, hashOf(query), 1); got.code() != "PERSISTED_QUERY_NOT_SUPPORTED" {
		t.Errorf("want to be told that it is off, got %s", got.body)
	}
}

// folder writes documents down.
func folder(t *testing.T, documents map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range documents {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestAllowList(t *testing.T) {
	const query = "query Who { whoAmI { user } }"
	dir := folder(t, map[string]string{"who.graphql": "\n" + query + "\n", "README": "no document"})
	n := launch(t, func(s *Settings) { s.AllowList = dir })
	for name, got := range map[string]replied{
		"by its text": n.post(n.app, query, nil), "with room around it": n.post(n.app, " "+query+"\n", nil), "by its hash": n.byHash(n.app, "", hashOf(query), 1),
	} {
		if len(got.Errors) > 0 || got.status != 200 {
			t.Errorf("%s: want it to run, got %s", name, got.body)
		}
	}
	for name, got := range map[string]replied{
		"another": n.post(n.app, `{version{version}}`, nil), "nearly the same": n.post(n.app, query+" #", nil),
		"another by its hash": n.byHash(n.app, "", hashOf("x"), 1), "the schema": n.post(n.app, `{__schema{types{name}}}`, nil),
		"none": n.post(n.app, "", nil), "another under a good name": n.byHash(n.app, `{version{version}}`, hashOf(query), 1),
	} {
		if got.code() != "denied" || got.status != 403 {
			t.Errorf("%s: want it to be refused, got %d %s", name, got.status, got.body)
		}
	}

	for name, documents := range map[string]map[string]string{
		"nothing in it": {}, "no document": {"a.graphql": "{"}, "not of this schema": {"a.graphql": "{nothing}"},
		"a long one": {"a.graphql": query + strings.Repeat("#", 64<<10)},
	} {
		var s Settings
		s.Defaults()
		s.AllowList = folder(t, documents)
		_, err := newAPI(s, protocol.Host{Center: n.Center, Observer: protocol.NoObserver{}})
		if config.KindOf(err) != config.Invalid || err == nil || !strings.Contains(err.Error(), "allow_list") {
			t.Errorf("%s: want it to be refused, got %v", name, err)
		}
	}
}
