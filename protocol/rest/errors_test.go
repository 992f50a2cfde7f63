package rest

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestEveryKindOfErrorHasAnAnswer(t *testing.T) {
	for _, kind := range config.ErrorKinds() {
		got, found := kindStatuses[kind]
		if !found || got.status < 400 || got.status > 599 || got.title == "" {
			t.Errorf("%s: want a status and a title, got %+v", kind, got)
		}
	}
	if want := len(config.ErrorKinds()); len(kindStatuses) != want {
		t.Errorf("want %d lines, got %d", want, len(kindStatuses))
	}
}

func TestProblems(t *testing.T) {
	conflict := &config.Error{Op: "config.publish", Kind: config.Conflict, Path: "acme/shop/prod/app.yaml", Current: 4, Err: errors.New("expected version 3, found 4")}
	content := &config.Error{Op: "config.publish", Kind: config.Invalid, Path: "acme/shop/prod/app.yaml", Err: errors.New("the content is malformed"), Problems: []config.Problem{
		{Path: "acme/shop/prod/app.yaml", Line: 2, Column: 3, Severity: config.SeverityError, Message: "a tab", Excerpt: "2 | \ta: 1\n  | ^", Hint: "use spaces"},
	}}
	cases := []struct {
		name   string
		header http.Header
		err    error
	}{
		{"not found", nil, config.Errorf(config.NotFound, "config.get", "acme/shop/prod/x", "there is no such config")},
		{"conflict of a version in the body", nil, conflict},
		{"conflict of a condition in a header", http.Header{"If-Match": {`"2"`}}, conflict},
		{"malformed content", nil, content},
		{"malformed request", nil, malformed("body.items[3].path", "want a path")},
		{"unauthenticated", nil, config.Errorf(config.Unauthenticated, "authenticate", "", "no credentials were sent")},
		{"throttled", nil, auth.Throttled("authenticate", "too many attempts", 90*time.Second)},
		{"unavailable", nil, config.Errorf(config.Unavailable, "config.get", "", "the store has no quorum")},
		{"internal cause stays inside", nil, config.Errorf(config.Internal, "config.get", "", "secret detail of %s", "the engine")},
		{"unknown error stays inside", nil, fmt.Errorf("secret: %w", io.ErrClosedPipe)},
		{"wrapped", nil, fmt.Errorf("outer: %w", config.Errorf(config.Denied, "config.get", "acme", "no right"))},
		{"method", nil, &statusError{err: errMethod("PUT", "GET, POST"), status: http.StatusMethodNotAllowed, allow: "GET, POST"}},
		{"markup", nil, config.Errorf(config.Invalid, "", `<script>"`, "bad & ugly\n\x00")},
	}
	var got txtar.Archive
	log := &lockedBuffer{}
	a := &api{log: newLogger(log)}
	for _, c := range cases {
		r := httptest.NewRequest(http.MethodGet, "/v1/x", nil)
		for k, v := range c.header {
			r.Header[k] = v
		}
		r = r.WithContext(auth.WithRequest(r.Context(), auth.Request{ID: "req-1"}))
		w := httptest.NewRecorder()
		a.fail(w, r, c.err)
		var text strings.Builder
		fmt.Fprintln(&text, w.Code)
		for _, name := range []string{"Content-Type", "Www-Authenticate", "Retry-After", "Allow"} {
			for _, v := range w.Header()[name] {
				if name == "Retry-After" && v < "4" && w.Code == http.StatusServiceUnavailable {
					v = "1 to 3" // at random
				}
				fmt.Fprintf(&text, "%s: %s\n", name, v)
			}
		}
		fmt.Fprintf(&text, "\n%s", w.Body)
		got.Files = append(got.Files, txtar.File{Name: c.name, Data: []byte(text.String())})
		if strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s: the cause is told to the client: %s", c.name, w.Body)
		}
	}
	if !strings.Contains(log.String(), "secret detail of the engine") || !strings.Contains(log.String(), "req-1") {
		t.Errorf("want the cause in the log under the request id, got %s", log)
	}
	golden(t, "testdata/problems.txtar", txtar.Format(&got))
}

// golden compares with a file, or writes it with -update.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s is not what is made now (-want +got); -update writes it anew:\n%s", file, diff)
	}
}

func TestHumaErrors(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		errs   []error
		want   int
		kind   config.ErrorKind
	}{
		"too large":   {500, []error{&http.MaxBytesError{Limit: 5}}, http.StatusRequestEntityTooLarge, config.TooLarge},
		"slow":        {http.StatusRequestTimeout, nil, http.StatusRequestTimeout, config.Timeout},
		"cut off":     {500, []error{io.ErrUnexpectedEOF}, statusCanceled, config.Canceled},
		"a defect":    {500, []error{errors.New("x")}, 500, config.Internal},
		"no body":     {400, nil, 400, config.Invalid},
		"a validator": {422, []error{errors.New("x")}, 400, config.Invalid},
		"our own":     {500, []error{config.Errorf(config.Exists, "", "", "x")}, 409, config.Exists},
	} {
		t.Run(name, func(t *testing.T) {
			err := humaError(c.status, "message", c.errs)
			p := newProblem(httptest.NewRequest(http.MethodGet, "/", nil), err)
			if p.Status != c.want || p.Code != c.kind.String() {
				t.Errorf("want %d %s, got %+v", c.want, c.kind, p)
			}
		})
	}
}
