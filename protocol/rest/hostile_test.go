package rest

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/plugin"
)

// raw sends bytes as they are, and reads one answer.
func (s *server) raw(text string) reply {
	s.t.Helper()
	conn := s.dial()
	defer conn.Close()
	_, err := io.WriteString(conn, text)
	s.must(err)
	return s.answerOn(conn)
}

func (s *server) answerOn(conn *tls.Conn) reply {
	s.t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: http.MethodGet, URL: &url.URL{}})
	s.must(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	s.must(err)
	return reply{resp, body}
}

func TestPathTricks(t *testing.T) {
	s := start(t)
	s.publish("acme/shop/prod/app.yaml", "a: 1\n")
	for path, want := range map[string]int{
		"/v1/configs/acme/shop/prod/../prod/app.yaml":             400,
		"/v1/configs/acme/shop/prod/..":                           400,
		"/v1/./tenants":                                           400,
		"/v1//tenants":                                            400,
		"/v1/tenants//":                                           400,
		"/v1/configs/acme/shop/prod/%2e%2e/app.yaml":              400,
		"/v1/configs/acme/shop/prod/%2E%2E":                       400,
		"/v1/configs/acme/shop/prod%2Fapp.yaml":                   400,
		"/v1/configs/acme%2fshop/prod/app.yaml":                   400,
		"/v1/configs/acme/shop/prod/app.yaml%00":                  400,
		"/v1/configs/acme/shop/prod/%00":                          400,
		"/v1/configs/acme/shop/prod/a%5cb":                        400,
		"/v1/configs/acme/shop/prod/%0d%0aSet-Cookie:x":           400,
		"/v1/configs/acme/shop/prod/%ff":                          400,
		"/v1/configs/acme/shop/prod/%zz":                          400,
		"/v1/configs/acme/shop/prod/%252e%252e":                   400,
		"/v1/configs/acme/shop/prod/" + strings.Repeat("a", 128):  404,
		"/v1/configs/acme/shop/prod/" + strings.Repeat("a", 129):  400,
		"/v1/configs/acme/shop/prod/" + strings.Repeat("a", 2000): 400,
		"/v1/configs/ACME/shop/prod/app.yaml":                     400,
		"/v1/configs/acme/shop/prod/.hidden":                      400,
		"/v1/tenants/acme/":                                       404,
		"/v1/tenants/" + strings.Repeat("a", 64):                  400,
		"/v1/tenants/A":                                           400,
		"/v1/configs/acme":                                        404,
		"/v1/configs/acme/shop/prod/app.yaml/more":                404,
	} {
		r := s.raw("GET " + path + " HTTP/1.1\r\nHost: x\r\nAuthorization: " + s.admin + "\r\nConnection: close\r\n\r\n")
		if r.StatusCode != want {
			t.Errorf("%s: want %d, got %d %s", clip(path), want, r.StatusCode, r.body)
		}
		if r.Header.Get("Location") != "" || r.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s: got %v", path, r.Header)
		}
	}
}

func TestMethods(t *testing.T) {
	s := start(t)
	for _, c := range []struct{ method, path, allow string }{
		{"PUT", "/v1/tenants", "GET, POST"},
		{"DELETE", read, "GET"},
		{"OPTIONS", "/v1/tenants/acme", "GET, PATCH, DELETE"},
		{"TRACE", "/v1/auth/login", "POST"},
		{"BREW", "/v1/watch", "GET"},
	} {
		r := s.do(request{method: c.method, path: c.path})
		s.problem(http.StatusMethodNotAllowed, "invalid", r)
		if got := r.Header.Get("Allow"); got != c.allow {
			t.Errorf("%s %s: want Allow %q, got %q", c.method, c.path, c.allow, got)
		}
	}
	s.problem(http.StatusNotFound, "not_found", s.do(request{path: "/v1/nothing"}))
}

