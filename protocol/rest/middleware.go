package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/protocol/internal/caller"
)

// ok is the code of requests that succeeded, in measurements.
const ok = "ok"

// The security headers. Nothing here is a page, so a browser that is made to
// show an answer may do nothing with it.
var (
	noSniffHeaders    = []string{"nosniff"}
	noReferrerHeaders = []string{"no-referrer"}
	noFramesHeaders   = []string{"default-src 'none'; sandbox"}
	noStoreHeaders    = []string{"no-store"}
)

// ServeHTTP implements http.Handler: what every request below /v1 goes through.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	started := time.Now()
	id := protocol.RequestID(r)
	h := w.Header()
	h["X-Request-Id"] = id
	h["X-Content-Type-Options"] = noSniffHeaders
	h["Cache-Control"] = noStoreHeaders

	request := auth.Request{ID: id[0], Address: a.address(r), Agent: r.UserAgent()}
	ctx := auth.WithRequest(r.Context(), request)
	defer a.recovered(w, r, request.ID)
	ctx, err := a.admit(ctx, r, request.Address)
	r = r.WithContext(ctx)
	if err != nil {
		a.fail(w, r, err)
		a.observe("-", config.KindOf(err).String(), started)
		return
	}
	a.markStale(h)
	a.mux.ServeHTTP(w, r)
}

// admit lets a request in whose path is sane, that no other web site sent by
// way of a browser, and whose sender is known. Nothing is looked up before.
func (a *api) admit(ctx context.Context, r *http.Request, address string) (context.Context, error) {
	if err := guardPath(r); err != nil {
		return ctx, err
	}
	if err := a.origin.Check(r); err != nil {
		return ctx, config.Errorf(config.Denied, "", "", "the request comes from another web site")
	}
	if a.public[r.URL.Path] == r.Method {
		return ctx, nil
	}
	given, err := caller.Credentials(r, address)
	if err != nil {
		return ctx, err
	}
	identity, err := a.auth.Authenticate(ctx, given)
	if err != nil {
		a.noteFailure(ctx, given.Username, err)
		return ctx, err
	}
	return auth.WithIdentity(ctx, identity), nil
}

// recovered ends a request whose handler panicked: with an answer if nothing
// was sent yet, else by cutting the connection, so that no client takes half an
// answer for a whole one.
func (a *api) recovered(w http.ResponseWriter, r *http.Request, id string) {
	cause := recover()
	if cause == nil {
		return
	}
	if err, isError := cause.(error); isError && errors.Is(err, http.ErrAbortHandler) {
		panic(cause)
	}
	a.log.ErrorContext(r.Context(), "handler panicked", "request_id", id, "method", r.Method,
		"path", r.URL.Path, "panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
	if w.Header().Get("Content-Type") != "" {
		panic(http.ErrAbortHandler)
	}
	a.fail(w, r, &config.Error{Kind: config.Internal})
}

// bounded limits the body of a request in size, time and type before anything
// reads it.
func (a *api) bounded(w http.ResponseWriter, r *http.Request, kind bodyKind) error {
	if kind == noBody {
		return nil
	}
	limit := a.maxBody(kind)
	if r.ContentLength > limit {
		return errTooLarge(limit)
	}
	if kind != archiveBody && kind != tenantBody {
		if err := wantJSON(r.Header.Get("Content-Type")); err != nil {
			return err
		}
	}
	r.Body = readable{http.MaxBytesReader(w, r.Body, limit)}
	err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(a.settings.BodyTimeout))
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		return config.Errorf(config.Canceled, "", "", "the connection is gone")
	}
	return nil
}

// arrived lifts the deadline that bounded has set.
func arrived(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // a connection that is gone needs no deadline
}

func errTooLarge(limit int64) error {
	return config.Errorf(config.TooLarge, "", "", "the request's body is larger than the %d bytes that may be sent here", limit)
}

// wantJSON refuses a body that says it is something else.
func wantJSON(contentType string) error {
	media, _, _ := strings.Cut(contentType, ";")
	media = strings.TrimSpace(media)
	if media == "" || strings.EqualFold(media, "application/json") {
		return nil
	}
	return refuse(http.StatusUnsupportedMediaType, errors.New("the body must be application/json"))
}

// fallback answers requests that no route takes. It is reached only by those
// who proved an identity, so it may say what there is.
func (a *api) fallback(w http.ResponseWriter, r *http.Request) {
	started := time.Now()
	var methods []string
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		probe := &http.Request{Method: method, URL: r.URL, Host: r.Host}
		if _, pattern := a.mux.Handler(probe); pattern != "/" {
			methods = append(methods, method)
		}
	}
	err := error(config.Errorf(config.NotFound, "", "", "there is no such resource; /openapi.json describes what there is"))
	if len(methods) > 0 {
		allow := strings.Join(methods, ", ")
		err = &statusError{
			err:    errMethod(r.Method, allow),
			status: http.StatusMethodNotAllowed, allow: allow,
		}
	}
	a.fail(w, r, err)
	a.observe("-", config.KindOf(err).String(), started)
}

func errMethod(method, allow string) *config.Error {
	return config.Errorf(config.Invalid, "", "", "%s is not possible here; %s is", method, allow)
}
