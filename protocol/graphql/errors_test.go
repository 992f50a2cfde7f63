package graphql

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	gql "github.com/99designs/gqlgen/graphql"
	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol"
)

func TestErrors(t *testing.T) {
	problems := []config.Problem{{Path: "a", Line: 3, Column: 7, Severity: config.SeverityError, Message: "wrong", Hint: "mend it", Excerpt: "^"}}
	for name, c := range map[string]struct {
		err  error
		want map[string]any
		text string
	}{
		"plain":      {config.Errorf(config.NotFound, "config.get", "a/b/c/d", "no such config"), map[string]any{"code": "not_found", "op": "config.get", "path": "a/b/c/d"}, "no such config"},
		"versions":   {&config.Error{Kind: config.Conflict, Current: 4, Err: errors.New("stale")}, map[string]any{"code": "conflict", "currentVersion": int64(4)}, "stale"},
		"problems":   {&config.Error{Kind: config.Invalid, Problems: problems, Err: errors.New("bad")}, map[string]any{"code": "invalid", "problems": problems}, "bad"},
		"throttled":  {auth.Throttled("auth", "too often", 3*time.Second), map[string]any{"code": "throttled", "op": "auth", "retryAfterMs": int64(3000)}, "too often"},
		"internal":   {config.Errorf(config.Internal, "x", "y", "the password is xyzzy"), map[string]any{"code": "internal", "op": "x", "path": "y"}, "an internal error"},
		"a stranger": {errors.New("the password is xyzzy"), map[string]any{"code": "internal"}, "an internal error"},
		"too late":   {context.DeadlineExceeded, map[string]any{"code": "timeout"}, "deadline"},
	} {
		got := render(c.err, "r1")
		c.want["requestId"] = "r1"
		if diff := cmp.Diff(c.want, got.Extensions); diff != "" || !strings.Contains(got.Message, c.text) || strings.Contains(got.Message, "xyzzy") {
			t.Errorf("%s: %q (-want +got):\n%s", name, got.Message, diff)
		}
	}
}

// Every kind has a code of its own and a status.
func TestEveryKindHasAForm(t *testing.T) {
	seen := map[any]config.ErrorKind{}
	for _, kind := range config.ErrorKinds() {
		list := refusals(&config.Error{Kind: kind}, "")
		if len(list) != 1 {
			t.Fatalf("%s: want one error, got %v", kind, list)
		}
		code := list[0].Extensions["code"]
		if other, taken := seen[code]; taken {
			t.Errorf("%s and %s are both %v", other, kind, code)
		}
		seen[code] = kind
		if status := statusOf(&requestOfNobody, &config.Error{Kind: kind}); status < 400 || status > 599 {
			t.Errorf("%s: want the status of an error, got %d", kind, status)
		}
	}
}

// measurements are what was observed.
type measurements struct {
	protocol.NoObserver
	seen chan string
}

func (m measurements) ObserveRequest(_, op, code string, _ time.Duration) { m.seen <- op + " " + code }

func TestFieldsAreMeasured(t *testing.T) {
	n := launch(t)
	m := measurements{seen: make(chan string, 10)}
	n.api.observer = m
	n.post(n.app, `mutation{one:logout}`, nil)
	n.post(n.app, `{version{version}}`, nil)
	n.post(n.nobody, `{read(path:"acme/shop/prod/a.yaml"){revision} whoAmI{user}}`, nil)
	n.post(n.nobody, `{`, nil)
	close(m.seen)
	got := map[string]int{}
	for s := range m.seen {
		got[s]++
	}
	want := map[string]int{
		"Mutation.logout ok": 1, "- unauthenticated": 1, "Query.read denied": 1, "Query.whoAmI ok": 1, "- invalid": 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A panic is a defect of one field, and nothing is told of it.
func TestPanicsAreDefectsOfAField(t *testing.T) {
	n := launch(t)
	var log strings.Builder
	n.api.log = slog.New(slog.NewTextHandler(&log, nil))
	n.api.schema = &panicking{n.api.schema}
	got := n.post(n.app, `{version{version}}`, nil)
	if got.status != 500 || got.code() != "internal" || strings.Contains(string(got.body), "xyzzy") || !strings.Contains(log.String(), "xyzzy") {
		t.Errorf("want it in the log and nowhere else, got %d %s\n%s", got.status, got.body, log.String())
	}
	recovered := n.api.recovered(t.Context(), "xyzzy")
	if config.KindOf(recovered) != config.Internal || strings.Contains(recovered.Error(), "xyzzy") {
		t.Errorf("want an internal error that says nothing, got %v", recovered)
	}
}

// panicking is a schema that panics.
type panicking struct{ gql.ExecutableSchema }

func (*panicking) Exec(context.Context) gql.ResponseHandler { panic("xyzzy") }

// Arguments that do not fit are told with their place.
func TestPlacesInArguments(t *testing.T) {
	n := launch(t)
	const publish = `mutation($p:PublishInput!){publish(input:$p){id}}`
	for name, c := range map[string]struct {
		query     string
		variables map[string]any
		where     string
	}{
		"a field that is not there": {publish, map[string]any{"p": map[string]any{"tenant": "acme", "itms": []any{}}}, "variables.p.itms"},
		"in a list":                 {publish, map[string]any{"p": map[string]any{"tenant": "acme", "items": []any{map[string]any{"path": 7}}}}, "input.items[0].path"},
		"in a list of objects":      {publish, map[string]any{"p": map[string]any{"tenant": "acme", "items": []any{map[string]any{"pth": 7}}}}, "variables.p.items[0].pth"},
		"a word":                    {publish, map[string]any{"p": map[string]any{"tenant": "acme", "items": []any{}, "options": map[string]any{"onRunning": "supersede"}}}, "variables.p.options.onRunning"},
		"a path":                    {publish, map[string]any{"p": map[string]any{"tenant": "acme", "items": []any{map[string]any{"path": "A/b", "content": ""}}}}, "input.items[0].path"},
		"a missing one":             {publish, nil, "variables.p"},
		"a whole number":            {`query($l:Int){tenants(limit:$l){next}}`, map[string]any{"l": 1.5}, "variables.l"},
		"a long one":                {`query($l:Int){tenants(limit:$l){next}}`, map[string]any{"l": 1 << 40}, "limit"},
		"too long a page":           {`query($l:Int){tenants(limit:$l){next}}`, map[string]any{"l": 1001}, "limit"},
	} {
		got := n.post(n.app, c.query, c.variables)
		if got.code() != "invalid" || len(got.Errors[0].Extensions.Problems) == 0 || got.Errors[0].Extensions.Problems[0].Path != c.where {
			t.Errorf("%s: want it at %s, got %s", name, c.where, got.body)
		}
		for _, element := range got.Errors[0].Path {
			if element != "publish" && element != "tenants" {
				t.Errorf("%s: want the path in the answer alone, got %v", name, got.Errors[0].Path)
			}
		}
	}
}