func TestBodies(t *testing.T) {
	s := start(t)
	huge := `{"content":"` + strings.Repeat("x", 2<<20) + `"}`
	for _, route := range []struct{ method, path, good string }{
		{"POST", "/v1/tenants", `"name":"n"`},                 // huma
		{"POST", file + "/releases", `"content":"a: 1"`},      // ours
		{"PUT", file + "/draft", `"content":"a: 1"`},          // huma, with content
		{"POST", "/v1/tenants/acme/changesets", `"items":[]`}, // ours, large
	} {
		for _, c := range []struct {
			name, body, media string
			status            int
			code              string
		}{
			{"empty", " ", "", 400, "invalid"},
			{"not JSON", "{", "", 400, "invalid"},
			{"half", "{" + route.good, "", 400, "invalid"},
			{"more", "{" + route.good + "}{}", "", 400, "invalid"},
			{"a list", "[]", "", 400, "invalid"},
			{"a number", "1", "", 400, "invalid"},
			{"null bytes", "\x00\x00", "", 400, "invalid"},
			{"unknown field", "{" + route.good + `,"surprise":1}`, "", 400, "invalid"},
			{"not UTF-8", "{" + route.good + ",\"comment\":\"\xff\"}", "", 400, "invalid"},
			{"half a character", "{" + route.good + `,"comment":"\ud800"}`, "", 400, "invalid"},
			{"deep", strings.Repeat("[", 20_000), "", 400, "invalid"},
			{"a form", "name=n", "application/x-www-form-urlencoded", 415, "invalid"},
			{"text", "{" + route.good + "}", "text/plain", 415, "invalid"},
			{"other JSON", "{" + route.good + "}", "application/merge-patch+json", 415, "invalid"},
			{"XML", "<a/>", "application/xml", 415, "invalid"},
		} {
			t.Run(route.path[len("/v1/"):]+" "+c.name, func(t *testing.T) {
				q := request{method: route.method, path: route.path, body: c.body}
				if c.media != "" {
					q.header = map[string]string{"Content-Type": c.media}
				}
				s.problem(c.status, c.code, s.do(q))
			})
		}
		if !strings.HasSuffix(route.path, "changesets") {
			s.problem(http.StatusRequestEntityTooLarge, "too_large", s.do(request{method: route.method, path: route.path, body: huge}))
		}
	}
	t.Run("chunked, of a size that nobody announced", func(t *testing.T) {
		for _, path := range []string{"/v1/tenants", file + "/releases"} {
			r := s.request(request{method: "POST", path: path, body: "x"})
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(huge)), -1
			resp, err := s.http.Do(r)
			s.must(err)
			body, err := io.ReadAll(resp.Body)
			s.must(err)
			resp.Body.Close()
			s.problem(http.StatusRequestEntityTooLarge, "too_large", reply{resp, body})
		}
	})
	t.Run("the field is named", func(t *testing.T) {
		for body, want := range map[string]string{
			`{"content":1}`:                           "body.content",
			`{"content":"a","expected_version":"1"}`:  "body.expected_version",
			`{"content":"a","content_base64":"***"}`:  "body.content_base64",
			`{"content":"a","surprise":1}`:            "body.surprise",
			`{"content":"a","content_base64":"YQ=="}`: "body.content_base64",
		} {
			p := s.problem(400, "invalid", s.do(request{method: "POST", path: file + "/releases", body: body}))
			if len(p.Problems) != 1 || p.Problems[0].Path != want {
				t.Errorf("%s: want %s named, got %+v", body, want, p.Problems)
			}
		}
		p := s.problem(400, "invalid", s.do(request{method: "POST", path: "/v1/bindings", body: `{"user":"vera","role":7,"scope":"acme"}`}))
		if len(p.Problems) == 0 || p.Problems[0].Path != "body.role" {
			t.Errorf("got %+v", p)
		}
	})
	t.Run("a password is not sent back", func(t *testing.T) {
		r := s.do(request{method: "POST", path: "/v1/auth/login", auth: "-", body: `{"username":"x","password":"hunter2","ttl":7}`})
		s.problem(400, "invalid", r)
		if strings.Contains(string(r.body), "hunter2") || strings.Contains(s.log.String(), "hunter2") {
			t.Errorf("it is: %s %s", r.body, s.log)
		}
	})
}

func TestLimitsOfContent(t *testing.T) {
	s := start(t)
	limit := int(s.center.Limits().ConfigSize)
	most := "# " + strings.Repeat("x", limit-3) + "\n"
	s.into(http.StatusCreated, s.do(request{method: "POST", path: file + "/releases", json: map[string]any{"content": most}}), nil)
	s.into(http.StatusCreated, s.do(request{method: "POST", path: file + "/releases", json: map[string]any{"content_base64": []byte(most)}}), nil)
	s.problem(http.StatusRequestEntityTooLarge, "too_large", s.do(request{method: "POST", path: file + "/releases", json: map[string]any{"content": most + "#"}}))
}

func TestArchiveLimit(t *testing.T) {
	s := start(t, func(s *Settings) { s.ArchiveBody = plugin.KiB })
	r := s.do(request{method: "POST", path: prod + "/import", body: strings.Repeat("x", 1025), header: map[string]string{"Content-Type": "application/zip"}})
	s.problem(http.StatusRequestEntityTooLarge, "too_large", r)
}

func TestSlowBody(t *testing.T) {
	s := start(t, func(s *Settings) { s.BodyTimeout = 50 * time.Millisecond })
	for _, path := range []string{"/v1/tenants", file + "/releases"} {
		t.Run(path, func(t *testing.T) {
			conn := s.dial()
			_, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", path, s.admin)
			s.must(err)
			s.problem(http.StatusRequestTimeout, "timeout", s.answerOn(conn))
		})
	}
}

