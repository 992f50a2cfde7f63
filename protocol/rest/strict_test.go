package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/setpointhq/setpoint/config"
)

// ambiguous are the ways in which two readers of one body can disagree.
func TestAmbiguousBodies(t *testing.T) {
	s := start(t)
	s.publish("acme/shop/prod/app.yaml", "a: 1\n")
	const releases = file + "/releases"
	for _, c := range []struct{ method, path, body, where string }{
		{"POST", releases, `{"content":"a: 1","content":"a: 2"}`, "content"},
		{"POST", releases, `{"content":"a: 1","c\u006fntent":"a: 2"}`, "content"},
		{"POST", releases, `{"content":"a: 1","Content":"a: 2"}`, "Content"},
		{"POST", releases, `{"Content":"a: 1"}`, "Content"},
		{"POST", releases, `{"content":"a: 1","\u017fkip_unchanged":true}`, "ſkip_unchanged"}, // folds to s
		{"POST", releases, `{"content":"a: 1","labels":{"a":"1","b":"2","a":"3"}}`, "a"},
		{"POST", releases, `{"content":"a: 1","Labels":{"a":"1"}}`, "Labels"},
		{"POST", "/v1/tenants/acme/changesets", `{"items":[{"path":"acme/shop/prod/x.yaml","content":"a: 1"},{"path":"acme/shop/prod/y.yaml","path":"acme/shop/prod/z.yaml","content":""}]}`, "path"},
		{"POST", "/v1/tenants/acme/changesets", `{"items":[{"path":"acme/shop/prod/x.yaml","Content":"a: 1"}]}`, "Content"},
		{"PUT", file + "/draft", `{"content":"a: 1","content":"a: 2"}`, "content"},
		{"PUT", file + "/draft", `{"content":"a: 1","Content":"a: 2"}`, "Content"},
		{"PUT", file + "/draft", `{"Content":"a: 1"}`, "Content"},
		{"PATCH", file, `{"labels":{"a":"1","a":"2"}}`, "a"},
	} {
		t.Run(c.method+" "+c.body, func(t *testing.T) {
			p := s.problem(http.StatusBadRequest, "invalid", s.do(request{method: c.method, path: c.path, body: c.body}))
			if !strings.Contains(fmt.Sprint(p.Problems), c.where) {
				t.Errorf("want %q named, got %+v", c.where, p)
			}
		})
	}
	t.Run("labels may differ in case", func(t *testing.T) {
		s.into(http.StatusCreated, s.do(request{method: "POST", path: prod + "/configs/new.yaml/releases", body: `{"content":"a: 1","labels":{"a":"1","A":"2"}}`}), nil)
		s.into(http.StatusOK, s.do(request{method: "PATCH", path: file, body: `{"labels":{"a":"1","A":"2"}}`}), nil)
	})
}

func TestVersionsBelowZero(t *testing.T) {
	s := start(t)
	s.publish("acme/shop/prod/app.yaml", "a: 1\n")
	for _, q := range []request{
		{method: "POST", path: file + "/releases", body: `{"content":"a: 2","expected_version":-1}`},
		{method: "POST", path: "/v1/tenants/acme/changesets", body: `{"items":[{"path":"acme/shop/prod/app.yaml","content":"a: 2","expected_version":-1}]}`},
		{method: "POST", path: file + "/rollback", body: `{"version":1,"expected_version":-1}`},
		{method: "DELETE", path: file + "?expected_version=-1"},
	} {
		p := s.problem(http.StatusBadRequest, "invalid", s.do(q))
		if !strings.Contains(fmt.Sprint(p.Problems), "expected_version") {
			t.Errorf("%s %s: got %+v", q.method, q.path, p)
		}
	}
}

func TestBadChunks(t *testing.T) {
	s := start(t)
	for _, target := range []string{"POST /v1/tenants", "PUT " + file + "/draft", "POST " + file + "/releases", "POST " + prod + "/import"} {
		for _, chunks := range []string{"zz\r\n{}\r\n0\r\n\r\n", "ffffffffffffffffff\r\n{}", "2\r\n{}}}}}}\r\n0\r\n\r\n"} {
			media := "application/json"
			if strings.HasSuffix(target, "import") {
				media = "application/zip"
			}
			s.problem(http.StatusBadRequest, "invalid", s.raw(target+" HTTP/1.1\r\nHost: x\r\nAuthorization: "+s.admin+
				"\r\nContent-Type: "+media+"\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"+chunks))
		}
	}
	if strings.Contains(s.log.String(), "ERROR") {
		t.Errorf("what a client did wrong was logged as ours:\n%s", s.log)
	}
}

