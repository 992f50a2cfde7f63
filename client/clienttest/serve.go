package clienttest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

const (
	heartbeat  = 10 * time.Second
	maxReports = 256
	maxBody    = 1 << 20
)

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	routes := map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /v1/configs/{tenant}/{app}/{env}/{name}": s.readConfig,
		"GET /v1/configs/{tenant}/{app}/{env}":        s.readEnv,
		"GET /v1/watch":                               s.watch,
		"POST /v1/instances/report":                   s.report,
		"GET /v1/version":                             version,
		"/": func(http.ResponseWriter, *http.Request) error {
			return config.Errorf(config.Unsupported, "", "", "this server is one for tests; it serves configs, watches and reports only")
		},
	}
	for pattern, handle := range routes {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			s.gate.check()
			err := s.admit(r)
			if err == nil {
				err = handle(w, r)
			}
			if err != nil {
				fail(w, err)
			}
		})
	}
	return mux
}

// admit refuses who does not say the token, and everybody while the server is
// to refuse.
func (s *Server) admit(r *http.Request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuses {
		return config.Errorf(s.refusal, "", "", "the test has this server refuse requests")
	}
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !slices.Contains(s.tokens, token) {
		return config.Errorf(config.Unauthenticated, "", "", "that is not the token of this server")
	}
	return nil
}

// fail answers with an error as a server does.
func fail(w http.ResponseWriter, err error) {
	e := config.AsError(err)
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status(e.Kind))
	_ = json.NewEncoder(w).Encode(map[string]any{"code": e.Kind.String(), "detail": e.Detail(), "path": e.Path, "status": status(e.Kind)})
}

// status is that of a kind; those that this server has no use for are one.
func status(kind config.ErrorKind) int {
	switch kind {
	case config.Invalid:
		return http.StatusBadRequest
	case config.Unauthenticated:
		return http.StatusUnauthorized
	case config.Denied:
		return http.StatusForbidden
	case config.NotFound:
		return http.StatusNotFound
	case config.Throttled:
		return http.StatusTooManyRequests
	case config.Unsupported:
		return http.StatusNotImplemented
	case config.Compacted:
		return http.StatusGone
	case config.Unavailable:
		return http.StatusServiceUnavailable
	case config.Timeout:
		return http.StatusGatewayTimeout
	}
	return http.StatusInternalServerError
}

func version(w http.ResponseWriter, _ *http.Request) error {
	return answer(w, client.Version{Version: "clienttest"})
}

func answer(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(v)
}

// revisionToken is a position as clients see it.
func (s *Server) revisionToken(revision int64) config.Token {
	return config.Token(s.id + "." + strconv.FormatInt(revision, 36))
}

// parseToken returns 0, which is the beginning, for a token of another server.
func (s *Server) parseToken(t string) (int64, error) {
	id, text, ok := strings.Cut(t, ".")
	revision, err := strconv.ParseInt(text, 36, 64)
	switch {
	case t == "":
		return 0, nil
	case !ok || err != nil:
		return 0, config.Errorf(config.Invalid, "", "", "%q is no token", t)
	case id != s.id:
		return 0, nil
	}
	return revision, nil
}

// asking is who asks: from the query or, behind it, the header.
func asking(r *http.Request, param, header string) string {
	if r.URL.Query().Has(param) {
		return r.URL.Query().Get(param)
	}
	return r.Header.Get(header)
}

func instanceOf(r *http.Request) string { return asking(r, "instance", "Setpoint-Instance") }

func pathOf(r *http.Request) (config.Path, error) {
	p := config.Path{Tenant: r.PathValue("tenant"), App: r.PathValue("app"), Env: r.PathValue("env"), Name: r.PathValue("name")}
	return p, p.Validate()
}

func (s *Server) readConfig(w http.ResponseWriter, r *http.Request) error {
	p, err := pathOf(r)
	if err != nil {
		return err
	}
	s.mu.Lock()
	release, revision := s.history.at(p, s.history.revision).to(instanceOf(r)), s.history.revision
	s.mu.Unlock()
	if release == nil {
		return config.Errorf(config.NotFound, "", p.String(), "there is no such config")
	}
	h := w.Header()
	tag := strconv.Quote(release.Digest)
	h.Set("ETag", tag)
	h.Set("Setpoint-Version", strconv.FormatInt(release.Version, 10))
	h.Set("Setpoint-Format", release.Format)
	h.Set("Setpoint-Revision", string(s.revisionToken(revision)))
	h.Set("Content-Type", mediaType(release.Format))
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	_, _ = w.Write(release.Content) // a client that is gone needs no answer
	return nil
}

func mediaType(format string) string {
	if format == "text" {
		return "text/plain; charset=utf-8"
	}
	return "application/" + format
}

