package graphql

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// replied is the answer to one request.
type replied struct {
	status int
	header http.Header
	body   []byte
	answer
}

// code is that of the first error.
func (r replied) code() string {
	if len(r.Errors) == 0 {
		return ""
	}
	return r.Errors[0].Extensions.Code
}

// send has the node answer a request, in process.
func (n *station) send(method, target, body string, headers ...string) replied {
	n.t.Helper()
	r := httptest.NewRequestWithContext(n.t.Context(), method, target, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	n.api.ServeHTTP(w, r)
	a := replied{status: w.Code, header: w.Header(), body: w.Body.Bytes()}
	if strings.Contains(w.Header().Get("Content-Type"), "json") {
		var err error
		a.answer, err = readAnswer(a.body)
		n.must(err)
	}
	return a
}

// post asks for an operation with a token; none is nobody.
func (n *station) post(token, query string, variables map[string]any) replied {
	n.t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	n.must(err)
	headers := []string{"Content-Type", jsonType}
	if token != "" {
		headers = append(headers, "Authorization", "Bearer "+token)
	}
	return n.send(http.MethodPost, path, string(body), headers...)
}

func TestRequests(t *testing.T) {
	n := launch(t)
	n.publish(pathA, "a: 1\n")
	const version, mutation = `{"query":"{version{version}}"}`, `mutation{logout}`
	bearer := "Bearer " + n.app
	cases := map[string]struct {
		method, target, body string
		headers              []string
		status               int
		code                 string
	}{
		"by POST":               {method: "POST", body: version, status: 200},
		"by GET":                {method: "GET", target: "?query={version{version}}", status: 200},
		"with variables by GET": {method: "GET", target: "?query=" + url.QueryEscape(`query q($p:Path!){read(path:$p){revision}}`) + "&operationName=q&variables=" + url.QueryEscape(`{"p":"`+pathA+`"}`), status: 200},
		"a mutation by GET":     {method: "GET", target: "?query=" + url.QueryEscape(mutation), status: 405, code: "invalid"},
		"another method":        {method: "PUT", body: version, status: 405, code: "invalid"},
		"HEAD":                  {method: "HEAD", status: 405, code: "invalid"},
		"without a query":       {method: "GET", status: 400, code: "invalid"},
		"bad variables by GET":  {method: "GET", target: "?query={version{version}}&variables=[", status: 400, code: "invalid"},

		// What a form of another web site can have a browser send.
		"as a form":                  {method: "POST", body: "query=mutation{logout}", headers: []string{"Content-Type", "application/x-www-form-urlencoded"}, status: 415, code: "invalid"},
		"as text":                    {method: "POST", body: version, headers: []string{"Content-Type", "text/plain"}, status: 415, code: "invalid"},
		"as text that says JSON":     {method: "POST", body: version, headers: []string{"Content-Type", "text/plain; application/json"}, status: 415, code: "invalid"},
		"as several parts":           {method: "POST", body: version, headers: []string{"Content-Type", "multipart/form-data; boundary=x"}, status: 415, code: "invalid"},
		"as nothing":                 {method: "POST", body: version, headers: []string{"Content-Type", ""}, status: 415, code: "invalid"},
		"from another web site":      {method: "POST", body: version, headers: []string{"Origin", "https://evil.example"}, status: 403, code: "denied"},
		"from another site's script": {method: "POST", body: version, headers: []string{"Sec-Fetch-Site", "cross-site"}, status: 403, code: "denied"},

		"no JSON":             {method: "POST", body: "{", status: 400, code: "invalid"},
		"nothing":             {method: "POST", body: "", status: 400, code: "invalid"},
		"JSON of two":         {method: "POST", body: version + version, status: 400, code: "invalid"},
		"a batch":             {method: "POST", body: "[" + version + "]", status: 400, code: "invalid"},
		"a batch behind room": {method: "POST", body: " \n[" + version + "]", status: 400, code: "invalid"},
		"a list of queries":   {method: "POST", body: `{"query":["{version{version}}"]}`, status: 400, code: "invalid"},
		"a key twice":         {method: "POST", body: `{"query":"{version{version}}","query":"{whoAmI{user}}"}`, status: 400, code: "invalid"},
		"a variable twice":    {method: "POST", body: `{"query":"{version{version}}","variables":{"a":1,"a":2}}`, status: 400, code: "invalid"},
		"no UTF-8":            {method: "POST", body: "{\"query\":\"{version{version}} #\xff\"}", status: 400, code: "invalid"},
		"a key nobody knows":  {method: "POST", body: `{"query":"{version{version}}","id":"7"}`, status: 200},
		"too much":            {method: "POST", body: `{"query":"` + strings.Repeat("#", 8<<20) + `"}`, status: 413, code: "too_large"},
		"a long document":     {method: "POST", body: `{"query":"{version{version}}` + strings.Repeat("#", 64<<10) + `"}`, status: 413, code: "too_large"},

		"an unknown operation": {method: "POST", body: `{"query":"query a{version{version}}","operationName":"b"}`, status: 400, code: "invalid"},
		"which of two":         {method: "POST", body: `{"query":"query a{version{version}} query b{version{version}}"}`, status: 400, code: "invalid"},
		"one of two":           {method: "POST", body: `{"query":"query a{version{version}} query b{version{version}}","operationName":"b"}`, status: 200},
		"no operation":         {method: "POST", body: `{"query":"fragment f on Version{version}"}`, status: 400, code: "invalid"},
		"a subscription":       {method: "POST", body: `{"query":"subscription{watch(paths:[\"` + pathA + `\"]){revision}}"}`, status: 501, code: "unsupported"},
		"no token":             {method: "POST", body: version, headers: []string{"Authorization", "Bearer nonsense"}, status: 401, code: "unauthenticated"},
		"bad claims":           {method: "POST", target: "?labels=x", body: version, status: 400, code: "invalid"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			headers := append([]string{"Authorization", bearer, "Content-Type", "application/json"}, c.headers...)
			got := n.send(c.method, path+c.target, c.body, headers...)
			if got.status != c.status || got.code() != c.code {
				t.Errorf("want %d %q, got %d %s", c.status, c.code, got.status, got.body)
			}
			if c.status == http.StatusMethodNotAllowed && got.header.Get("Allow") == "" {
				t.Error("want to be told what is possible")
			}
			if got.header.Get("X-Request-Id") == "" || got.header.Get("Cache-Control") != "no-store" {
				t.Errorf("want an id, and nothing to be kept, got %v", got.header)
			}
		})
	}
}

