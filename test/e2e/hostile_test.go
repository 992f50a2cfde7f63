package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

// marker is in content that strangers must not see; nor may the log.
const marker = "CONTENT-MARKER-7d1f"

// besieged is a server for hostile requests: it closes slow ones soon, and
// believes what address a request says that it is from, so that a test can be
// many strangers.
func besieged(t *testing.T) *server {
	t.Helper()
	s := start(t,
		"HTTP_HEADER_TIMEOUT=1s", "PROTOCOLS_REST_BODY_TIMEOUT=1s", "PROTOCOLS_REST_TRUSTED_PROXIES=127.0.0.1",
		"AUTH_BASIC_REMEMBER=0s", "AUTH_BASIC_PER_USER_FIRST_WAIT=30s", "LOG_LEVEL=debug",
	)
	s.secret(config.NewSecret(marker))
	root := s.root()
	build(t, root, "acme/shop/prod", "globex/web/prod")
	publish(t, root, "acme/shop/prod/app.yaml", "secret: "+marker+"\n")
	publish(t, root, "globex/web/prod/app.yaml", "theirs: true\n")
	return s
}

// hostile is a request that must be refused.
type hostile struct {
	name    string
	raw     string
	status  int
	code    string
	library bool // refused by the HTTP library, before there is a request: its answer is not ours
}

const (
	app   = "/v1/configs/acme/shop/prod/app.yaml"
	draft = "/v1/tenants/acme/apps/shop/envs/prod/configs/app.yaml/draft"
)

func TestHostileRequests(t *testing.T) {
	s := besieged(t)
	foreign := s.program("globex-app", client.Grant{Role: "admin", Scope: path(t, "globex")})
	narrowed, err := s.root().CreateToken(t.Context(), client.NewToken{Grants: []client.Grant{{Role: "viewer", Scope: path(t, "globex")}}})
	if err != nil {
		t.Fatal(err)
	}
	s.secret(narrowed.Secret)
	cases := append(badCredentials(s, foreign.Secret, narrowed.Secret), badPaths(bearer(s.token))...)
	cases = append(cases, badBodies(bearer(s.token))...)
	cases = append(cases, badWire(bearer(s.token))...)
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			// Each comes from elsewhere, so that none is throttled for another.
			raw := strings.Replace(c.raw, "\r\n", fmt.Sprintf("\r\nX-Forwarded-For: 192.0.2.%d\r\n", i), 1)
			answers := s.send(t, raw, strings.HasPrefix(c.name, "wire/"))
			if len(answers) == 0 {
				t.Fatal("no answer")
			}
			a := answers[0]
			if c.library {
				if a.StatusCode != c.status {
					t.Errorf("want %d, got %s: %s", c.status, a.Status, a.body)
				}
			} else {
				wantProblem(t, c.status, c.code, a)
				ours := strings.HasPrefix(strings.Fields(c.raw)[1], "/v1/")
				if ours && a.Header.Get("X-Request-Id") == "" || a.Header.Get("X-Content-Type-Options") != "nosniff" {
					t.Errorf("want the usual headers, got %v", a.Header)
				}
			}
			for _, a := range answers {
				if a.StatusCode < 300 || bytes.Contains(a.body, []byte(marker)) || a.Header.Get("Set-Cookie") != "" || a.Header.Get("X-Injected") != "" {
					t.Errorf("want it refused, got %s %v: %s", a.Status, a.Header, a.body)
				}
			}
		})
	}
	got, err := s.root().Get(t.Context(), path(t, "acme/shop/prod/app.yaml"), client.ReadOptions{})
	if err != nil || got.Version != 1 {
		t.Errorf("want the server as it was, got version %d, %v", got.Version, err)
	}
}

