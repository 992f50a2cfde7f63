package rest

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/fragment"
	"github.com/setpointhq/setpoint/protocol/internal/line"
)

const watchDescription = "With `Accept: text/event-stream` a stream of Server-Sent Events: `changes` with everything that changed for " +
	"this client since the last one, grouped by revision; `current` once after the snapshot or after resuming, when there is nothing more to " +
	"catch up with; `stale` when this node is cut off from the others, with for how many seconds, and with 0 when it no longer is; `bye` when the server shuts down; `error` with a problem, after which the stream ends. Every event's id is a token to resume from, on " +
	"any node, which browsers send as Last-Event-ID. A slow client gets the latest state of each config, not every one in between.\n\n" +
	"Otherwise a long poll: answers as soon as there is something after `after`, or 304 when `wait` is over. Without `after` it answers at " +
	"once with a snapshot."

// defaultWait is how long a poll waits that does not say.
const defaultWait = 30 * time.Second

// watchPath is where watches begin.
const watchPath = "/v1/watch"

func (a *api) watch(w http.ResponseWriter, r *http.Request) error {
	opened := time.Now()
	q, err := query(r, "path", "after", "content", "wait", "instance", "labels", "slot")
	if err != nil {
		return err
	}
	request, sort, err := a.watchRequest(r, q)
	if err != nil {
		return err
	}
	wait, err := a.wait(q)
	if err != nil {
		return err
	}
	s := stream{api: a, ctx: r.Context(), sort: sort}
	if err := s.identify(r); err != nil {
		return err
	}
	if err := a.enter(); err != nil {
		return err
	}
	streaming := strings.Contains(r.Header.Get("Accept"), "text/event-stream")
	if streaming && r.Method == http.MethodGet && line.Able(w, r) {
		if err = a.park(w, r, s, request); err == nil {
			a.observe("config.watch", ok, opened)
		}
		return err
	}
	defer a.leave()
	h := &held{stream: s, w: w, r: r, wake: make(chan struct{}, 1), control: http.NewResponseController(w)}
	h.carrier = h
	h.watch, err = a.center.Watch(r.Context(), request, h.notify)
	if err != nil {
		return err
	}
	defer h.watch.Close()
	a.observe("config.watch", ok, opened) // how long it lasts says nothing of how quick the server is
	// The deadlines that the server sets are for requests that end.
	_ = h.control.SetReadDeadline(time.Time{})
	_ = h.control.SetWriteDeadline(time.Time{})
	if streaming {
		return h.serve()
	}
	return h.poll(wait)
}

// watchRequest reads what is to be watched, from where on, and whether the
// content is wanted.
func (a *api) watchRequest(r *http.Request, q url.Values) (center.WatchRequest, fragment.Sort, error) {
	client, err := a.clientOf(r, q)
	if err != nil {
		return center.WatchRequest{}, 0, err
	}
	request := center.WatchRequest{Patterns: q["path"], Client: client, After: config.Token(q.Get("after")), Protocol: Name}
	// A browser that reconnects repeats the address, with the after of old.
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		request.After = config.Token(last)
	}
	if n := len(request.Patterns); n == 0 || n > a.settings.MaxPatterns {
		return request, 0, malformed("query.path", "name 1 to "+strconv.Itoa(a.settings.MaxPatterns)+" paths to watch, each with its own path=")
	}
	sort := fragment.ChangeContent
	if text := q.Get("content"); text != "" {
		wanted, err := strconv.ParseBool(text)
		if err != nil {
			return request, 0, malformed("query.content", "want true or false")
		}
		if !wanted {
			sort = fragment.ChangeOnly
		}
	}
	return request, sort, nil
}

func (a *api) wait(q url.Values) (time.Duration, error) {
	text := q.Get("wait")
	if text == "" {
		return min(defaultWait, a.settings.MaxWait), nil
	}
	wait, err := time.ParseDuration(text)
	if err != nil || wait < 0 {
		return 0, malformed("query.wait", `want a time span like "30s"`)
	}
	return min(wait, a.settings.MaxWait), nil
}