// What is wrong with an operation has a status of its own only for those who know that
// the answer is GraphQL's.
func TestFormOfAnswers(t *testing.T) {
	n := launch(t)
	const fine, wrong = `{"query":"{version{version}}"}`, `{"query":"{nothing}"}`
	for accept, want := range map[string][3]any{
		"":                                  {responseType, 200, 400},
		"*/*":                               {responseType, 200, 400},
		responseType:                        {responseType, 200, 400},
		responseType + ", application/json": {responseType, 200, 400},
		"application/json":                  {jsonType, 200, 200},
		"Application/JSON; q=0.9, */*":      {jsonType, 200, 200},
	} {
		headers := []string{"Authorization", "Bearer " + n.app, "Content-Type", jsonType, "Accept", accept}
		good, bad := n.send("POST", path, fine, headers...), n.send("POST", path, wrong, headers...)
		got := [3]any{strings.TrimSuffix(good.header.Get("Content-Type"), "; charset=utf-8"), good.status, bad.status}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", accept, diff)
		}
		if bytes.Contains(bad.body, []byte(`"data"`)) {
			t.Errorf("want no data of what was never done, got %s", bad.body)
		}
	}
}

// Whoever is nobody can log in, and learns nothing.
func TestNobody(t *testing.T) {
	n := launch(t)
	in := map[string]any{"i": map[string]any{"username": "vera", "password": veraPassword, "ttl": "1h"}}
	const login = `mutation($i:LoginInput!){login(input:$i){secret token{user session}}}`
	got := n.post("", login, in)
	made, _ := got.Data["login"].(map[string]any)
	if got.status != 200 || made == nil {
		t.Fatalf("want to be let in, got %d %s", got.status, got.body)
	}
	secret, _ := made["secret"].(string)
	if who := n.post(secret, `{whoAmI{user}}`, nil); who.status != 200 || !bytes.Contains(who.body, []byte(`"vera"`)) {
		t.Errorf("want the secret to be good, got %s", who.body)
	}

	in["i"].(map[string]any)["password"] = "wrong"
	if got := n.post("", login, in); got.code() != "unauthenticated" {
		t.Errorf("want to be refused, got %s", got.body)
	}
	for name, query := range map[string]string{
		"a query": `{version{version}}`, "the schema": `{__schema{types{name}}}`, "a mistake": `{wrong}`, "no document": `{`,
		"another mutation": `mutation{logout}`, "login and another": `mutation($i:LoginInput!){login(input:$i){secret} logout}`,
		"login twice": `mutation($i:LoginInput!){login(input:$i){secret} again:login(input:$i){secret}}`,
		"nothing":     `mutation($i:LoginInput!){login(input:$i)@skip(if:true){secret}}`,
	} {
		got := n.post("", query, in)
		if got.status != 401 || got.code() != "unauthenticated" || len(got.Errors[0].Locations) > 0 || len(got.header["Www-Authenticate"]) != 2 {
			t.Errorf("%s: want 401 and nothing else, got %d %s", name, got.status, got.body)
		}
	}
	if got := n.send("GET", path+"?query={version{version}}", ""); got.status != 401 {
		t.Errorf("want 401, got %d", got.status)
	}
	if got := n.send("POST", path, `{"query":"`+strings.Repeat("#", loginBody)+`"}`, "Content-Type", jsonType); got.status != 413 {
		t.Errorf("want 413 for much of nobody, got %d", got.status)
	}
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("vera:"+veraPassword))
	if got := n.send("POST", path, `{"query":"{whoAmI{user}}"}`, "Content-Type", jsonType, "Authorization", basic); got.status != 200 {
		t.Errorf("want a password to do, got %s", got.body)
	}
}