func TestCredentials(t *testing.T) {
	s := start(t)
	for _, header := range []string{
		"Basic", "Basic ", "Basic !!!", "Basic YWRtaW4=", "Basic OnB3", "Bearer", "Bearer  ", "Digest x", "sp_abc",
		basicAuth("admin", "wrong"), basicAuth("admin\x00", "x"), basicAuth(strings.Repeat("a", 4000), "x"), "Bearer sp_aaaaaaaaaaaa_" + strings.Repeat("a", 43),
		"Bearer " + strings.Repeat("x", 4000), s.app + "x", s.app[:len(s.app)-1], strings.ToUpper(s.app),
	} {
		r := s.do(request{path: "/v1/auth/whoami", auth: header})
		s.problem(http.StatusUnauthorized, "unauthenticated", r)
	}
	r := s.raw("GET /v1/auth/whoami HTTP/1.1\r\nHost: x\r\nAuthorization: " + s.admin + "\r\nAuthorization: " + s.app + "\r\nConnection: close\r\n\r\n")
	s.problem(http.StatusUnauthorized, "unauthenticated", r)
	s.into(http.StatusOK, s.do(request{path: "/v1/auth/whoami", auth: "bearer " + strings.TrimPrefix(s.app, "Bearer ")}), nil)
}

func TestRequestIDs(t *testing.T) {
	s := start(t)
	for given, kept := range map[string]bool{"abc-1.2_3": true, "a b": false, "<x>": false, strings.Repeat("a", 129): false, "": false} {
		got := s.do(request{path: "/v1/version", header: map[string]string{"X-Request-Id": given}}).Header.Get("X-Request-Id")
		if kept != (got == given) || got == "" {
			t.Errorf("%q: got %q", given, got)
		}
	}
}

// A browser that is logged in must not be made to act by another site.
func TestOtherSites(t *testing.T) {
	s := start(t)
	for _, header := range []map[string]string{
		{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"},
	} {
		s.problem(http.StatusForbidden, "denied", s.do(request{method: "POST", path: "/v1/auth/logout", header: header}))
	}
	s.into(http.StatusNoContent, s.do(request{method: "POST", path: "/v1/auth/logout", auth: s.viewer, header: map[string]string{"Sec-Fetch-Site": "same-origin"}}), nil)
}

func TestPanicsAreAnswered(t *testing.T) {
	log := &lockedBuffer{}
	a := &api{log: newLogger(log)}
	w := httptest.NewRecorder()
	func() {
		defer a.recovered(w, httptest.NewRequest(http.MethodGet, "/", nil), "req-9")
		panic("a secret cause")
	}()
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "secret") || !strings.Contains(log.String(), "req-9") || !strings.Contains(log.String(), "secret") {
		t.Errorf("got %d %s, log %s", w.Code, w.Body, log)
	}
	for name, cause := range map[string]any{"abort": http.ErrAbortHandler, "half an answer": "x"} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			w.Header().Set("Content-Type", "text/plain")
			defer func() {
				if cause, _ := recover().(error); !errors.Is(cause, http.ErrAbortHandler) {
					t.Error("want the connection cut")
				}
			}()
			defer a.recovered(w, httptest.NewRequest(http.MethodGet, "/", nil), "x")
			panic(cause)
		})
	}
}

func TestLoneSurrogates(t *testing.T) {
	for text, want := range map[string]bool{
		`"\ud83d\ude00"`: false, `"\ud83d"`: true, `"\ude00"`: true, `"\ud83dx"`: true, `"\ud83d\u0041"`: true, `"\ud83d\ud83d\ude00"`: true,
		`"\\ud83d"`: false, `"\\\ud83d"`: true, `"\u00e9"`: false, `"\uD83D\uDE00"`: false, `"\uDBFF"`: true, `\`: false, `"\u`: false, `"\ud8`: false, `\ud83d`: true,
	} {
		if got := hasLoneSurrogate([]byte(text)); got != want {
			t.Errorf("%s: want %v, got %v", text, want, got)
		}
	}
}

func FuzzPublishBody(f *testing.F) {
	for _, s := range []string{`{"content":"a: 1"}`, `{"content_base64":"YQ=="}`, `{}`, `{"content":"\ud83d\ude00"}`, `[`, `{"expected_version":-1e99}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		var got publishBody
		err := decodeBody(httptest.NewRecorder(), r, publishNames, &got)
		if err != nil {
			if config.KindOf(err) != config.Invalid {
				t.Errorf("want Invalid, got %v", err)
			}
			return
		}
		// No character was made up on the way.
		if got.Text != nil && strings.ContainsRune(*got.Text, utf8.RuneError) &&
			!bytes.ContainsRune(body, utf8.RuneError) && !bytes.Contains(bytes.ToLower(body), []byte(`\ufffd`)) {
			t.Errorf("%q became %q", body, *got.Text)
		}
	})
}

func FuzzGuardPath(f *testing.F) {
	for _, s := range []string{"/v1/tenants", "/v1/../x", "/%2e%2e/", "/a%2Fb", "//", "/v1/%00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, target string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + target + " HTTP/1.1\r\nHost: x\r\n\r\n")))
		if err != nil || guardPath(r) != nil {
			return
		}
		// What passes is not cleaned, so never redirected.
		w := httptest.NewRecorder()
		mux := http.NewServeMux()
		mux.HandleFunc("/", func(http.ResponseWriter, *http.Request) {})
		mux.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			t.Errorf("%q: got %d %v", target, w.Code, w.Header())
		}
	})
}
