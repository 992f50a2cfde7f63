package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

// problem is an error answer as programs read it.
type problem struct {
	Type           string           `json:"type"`
	Title          string           `json:"title"`
	Status         int              `json:"status"`
	Detail         string           `json:"detail"`
	Code           string           `json:"code"`
	Path           string           `json:"path"`
	CurrentVersion int64            `json:"current_version"`
	Problems       []config.Problem `json:"problems"`
	RequestID      string           `json:"request_id"`
}

// wantProblem wants an answer to be a problem of the code, and complete.
func wantProblem(t testing.TB, status int, code string, a answer) problem {
	t.Helper()
	var p problem
	if err := json.Unmarshal(a.body, &p); err != nil {
		t.Errorf("want a problem, got %s: %s", a.Status, a.body)
		return p
	}
	if a.StatusCode != status || p.Status != status || p.Code != code || p.Title == "" || p.Type == "" || p.Detail == "" ||
		a.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("want a problem %d %s, got %s %s: %s", status, code, a.Status, a.Header.Get("Content-Type"), a.body)
	}
	return p
}

// TestSyntaxErrorsAreRefused publishes malformed content over REST, as a draft
// and in the request, and wants to be told where the mistake is.
func TestSyntaxErrorsAreRefused(t *testing.T) {
	s := start(t)
	root, plain := s.root(), s.http()
	build(t, root, "acme/shop/prod")
	tests := map[string]struct {
		good, bad    string
		line, column int
	}{
		"app.yaml": {
			good: "server:\n  port: 8080\n", bad: "server:\n  port: 8080\n  hosts: [a, b\nclient: 1\n", line: 4, column: 7,
		},
		"app.json": {
			good: `{"port": 8080}`, bad: "{\n  \"port\": 8080,\n  \"host\" \"a\"\n}\n", line: 3, column: 10,
		},
		"app.toml": {
			good: "port = 8080\n", bad: "[server]\nport = 8080\nhost = \"open\nname = 1\n", line: 3, column: 13,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			at := path(t, "acme/shop/prod/"+name)
			file := "/v1/tenants/acme/apps/shop/envs/prod/configs/" + name
			publish(t, root, at.String(), test.good)
			served := s.call(plain, "GET", "/v1/configs/"+at.String(), nil, "Authorization", bearer(s.token))

			_, found, err := root.SaveDraft(t.Context(), client.SaveDraft{Path: at, Content: []byte(test.bad)})
			if err != nil {
				t.Fatalf("want a malformed draft to be saved, got %v", err)
			}
			content, err := json.Marshal(map[string]string{"content": test.bad})
			if err != nil {
				t.Fatal(err)
			}
			for how, body := range map[string][]byte{"draft": []byte(`{}`), "content": content} {
				p := wantProblem(t, http.StatusUnprocessableEntity, "invalid", s.call(plain, "POST", file+"/releases", body, "Authorization", bearer(s.token)))
				if len(p.Problems) == 0 {
					t.Fatalf("%s: want problems, got %+v", how, p)
				}
				first := p.Problems[0]
				t.Logf("%s: %s\n%s", how, first, first.Excerpt)
				if first.Line != test.line || first.Column != test.column || first.Severity != config.SeverityError || first.Message == "" {
					t.Errorf("%s: want an error at %d:%d, got %+v", how, test.line, test.column, first)
				}
				wantCaret(t, strings.Split(test.bad, "\n")[test.line-1], test.column, first.Excerpt)
				if diff := cmp.Diff(found[0].Message, first.Message); how == "draft" && diff != "" {
					t.Errorf("want the draft's save to have told of it already:\n%s", diff)
				}
			}

			draft, err := root.Draft(t.Context(), at)
			if err != nil || string(draft.Content) != test.bad {
				t.Errorf("want the draft kept, got %q, %v", draft.Content, err)
			}
			same := s.call(plain, "GET", "/v1/configs/"+at.String(), nil, "Authorization", bearer(s.token))
			if string(same.body) != test.good || same.Header.Get("ETag") != served.Header.Get("ETag") || same.Header.Get("Setpoint-Version") != "1" {
				t.Errorf("want what was served before, got %q %v", same.body, same.Header)
			}
			not := s.call(plain, "GET", "/v1/configs/"+at.String(), nil, "Authorization", bearer(s.token), "If-None-Match", served.Header.Get("ETag"))
			if not.StatusCode != http.StatusNotModified || len(not.body) > 0 {
				t.Errorf("want 304 and no body, got %s %q", not.Status, not.body)
			}
			if got := collect(t, root.Releases(t.Context(), at)); len(got) != 1 {
				t.Errorf("want one release, got %+v", got)
			}
		})
	}
}

// wantCaret wants the excerpt to show the line, and a caret under the column.
func wantCaret(t testing.TB, line string, column int, excerpt string) {
	t.Helper()
	lines := strings.Split(excerpt, "\n")
	for i, shown := range lines {
		start := strings.Index(shown, line)
		if start < 0 || i+1 >= len(lines) {
			continue
		}
		if at := strings.Index(lines[i+1], "^"); at == start+column-1 {
			return
		}
	}
	t.Errorf("want line %q with a caret under column %d, got:\n%s", line, column, excerpt)
}