// enter takes one of the places that there are for watches.
func (a *api) enter() error {
	a.gate.Lock()
	defer a.gate.Unlock()
	select {
	case <-a.ending:
		return config.Errorf(config.Unavailable, "config.watch", "", "this node is shutting down; try another")
	default:
	}
	if a.watching >= a.settings.MaxWatchers {
		return config.Errorf(config.Unavailable, "config.watch", "", "this node has %d watches open, which is the most (max_watchers); try another", a.watching)
	}
	a.watching++
	a.watchers.Add(1)
	a.observer.ObserveStreams(Name, 1)
	return nil
}

func (a *api) leave() {
	a.gate.Lock()
	a.watching--
	a.gate.Unlock()
	a.observer.ObserveStreams(Name, -1)
	a.watchers.Done()
}

// poll answers with the first delivery, or 304 when time is up.
func (s *held) poll(wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		d, more, err := s.watch.Next()
		switch {
		case err != nil:
			return err
		case more && (d.Reset || len(d.Changes) > 0):
			return s.answer(&d)
		}
		select {
		case <-s.wake:
			continue
		case <-timer.C:
		case <-s.api.ending:
		case <-s.r.Context().Done():
			return nil // the client is gone
		}
		s.api.markStale(s.w.Header())
		s.w.Header().Set("Setpoint-Revision", string(s.watch.Revision()))
		s.w.WriteHeader(http.StatusNotModified)
		return nil
	}
}

// answer writes a poll's answer.
func (s *held) answer(d *center.Delivery) error {
	h := s.w.Header()
	s.api.markStale(h)
	h["Content-Type"] = jsonHeaders
	h.Set("Setpoint-Revision", string(d.Revision))
	if s.r.Method == http.MethodHead {
		return nil
	}
	out := s.output()
	defer out.release()
	if err := s.delivery(out, d, `,"current":true`); err != nil {
		s.abort(err)
	}
	out.Text("\n")
	out.flush()
	return nil
}

// abort ends an answer that cannot be completed, so that the client sees it.
func (s *held) abort(err error) {
	s.api.log.ErrorContext(s.r.Context(), "answer cut short", "error", err)
	panic(http.ErrAbortHandler)
}

// watchAnswer describes what delivery writes.
type watchAnswer struct {
	Revision config.Token    `json:"revision" doc:"where to go on: send it as after"`
	Reset    bool            `json:"reset" doc:"this is a snapshot: forget what is not in it"`
	Current  bool            `json:"current,omitempty" doc:"of a poll: there is nothing more to catch up with"`
	Changes  []watchedChange `json:"changes"`
}

// watchedChange is what a watcher is told of one config.
type watchedChange fragment.Change

func describeWatch(registry huma.Registry, op *huma.Operation) {
	explode := true
	op.Parameters = append([]*huma.Param{
		{Name: "path", In: "query", Required: true, Explode: &explode, Description: "a config, an env, or a pattern with *; may be repeated",
			Schema: &huma.Schema{Type: huma.TypeArray, Items: text()}, Example: []string{"acme/checkout/prod"}},
		queryParam("after", "a token to resume from", text()),
		headerParam("Last-Event-ID", "the same, before after"),
		queryParam("content", "false leaves the contents out", boolean()),
		queryParam("wait", "how long a poll waits, 30s if left out", text()),
	}, clientParams()...)
	content := jsonBody[watchAnswer](registry, nil)
	content["text/event-stream"] = &huma.MediaType{Schema: text(), Example: "retry: 1402\n\n" +
		"event: changes\nid: 2s.k3j9\ndata: {\"revision\":\"2s.k3j9\",\"reset\":true,\"changes\":[{\"path\":\"acme/checkout/prod/application.yaml\",\"version\":3}]}\n\n" +
		"event: current\nid: 2s.k3j9\ndata: {\"revision\":\"2s.k3j9\"}\n\n"}
	op.Responses["200"] = &huma.Response{Description: "A stream, or a poll's answer.", Content: content,
		Headers: headers("Setpoint-Revision", "of a poll: where to go on", staleHeader, staleMeaning)}
	op.Responses["304"] = &huma.Response{Description: "A poll's time is up, and nothing happened.",
		Headers: headers("Setpoint-Revision", "where to go on", staleHeader, staleMeaning)}
}