func (s *Server) readEnv(w http.ResponseWriter, r *http.Request) error {
	env, err := pathOf(r)
	if err != nil {
		return err
	}
	s.mu.Lock()
	releases, revision := s.history.served(instanceOf(r), env.Contains), s.history.revision
	s.mu.Unlock()
	if releases == nil {
		releases = []*client.Release{}
	}
	token := s.revisionToken(revision)
	w.Header().Set("Setpoint-Revision", string(token))
	return answer(w, map[string]any{"env": env, "revision": token, "configs": releases})
}

// watch streams events until the client goes or the server ends.
func (s *Server) watch(w http.ResponseWriter, r *http.Request) error {
	selects, err := selection(r.URL.Query())
	if err != nil {
		return err
	}
	after := r.Header.Get("Last-Event-ID")
	if after == "" {
		after = r.URL.Query().Get("after")
	}
	told, err := s.parseToken(after)
	if err != nil {
		return err
	}
	out := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for first := true; ; first = false {
		s.gate.check()
		s.mu.Lock()
		changes, revision, changed := s.history.since(told, instanceOf(r), selects), s.history.revision, s.changed
		s.mu.Unlock()
		token := s.revisionToken(revision)
		if reset := first && told == 0; reset || len(changes) > 0 {
			event(w, "changes", token, map[string]any{"revision": token, "reset": reset, "changes": wanted(r, changes)})
		}
		if told = revision; first {
			event(w, "current", token, map[string]any{"revision": token})
		}
		if out.Flush() != nil {
			return nil
		}
		select {
		case <-changed:
		case <-beat.C:
			fmt.Fprint(w, ": heartbeat\n\n")
		case <-r.Context().Done():
			return nil
		case <-s.done:
			return nil
		}
	}
}

func event(w io.Writer, name string, id config.Token, data any) {
	text, err := json.Marshal(data)
	if err != nil {
		return // nothing in it can fail
	}
	fmt.Fprintf(w, "event: %s\nid: %s\ndata: %s\n\n", name, id, text)
}

// wanted leaves the contents out if the request says so.
func wanted(r *http.Request, changes []client.Change) []client.Change {
	if r.URL.Query().Get("content") == "false" {
		for i := range changes {
			changes[i].Content = nil
		}
	}
	return changes
}

// selection is what the patterns of a watch select.
func selection(q url.Values) (func(config.Path) bool, error) {
	var patterns []config.Pattern
	for _, text := range q["path"] {
		p, err := config.ParsePattern(text)
		if err != nil {
			return nil, err
		}
		patterns = append(patterns, p)
	}
	if len(patterns) == 0 {
		return nil, config.Errorf(config.Invalid, "", "", "name a path to watch, each with its own path=")
	}
	return func(p config.Path) bool {
		return slices.ContainsFunc(patterns, func(pattern config.Pattern) bool { return pattern.Match(p) })
	}, nil
}

// report takes in what an instance says: all of it or nothing.
func (s *Server) report(w http.ResponseWriter, r *http.Request) error {
	instance := instanceOf(r)
	if instance == "" {
		return config.Errorf(config.Invalid, "", "", "an instance that reports says which it is")
	}
	var in struct {
		Reports []Report `json:"reports"`
	}
	decoder := json.NewDecoder(io.LimitReader(r.Body, maxBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&in); err != nil {
		return config.Errorf(config.Invalid, "", "", "%w", err)
	}
	if n := len(in.Reports); n == 0 || n > maxReports {
		return config.Errorf(config.Invalid, "", "", "report 1 to %d configs at once; got %d", maxReports, n)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range in.Reports {
		if err := s.history.reportable(in.Reports[i]); err != nil {
			return config.Errorf(config.Invalid, "", in.Reports[i].Path, "%w", err)
		}
		in.Reports[i].Instance, in.Reports[i].Labels = instance, labelsOf(r)
	}
	s.reports = append(s.reports, in.Reports...)
	s.tell()
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h *history) reportable(r Report) error {
	p, err := config.ParsePath(r.Path)
	switch {
	case err != nil:
		return err
	case r.State != config.AckApplied && r.State != config.AckRefused:
		return fmt.Errorf("the state is %q; want applied or refused", r.State)
	case h.latest[p] == 0:
		return errors.New("there is no such config to report of")
	case r.Version < 1 || r.Version > h.latest[p]:
		return fmt.Errorf("there is no version %d to report of", r.Version)
	}
	return nil
}

func labelsOf(r *http.Request) map[string]string {
	labels := map[string]string{}
	for pair := range strings.SplitSeq(asking(r, "labels", "Setpoint-Labels"), ",") {
		if key, value, ok := strings.Cut(pair, "="); ok {
			labels[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	return labels
}