// A client must not be able to make answers, or the log, as long as it likes.
func TestAnswersDoNotRepeatAllThatWasSent(t *testing.T) {
	s := start(t)
	long := strings.Repeat("9", 10_000)
	var many strings.Builder
	for i := range 5_000 {
		fmt.Fprintf(&many, `,"f%d":1`, i)
	}
	for _, q := range []request{
		{method: "POST", path: file + "/releases", body: `{"content":"a","expected_version":` + long + `}`},
		{method: "POST", path: file + "/releases", body: `{"content":"a","f` + long + `":1}`},
		{method: "POST", path: file + "/releases", body: `{"content":"a","labels":{"` + long + `":"","` + long + `":""}}`},
		{method: "POST", path: file + "/rollback", body: `{"version":1,"expected_version":` + long + `}`},
		{method: "POST", path: file + "/rollback", body: `{"version":1,"f` + long + `":1}`},
		{method: "POST", path: file + "/rollback", body: `{"version":1` + many.String() + `}`},
		{method: "POST", path: "/v1/bindings", body: `{"user":"` + long + `","role":"` + long + `","scope":"` + long + `"}`},
		{path: "/v1/configs/acme/shop/prod/" + long},
		{path: "/v1/watch?path=" + long},
		{path: "/v1/configs/acme/shop/prod?" + long + "=1"},
	} {
		r := s.do(q)
		if s.problem(http.StatusBadRequest, "invalid", r); len(r.body) > 4_000 {
			t.Errorf("%s %s %s: the answer has %d bytes: %s", q.method, clip(q.path), clip(q.body), len(r.body), r.body[:300])
		}
	}
}

// failing is a body that cannot be read.
type failing struct{ error }

func (f failing) Read([]byte) (int, error) { return 0, f.error }
func (failing) Close() error               { return nil }

func TestUnreadableBody(t *testing.T) {
	_, err := readBody(httptest.NewRecorder(), &http.Request{Body: readable{failing{errors.New("odd")}}})
	if err == nil || statusOf(&http.Request{}, err, nil) != http.StatusBadRequest {
		t.Errorf("want it refused as malformed, got %v", err)
	}
}

func TestClip(t *testing.T) {
	for in, want := range map[string]string{
		"":                       "",
		strings.Repeat("a", 100): strings.Repeat("a", 100),
		strings.Repeat("a", 101): strings.Repeat("a", 100) + "…",
		strings.Repeat("é", 51):  strings.Repeat("é", 50) + "…",
		strings.Repeat("世", 34):  strings.Repeat("世", 33) + "…",
	} {
		if got := clip(in); got != want {
			t.Errorf("%q: want %q, got %q", in, want, got)
		}
	}
}

func TestKeys(t *testing.T) {
	var many strings.Builder
	for i := range 200 {
		fmt.Fprintf(&many, `"k%d":{"a":[1,{"a":2}]},`, i)
	}
	for text, want := range map[string]string{
		`{}`: "", `[]`: "", `1`: "", `"a"`: "", `null`: "",
		`{"a":1,"b":2}`:                      "",
		`{"a":1,"a":2}`:                      "body.a",
		`{"a":{"a":1},"b":{"a":1}}`:          "",
		`{"a":{"b":1,"b":2}}`:                "body.a.b",
		`[{"a":1},{"a":1}]`:                  "",
		`[[{"a":1,"a":1}]]`:                  "body[0][0].a",
		`[1,{"b":[2,3,{"a":1,"a":1}]}]`:      "body[1].b[2].a",
		`{"a":["a","a"],"b":"a"}`:            "",
		`{"a":["a",{"x":1}],"a":1}`:          "body.a",
		`{"a":"\",\"a\":1","b":1}`:           "",
		`{"a\\":1,"a":2,"a\\":3}`:            `body.a\`,
		`{ "a" : 1 , "\u0061" : 2 }`:         "body.a",
		`{"":1,"":2}`:                        "body.",
		`{` + many.String() + `"z":1}`:       "",
		`{` + many.String() + `"k7":1}`:      "body.k7",
		`{` + many.String() + `"k\u0037":1}`: "body.k7",
	} {
		got := ""
		if err := checkKeys([]byte(text), nil); err != nil {
			got = config.AsError(err).Problems[0].Path
		}
		if want != got {
			t.Errorf("%s: want %q, got %q", clip(text), want, got)
		}
	}
}

// FuzzKeys compares the scanner with the standard library's tokens.
func FuzzKeys(f *testing.F) {
	for _, s := range []string{`{"a":1,"a":2}`, `{"a":[{"b":1},{"b":1}],"\u0061":1}`, `[[],{},"\\",{"a\"":1}]`, `{"":{"":{"":1}}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		err := checkKeys(data, nil) // must not panic, whatever it is
		if checkText(data) != nil || !json.Valid(data) {
			return
		}
		dec := json.NewDecoder(bytes.NewReader(data))
		if want := repeats(t, dec); want != (err != nil) {
			t.Errorf("%q: want repeated %v, got %v", data, want, err)
		}
	})
}

// repeats reads one value and reports whether a key comes twice in an object.
func repeats(t *testing.T, dec *json.Decoder) (found bool) {
	token, err := dec.Token()
	if err != nil && !errors.Is(err, io.EOF) {
		t.Skip("too deep") // all else is valid
	}
	seen := map[any]bool{}
	for token == json.Delim('{') && dec.More() || token == json.Delim('[') && dec.More() {
		if token == json.Delim('{') {
			key, _ := dec.Token()
			found, seen[key] = found || seen[key], true
		}
		found = repeats(t, dec) || found
	}
	if _, nested := token.(json.Delim); nested {
		_, _ = dec.Token()
	}
	return found
}