func badCredentials(s *server, foreign, narrowed config.Secret) []hostile {
	basic := func(text string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(text)) }
	right := bearer(s.token)
	var cases []hostile
	for name, value := range map[string]string{
		"no scheme": s.token.Reveal(), "no token": "Bearer", "an empty token": "Bearer  ", "another scheme": "Digest username=\"admin\"",
		"nonsense": "Bearer nonsense", "a prefix alone": "Bearer sp_", "half a token": right[:len(right)/2],
		"a token and more": right + "x", "a wrong secret": right[:len(right)-1] + flipped(right[len(right)-1]), "an overlong token": "Bearer sp_" + strings.Repeat("a", 8000),
		"a token with a comma": right + ", " + right, "no base64": "Basic !!!", "no colon": basic("admin"), "no name": basic(":x"),
		"a wrong password": basic("admin:wrong"), "an unknown user": basic("nobody:wrong"), "a NUL in the name": basic("adm\x00in:x"),
		"an overlong password": basic("admin:" + strings.Repeat("x", 5000)), "no UTF-8": basic("\xff\xfe:\xff"),
	} {
		cases = append(cases, hostile{"credentials/" + name, request("GET", app, "", "Authorization: "+value), 401, "unauthenticated", false})
	}
	return append(cases,
		hostile{"credentials/none", request("GET", app, ""), 401, "unauthenticated", false},
		hostile{"credentials/two", request("GET", app, "", "Authorization: "+right, "Authorization: "+right), 401, "unauthenticated", false},
		hostile{"credentials/in the query", request("GET", app+"?access_token="+s.token.Reveal(), ""), 401, "unauthenticated", false},
		hostile{"credentials/in a cookie", request("GET", app, "", "Cookie: token="+s.token.Reveal()), 401, "unauthenticated", false},
		hostile{"credentials/of another tenant", request("GET", app, "", "Authorization: "+bearer(foreign)), 403, "denied", false},
		hostile{"credentials/narrowed to another tenant", request("GET", app, "", "Authorization: "+bearer(narrowed)), 403, "denied", false},
		hostile{"credentials/from another web site", request("POST", "/v1/tenants", `{"name":"evil"}`, "Authorization: "+right, "Content-Type: application/json",
			"Content-Length: 15", "Origin: https://evil.example", "Sec-Fetch-Site: cross-site"), 403, "denied", false},
	)
}

func flipped(c byte) string {
	if c == 'a' {
		return "b"
	}
	return "a"
}

func badPaths(auth string) []hostile {
	var cases []hostile
	add := func(name, target string, status int, code string) {
		cases = append(cases, hostile{"path/" + name, request("GET", target, "", "Authorization: "+auth), status, code, status == 0})
	}
	for name, target := range map[string]string{
		"up":                           "/v1/configs/acme/shop/prod/../prod/app.yaml",
		"up, encoded":                  "/v1/configs/acme/shop/prod/%2e%2e/prod/app.yaml",
		"up, half encoded":             "/v1/configs/acme/shop/prod/.%2E/prod/app.yaml",
		"up, out of it":                "/v1/../../../etc/passwd",
		"here":                         "/v1/configs/./acme/shop/prod/app.yaml",
		"an encoded slash":             "/v1/configs/acme%2Fshop/prod/app.yaml",
		"an encoded slash in the name": "/v1/configs/acme/shop/prod/..%2fapp.yaml",
		"two slashes":                  "/v1//configs/acme/shop/prod/app.yaml",
		"two slashes first":            "/v1/configs//acme/shop/prod/app.yaml",
		"NUL":                          "/v1/configs/acme/shop/prod/app.yaml%00.txt",
		"a line break":                 "/v1/configs/acme/shop/prod/a%0d%0aX-Injected:%20yes",
		"a backslash":                  "/v1/configs/acme/shop/prod/..%5capp.yaml",
		"no UTF-8":                     "/v1/configs/acme/shop/prod/%ff%fe.yaml",
		"overlong UTF-8":               "/v1/configs/acme/shop/prod/%c0%ae%c0%ae/app.yaml",
		"an overlong path":             "/v1/configs/acme/shop/prod/" + strings.Repeat("a", 2000),
		"an overlong name":             "/v1/configs/acme/shop/prod/" + strings.Repeat("a", 129),
		"an overlong tenant":           "/v1/configs/" + strings.Repeat("a", 64) + "/shop/prod/app.yaml",
		"upper case":                   "/v1/configs/ACME/shop/prod/app.yaml",
		"Unicode":                      "/v1/configs/acme/shop/prod/%E5%BA%94%E7%94%A8.yaml",
		"look-alikes":                  "/v1/configs/%D0%B0cme/shop/prod/app.yaml",
		"a name of dots":               "/v1/configs/acme/shop/prod/...",
		"a semicolon":                  "/v1/configs/acme;x=1/shop/prod/app.yaml",
		"an unknown parameter":         app + "?consistent=strong",
		"a bad parameter":              app + "?min_revision=%00",
		"a bad escape in the query":    app + "?min_revision=%zz",
		"a huge version":               "/v1/tenants/acme/apps/shop/envs/prod/configs/app.yaml/releases/99999999999999999999",
		"a negative version":           "/v1/tenants/acme/apps/shop/envs/prod/configs/app.yaml/releases/-1",
		"a huge page":                  "/v1/tenants?limit=999999999",
	} {
		add(name, target, 400, "invalid")
	}
	add("a final slash", app+"/", 404, "not_found")
	add("another case of the prefix", "/V1/tenants", 404, "not_found")
	add("nothing", "/v1/nothing", 404, "not_found")
	add("the metrics", "/metrics", 404, "not_found")
	add("the profiles", "/debug/pprof/heap", 404, "not_found")
	add("too deep", app+"/x/y/z", 404, "not_found")
	return append(cases,
		hostile{"path/a bad escape", request("GET", "/v1/configs/acme/shop/prod/%zz", "", "Authorization: "+auth), 400, "", true},
		hostile{"path/raw Unicode", request("GET", "/v1/configs/acme/shop/prod/应用.yaml", "", "Authorization: "+auth), 400, "invalid", false},
		hostile{"path/an overlong URL", request("GET", app+"?labels="+strings.Repeat("a", 40_000), "", "Authorization: "+auth), 431, "", true},
		hostile{"path/none", request("GET", "*", "", "Authorization: "+auth), 404, "", true},
		hostile{"path/another method", request("DELETE", app, "", "Authorization: "+auth), 405, "invalid", false},
		hostile{"path/an unknown method", request("BREW", app, "", "Authorization: "+auth), 405, "invalid", false},
		hostile{"path/TRACE", request("TRACE", app, "", "Authorization: "+auth), 405, "invalid", false},
	)
}