// What a field answers does not depend on how the others fare.
func TestFieldsFailAlone(t *testing.T) {
	n := launch(t)
	n.publish(pathA, "a: 1\n")
	got := n.post(n.app, `query($a:Path!,$b:Path!){a:read(path:$a){release{content}} b:read(path:$b){release{content}}}`, map[string]any{"a": pathA, "b": pathB})
	want := map[string]any{"a": map[string]any{"release": map[string]any{"content": "a: 1\n"}}, "b": nil}
	if diff := cmp.Diff(want, got.Data); diff != "" || got.status != 200 {
		t.Errorf("%d (-want +got):\n%s", got.status, diff)
	}
	if len(got.Errors) != 1 || got.code() != "not_found" || !cmp.Equal(got.Errors[0].Path, []any{"b"}) || len(got.Errors[0].Locations) != 1 ||
		got.Errors[0].Extensions.Path != pathB || got.Errors[0].Extensions.RequestID == "" {
		t.Errorf("want the error of b, got %s", got.body)
	}
}

func TestPage(t *testing.T) {
	n := launch(t)
	page := n.send("GET", path, "", "Accept", "text/html,*/*")
	if page.status != 200 || !strings.HasPrefix(page.header.Get("Content-Type"), "text/html") || !bytes.Contains(page.body, []byte("graphiql.js")) {
		t.Fatalf("want the page, got %d %s", page.status, page.body)
	}
	policy := page.header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "script-src 'self'") || strings.Contains(policy, "eval") {
		t.Errorf("want a strict policy, got %s", policy)
	}
	for _, outside := range []string{"http://", "https://", "//cdn"} {
		if bytes.Contains(page.body, []byte(outside)) {
			t.Errorf("the page loads something from outside: %s", outside)
		}
	}
	for name, f := range n.api.playground.files {
		for _, encoding := range []string{"", "gzip"} {
			w := httptest.NewRecorder()
			r := httptest.NewRequestWithContext(t.Context(), "GET", assets+name, nil)
			r.Header.Set("Accept-Encoding", encoding)
			n.api.playground.ServeHTTP(w, r)
			body := io.Reader(w.Body)
			if encoding != "" {
				unpacked, err := gzip.NewReader(body)
				n.must(err)
				body = unpacked
			}
			got, err := io.ReadAll(body)
			if err != nil || !bytes.Equal(got, f.plain) || len(got) == 0 || w.Header().Get("Content-Security-Policy") != policy {
				t.Errorf("%s, %q: want the whole file, got %d bytes, %v", name, encoding, len(got), err)
			}
		}
	}
	for target, want := range map[[2]string]int{
		{"GET", assets + "nothing.js"}: 404, {"GET", assets}: 404, {"GET", assets + "../settings.go"}: 404, {"POST", assets + "page.js"}: 405,
	} {
		w := httptest.NewRecorder()
		n.api.playground.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), target[0], target[1], nil))
		if w.Code != want {
			t.Errorf("%v: want %d, got %d", target, want, w.Code)
		}
	}
	tagged := n.send("GET", path, "", "Accept", "text/html", "If-None-Match", page.header.Get("Etag"))
	if tagged.status != 304 {
		t.Errorf("want 304 for what is held, got %d", tagged.status)
	}
	off := launch(t, func(s *Settings) { s.Playground = false })
	if got := off.send("GET", path, "", "Accept", "text/html"); got.status != 401 {
		t.Errorf("want no page where it is off, got %d", got.status)
	}
}
