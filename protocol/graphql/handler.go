package graphql

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	gql "github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/protocol/internal/caller"
	"github.com/setpointhq/setpoint/protocol/internal/problem"
	"github.com/setpointhq/setpoint/protocol/internal/socket"
	"github.com/setpointhq/setpoint/protocol/internal/strictjson"
)

// ServeHTTP implements http.Handler: what every request to /graphql goes through.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := protocol.RequestID(r)
	h := w.Header()
	h["X-Request-Id"] = id
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	request := auth.Request{ID: id[0], Address: a.proxies.Address(r), Agent: r.UserAgent()}
	r = r.WithContext(auth.WithRequest(r.Context(), request))
	defer a.rescue(w, r)
	switch {
	case socket.Asked(r):
		a.transport.connect(w, r)
		return
	case wantsEvents(r):
		a.transport.serveEvents(w, r)
		return
	}
	if a.playground != nil && wantsPage(r) {
		a.playground.page(w, r)
		return
	}
	a.serve(w, r)
}

// rescue ends a request whose handler panicked: with an answer if nothing was sent
// yet, else by cutting the connection.
func (a *api) rescue(w http.ResponseWriter, r *http.Request) {
	cause := recover()
	if cause == nil {
		return
	}
	if err, isError := cause.(error); isError && errors.Is(err, http.ErrAbortHandler) {
		panic(cause)
	}
	a.log.ErrorContext(r.Context(), "handler panicked", "request_id", auth.RequestFrom(r.Context()).ID,
		"panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
	if w.Header().Get("Content-Type") != "" {
		panic(http.ErrAbortHandler)
	}
	a.write(w, r, http.StatusInternalServerError, a.refuse(r.Context(), errPanic))
}

// serve answers a request that asks for an operation.
func (a *api) serve(w http.ResponseWriter, r *http.Request) {
	started := time.Now()
	ctx, cancel := context.WithTimeout(r.Context(), a.settings.Timeout)
	defer cancel()
	ctx, o, err := a.ask(ctx, w, r)
	if err == nil && o.isSubscription() {
		err = config.Errorf(config.Unsupported, "", "", "a subscription is asked for over WebSocket (graphql-transport-ws), or with Accept: text/event-stream")
	}
	if err != nil {
		a.observe("-", err, started)
		a.fail(w, r, err)
		return
	}
	a.write(w, r, http.StatusOK, a.execute(ctx, o))
}

// ask finds out who asks for what.
func (a *api) ask(ctx context.Context, w http.ResponseWriter, r *http.Request) (context.Context, *operation, error) {
	ctx, err := a.admit(ctx, r)
	if err != nil {
		return ctx, nil, err
	}
	asked, err := a.readRequest(w, r.WithContext(ctx))
	if err != nil {
		return ctx, nil, err
	}
	o, err := a.prepare(ctx, asked)
	switch {
	case auth.FromContext(ctx).Anonymous() && (err != nil || !o.isLogin()):
		err = errNobody() // who is nobody does not learn what is wrong either
	case err != nil:
	case r.Method != http.MethodPost && o.isMutation():
		err = &statusError{
			err:    config.Errorf(config.Invalid, "", "", "a mutation is asked for by POST"),
			status: http.StatusMethodNotAllowed, allow: http.MethodPost,
		}
	}
	return ctx, o, err
}

// admit lets a request in that no other web site sent by way of a browser, and puts
// who sent it into the context, with what it says of itself. Who sends nothing that
// proves who it is is nobody, who can log in and nothing else.
func (a *api) admit(ctx context.Context, r *http.Request) (context.Context, error) {
	if err := a.origin.Check(r); err != nil {
		return ctx, config.Errorf(config.Denied, "", "", "the request comes from another web site")
	}
	given, err := caller.Credentials(r, auth.RequestFrom(ctx).Address)
	if err != nil {
		return ctx, err
	}
	ctx, err = a.claimed(ctx, r)
	if err != nil || given.Empty() && r.Method == http.MethodPost {
		return ctx, err
	}
	known, err := a.identified(ctx, given)
	if !given.Said() && r.Method == http.MethodPost && config.KindOf(err) == config.Unauthenticated {
		return ctx, nil // a certificate that proves nobody keeps nobody from logging in
	}
	return known, err
}

// identified proves who is calling.
func (a *api) identified(ctx context.Context, given auth.Credentials) (context.Context, error) {
	identity, err := a.auth.Authenticate(ctx, given)
	if err != nil {
		a.noteFailure(ctx, given.Username, err)
		return ctx, err
	}
	return auth.WithIdentity(ctx, identity), nil
}

// noteFailure has it recorded that someone claimed to be who it could not prove to be.
func (a *api) noteFailure(ctx context.Context, name string, err error) {
	if kind := config.KindOf(err); name != "" && (kind == config.Unauthenticated || kind == config.Throttled) {
		a.center.LoginFailed(ctx, name)
	}
}

// errNobody is the error of a request without credentials that wants more than to
// log in.
func errNobody() error {
	return config.Errorf(config.Unauthenticated, "authenticate", "", "send an Authorization header: Bearer with a token, or Basic with name and password; the mutation login, alone, needs none")
}

type clientKey struct{}

// claimed puts what the client says of itself into the context.
func (a *api) claimed(ctx context.Context, r *http.Request) (context.Context, error) {
	c, err := caller.Claim(r.URL.Query(), r.Header)
	if err != nil {
		return ctx, err
	}
	c.Address = auth.RequestFrom(ctx).Address
	return withClient(ctx, c), nil
}

// withClient puts who the client says that it is into the context.
func withClient(ctx context.Context, c config.Client) context.Context {
	return context.WithValue(ctx, clientKey{}, c)
}

// clientOf returns who the client says that it is.
func clientOf(ctx context.Context) config.Client {
	c, _ := ctx.Value(clientKey{}).(config.Client)
	return c
}

// fail answers a request that cannot be done at all.
func (a *api) fail(w http.ResponseWriter, r *http.Request, err error) {
	h := w.Header()
	var status *statusError
	if errors.As(err, &status) && status.allow != "" {
		h.Set("Allow", status.allow)
	}
	kind := config.KindOf(err)
	if kind == config.Unauthenticated {
		h["Www-Authenticate"] = []string{`Basic realm="setpoint", charset="UTF-8"`, `Bearer realm="setpoint"`}
	}
	if wait := problem.RetryAfter(err); wait > 0 {
		h.Set("Retry-After", strconv.Itoa(int(wait.Seconds())))
	}
	a.write(w, r, statusOf(r, err), a.refuse(r.Context(), err))
}

// write answers in the form that the client likes best.
func (a *api) write(w http.ResponseWriter, r *http.Request, status int, response *gql.Response) {
	body := encodeAnswer(response)
	h := w.Header()
	h.Set("Content-Type", answerType(r)+"; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) //nolint:gosec // it is JSON and says so; a client that is gone needs no answer
}

// encodeAnswer writes an answer down. One to a request that could not be done at all has no
// data, not even null.
func encodeAnswer(r *gql.Response) []byte {
	return strictjson.Encode(struct {
		Data   json.RawMessage `json:"data,omitempty"`
		Errors gqlerror.List   `json:"errors,omitempty"`
	}{r.Data, r.Errors})
}

// statusError is an error with a status that its kind does not tell.
type statusError struct {
	err    *config.Error
	status int
	allow  string // for the Allow header
}

// Error implements error.
func (e *statusError) Error() string { return e.err.Error() }

// Unwrap makes it one of the kinds.
func (e *statusError) Unwrap() error { return e.err }

// statusOf is the HTTP status of a request that cannot be done at all. To clients
// that take the answer for plain JSON, what is wrong with the operation is told with
// 200: they take anything else for an error of something on the way.
func statusOf(r *http.Request, err error) int {
	var status *statusError
	var unknown *unknownQueryError
	var malformed *refusal
	switch {
	case errors.As(err, &status):
		return status.status
	case errors.As(err, &unknown):
		return http.StatusOK // clients of Apollo's want it so
	case errors.As(err, &malformed) && answerType(r) == jsonType:
		return http.StatusOK
	case config.KindOf(err) == config.Invalid:
		return http.StatusBadRequest
	}
	return problem.Status(err)
}