func badBodies(auth string) []hostile {
	var cases []hostile
	add := func(name, method, target, contentType, body string, status int, code string) {
		cases = append(cases, hostile{"body/" + name, request(method, target, body, "Authorization: "+auth,
			"Content-Type: "+contentType, "Content-Length: "+strconv.Itoa(len(body))), status, code, false})
	}
	const releases = "/v1/tenants/acme/apps/shop/envs/prod/configs/app.yaml/releases"
	for name, body := range map[string]string{
		"nothing": "", "half": `{"content":"a`, "no JSON": "content: a", "null": "null", "a list": "[]", "a string": `"x"`, "more": `{"content":"a: 1"} {}`,
		"no UTF-8": "{\"content\":\"\xff\"}", "half a character": `{"content":"\ud800"}`, "an unknown field": `{"content":"a: 1","contents":"x"}`,
		"deep": `{"content":` + strings.Repeat("[", 100_000), "deep and whole": `{"content":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + "}",
		"another type": `{"content":5}`, "no base64": `{"content_base64":"!"}`, "NUL": "{\"content\":\"a\"\x00}", "both contents": `{"content":"a: 1","content_base64":"YTogMQ=="}`,
	} {
		add(name+" to a draft", "PUT", draft, "application/json", body, 400, "invalid")
		if name != "nothing" && name != "null" { // which stand for the draft
			add(name+" to publish", "POST", releases, "application/json", body, 400, "invalid")
		}
		if strings.HasPrefix(name, "deep") {
			continue // more than a login may have
		}
		add(name+" to log in", "POST", "/v1/auth/login", "application/json", strings.NewReplacer("content_base64", "ttl", "content", "username").Replace(body), 400, "invalid")
	}
	for name, number := range map[string]string{"a huge number": "99999999999999999999", "a huge exponent": "1e400", "a fraction": "1.5", "a long number": strings.Repeat("9", 10_000)} {
		add(name, "POST", releases, "application/json", `{"content":"a: 1","expected_version":`+number+"}", 400, "invalid")
		add(name+" to roll back", "POST", "/v1/tenants/acme/apps/shop/envs/prod/configs/app.yaml/rollback", "application/json", `{"version":`+number+"}", 400, "invalid")
	}
	for _, media := range []string{"text/plain", "application/xml", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "application/zip"} {
		add(media, "PUT", draft, media, `{"content":"a: 1"}`, 415, "invalid")
	}
	const archive = "/v1/tenants/acme/apps/shop/envs/prod/import"
	add("JSON for an archive", "POST", archive, "application/json", "{}", 415, "invalid")
	add("no archive", "POST", archive, "application/zip", "PK\x03\x04nonsense", 400, "invalid")
	add("half a gzip", "POST", archive, "application/gzip", "\x1f\x8b\x08", 400, "invalid")
	add("a comment with line breaks", "POST", archive+"?comment=a%0d%0aSet-Cookie:%20x", "application/zip", "PK", 400, "invalid")
	add("a name with a line break", "POST", "/v1/tenants", "application/json", `{"name":"a\r\nX-Injected: yes"}`, 400, "invalid")
	large := `{"content":"` + strings.Repeat("x", 3<<20) + `"}`
	add("oversized", "PUT", draft, "application/json", large, 413, "too_large")
	add("over the limit of a config", "PUT", draft, "application/json", `{"content":"a: `+strings.Repeat("x", 1<<20)+`"}`, 413, "too_large")
	add("an oversized login", "POST", "/v1/auth/login", "application/json", large, 413, "too_large")
	return append(cases,
		hostile{"body/said to be huge", request("PUT", draft, "", "Authorization: "+auth, "Content-Type: application/json", "Content-Length: 9999999999"), 413, "too_large", false},
		hostile{"body/oversized in chunks", request("PUT", draft, fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(large), large),
			"Authorization: "+auth, "Content-Type: application/json", "Transfer-Encoding: chunked"), 413, "too_large", false},
		hostile{"body/that never comes", request("PUT", draft, `{"content"`, "Authorization: "+auth, "Content-Type: application/json", "Content-Length: 100"), 408, "timeout", false},
	)
}

// badWire is what is not quite HTTP: forms by which a request can be smuggled
// past a proxy.
func badWire(auth string) []hostile {
	const body = "{\"content\":\"a: 1\"}"
	smuggled := request("GET", app, "")
	var cases []hostile
	add := func(name string, status int, body string, headers ...string) {
		raw := request("PUT", draft, body, append([]string{"Authorization: " + auth, "Content-Type: application/json"}, headers...)...)
		cases = append(cases, hostile{"wire/" + name, raw, status, "", true})
	}
	add("two lengths", 400, body, "Content-Length: 18", "Content-Length: 0")
	add("a list of lengths", 400, body, "Content-Length: 18, 0")
	add("a signed length", 400, body, "Content-Length: +18")
	add("a negative length", 400, body, "Content-Length: -1")
	add("a length in hex", 400, body, "Content-Length: 0x12")
	add("a space before the colon", 400, body, "Transfer-Encoding : chunked")
	add("an unknown coding", 501, body, "Transfer-Encoding: xchunked")
	add("two codings", 501, body, "Transfer-Encoding: chunked", "Transfer-Encoding: identity")
	add("a bad header name", 400, body, "X Y: z")
	add("a NUL in a header", 400, body, "X-Y: a\x00b")
	add("no header at all", 400, body, "nonsense")
	cases = append(cases,
		hostile{"wire/both length and coding", request("PUT", draft, "0\r\n\r\n"+smuggled, "Authorization: "+auth, "Content-Type: application/json",
			"Content-Length: "+strconv.Itoa(5+len(smuggled)), "Transfer-Encoding: chunked"), 400, "", true},
		hostile{"wire/no HTTP", "HELO setpoint\r\n\r\n", 400, "", true},
		hostile{"wire/HTTP of the future", "GET / HTTP/9.9\r\nHost: x\r\n\r\n", 505, "", true},
		hostile{"wire/no host", "GET /v1/version HTTP/1.1\r\nAuthorization: " + auth + "\r\n\r\n", 400, "", true},
		hostile{"wire/two hosts", "GET /v1/version HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "", true},
		hostile{"wire/many headers", request("GET", app, "", strings.Repeat("X-Y: z\r\n", 5000)+"Authorization: "+auth), 431, "", true},
	)
	return cases
}

// TestGuessingIsSlowed has strangers guess a password until they must wait, and
// wants who has the right one, from where it always comes, to be let in.
func TestGuessingIsSlowed(t *testing.T) {
	s := besieged(t)
	const right = "correct horse battery"
	s.person("alice", right)
	s.person("bob", right)
	plain := s.http()
	login := func(user, password, from string) answer {
		t.Helper()
		body, err := json.Marshal(map[string]string{"username": user, "password": password})
		if err != nil {
			t.Fatal(err)
		}
		return s.call(plain, "POST", "/v1/auth/login", body, "X-Forwarded-For", from)
	}
	wantIn := func(who string, a answer) {
		t.Helper()
		var session struct {
			Token string `json:"token"`
		}
		if err := json.Unmarshal(a.body, &session); err != nil || a.StatusCode != http.StatusOK && a.StatusCode != http.StatusCreated {
			t.Errorf("want %s let in, got %s: %s", who, a.Status, a.body)
			return
		}
		s.secret(config.NewSecret(session.Token))
	}
	wantIn("alice at home", login("alice", right, "192.0.2.1"))

	throttled := func(what string, try func(i int) answer) {
		t.Helper()
		for i := range 100 {
			a := try(i)
			if a.StatusCode == http.StatusTooManyRequests {
				wantProblem(t, http.StatusTooManyRequests, "throttled", a)
				if wait, err := strconv.Atoi(a.Header.Get("Retry-After")); err != nil || wait < 1 {
					t.Errorf("%s: want to be told when to come back, got %q", what, a.Header.Get("Retry-After"))
				}
				t.Logf("%s: throttled after %d attempts", what, i)
				return
			}
			wantProblem(t, http.StatusUnauthorized, "unauthenticated", a)
		}
		t.Errorf("%s: never slowed", what)
	}
	throttled("guesses for alice from everywhere", func(i int) answer { return login("alice", fmt.Sprint("guess ", i), fmt.Sprint("198.51.100.", i)) })
	throttled("guesses for many from one place", func(i int) answer { return login(fmt.Sprint("user-", i), "guess", "203.0.113.9") })
	throttled("tokens from one place", func(i int) answer {
		return s.call(plain, "GET", app, nil, "X-Forwarded-For", "203.0.113.77", "Authorization", fmt.Sprintf("Bearer sp_aaaaaaaaaaaa_%048d", i))
	})
	// The right password is no way around the wait for who comes from nowhere.
	wantProblem(t, http.StatusTooManyRequests, "throttled", login("alice", right, "198.51.100.200"))
	wantIn("alice at home", login("alice", right, "192.0.2.1"))
	wantIn("bob", login("bob", right, "192.0.2.2"))
	a := s.call(plain, "GET", "/v1/auth/whoami", nil, "X-Forwarded-For", "203.0.113.77", "Authorization", bearer(s.token))
	if a.StatusCode != http.StatusOK {
		t.Errorf("want a right token to pass from a place of wrong ones, got %s: %s", a.Status, a.body)
	}
}

// TestExpiredToken wants a token to be of use until it ends, and no longer.
func TestExpiredToken(t *testing.T) {
	s := start(t)
	token, err := s.root().CreateToken(t.Context(), client.NewToken{TTL: 3 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	plain := s.http()
	ask := func() answer {
		return s.call(plain, "GET", "/v1/auth/whoami", nil, "Authorization", bearer(s.secret(token.Secret)))
	}
	if a := ask(); a.StatusCode != http.StatusOK {
		t.Errorf("want it of use at first, got %s: %s", a.Status, a.body)
	}
	var last answer
	s.until("the end of a token", func() bool { last = ask(); return last.StatusCode != http.StatusOK })
	wantProblem(t, http.StatusUnauthorized, "unauthenticated", last)
	if now := time.Now(); now.Before(token.ExpiresAt) {
		t.Errorf("it ended at %s, before %s", now, token.ExpiresAt)
	}
}
