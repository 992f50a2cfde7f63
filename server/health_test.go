package server

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/protocol"
)

func TestReadinessTellsWhatDoesNotHold(t *testing.T) {
	var s state
	view := "it is being loaded"
	quorum := ""
	h := health{checks: []check{{name: "state", holds: s.holds}, {name: "view", holds: func() string { return view }}, {name: "quorum", holds: func() string { return quorum }, advisory: true}}}
	var mux protocol.Mux
	h.register(mux.Handle)
	type answer struct {
		Status int
		Body   string
	}
	ask := func(path string) answer {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
		if w.Header().Get("X-Request-Id") == "" {
			t.Errorf("%s: want a request id, got %v", path, w.Header())
		}
		return answer{w.Code, w.Body.String()}
	}
	for _, step := range []struct {
		name   string
		state  int32
		view   string
		quorum string
		path   string
		want   answer
	}{
		{"starting", starting, view, "", "/readyz", answer{503, "not ready: the node is starting\n"}},
		{"starting, alive", starting, view, "", "/livez", answer{200, "ok\n"}},
		{"starting, verbose", starting, view, "", "/readyz?verbose", answer{503, "not ok state: the node is starting\nnot ok view: it is being loaded\nok quorum\nnot ready: the node is starting\n"}},
		{"serving, view lost", serving, view, "", "/readyz?verbose", answer{503, "ok state\nnot ok view: it is being loaded\nok quorum\nnot ready: it is being loaded\n"}},
		{"serving", serving, "", "", "/readyz", answer{200, "ready\n"}},
		{"serving, verbose", serving, "", "", "/readyz?verbose", answer{200, "ok state\nok view\nok quorum\nready\n"}},
		{"cut off", serving, "", "since 5s", "/readyz", answer{200, "ready\n"}},
		{"cut off, verbose", serving, "", "since 5s", "/readyz?verbose", answer{200, "ok state\nok view\nwarning quorum: since 5s\nready\n"}},
		{"draining", draining, "", "", "/readyz", answer{503, "not ready: the node is shutting down\n"}},
		{"draining, alive", draining, "", "", "/livez", answer{200, "ok\n"}},
	} {
		t.Run(step.name, func(t *testing.T) {
			s.Store(step.state)
			view, quorum = step.view, step.quorum
			if diff := cmp.Diff(step.want, ask(step.path)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Until the node serves, whatever is asked for is answered, and can be told
// apart from other answers.
func TestUnreadyAnswers(t *testing.T) {
	h := unready(&health{checks: []check{{name: "state", holds: func() string { return "the node is starting" }}}})
	for path, want := range map[string]int{"/": 503, "/v1/tenants": 503, "/readyz": 503, "/livez": 200} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
		if w.Code != want || w.Header().Get("X-Request-Id") == "" {
			t.Errorf("%s: want %d with a request id, got %d %v", path, want, w.Code, w.Header())
		}
	}
}
