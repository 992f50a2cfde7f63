package rest

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/problem"
	"github.com/setpointhq/setpoint/protocol/internal/strictjson"
)

// mount registers every route, and builds the description of them.
func (a *api) mount() {
	installErrorModel()
	a.mux, a.public = http.NewServeMux(), map[string]string{}
	into := &registrar{api: a}
	described := humago.New(into, describedConfig())
	a.spec = described.OpenAPI()
	for _, route := range Routes() {
		into.route = route
		op := route.operation()
		if route.register != nil {
			op.BodyReadTimeout = a.settings.BodyTimeout
			route.register(a, described, op)
		} else {
			a.mux.HandleFunc(route.Method+" "+route.Pattern, a.direct(route))
			route.describe(a.spec.Components.Schemas, &op)
			a.spec.AddOperation(&op)
		}
		if route.Public {
			a.public[route.Pattern] = route.Method
		}
	}
	a.mux.HandleFunc("/", a.fallback)
}

// registrar is the mux that huma sees: it puts our own wrapping around each
// handler.
type registrar struct {
	*http.ServeMux // never called: huma only needs it to be there
	api            *api
	route          Route
}

// HandleFunc implements humago.Mux.
func (g *registrar) HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request)) {
	g.api.mux.HandleFunc(pattern, g.api.controlled(g.route, handler))
}

// direct wraps a handler written on net/http.
func (a *api) direct(route Route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		started := time.Now()
		err := a.bounded(w, r, route.body)
		if err == nil {
			err = route.serve(a, w, r)
		}
		code := ok
		if err != nil {
			code = config.KindOf(err).String()
			a.fail(w, r, err)
		}
		if err != nil || !route.lasting {
			a.observe(route.Op, code, started)
		}
	}
}

// controlled wraps a handler that huma made.
func (a *api) controlled(route Route, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		started := time.Now()
		c := &controlWriter{ResponseWriter: w, api: a, request: r, code: ok}
		if err := a.bounded(w, r, route.body); err != nil {
			c.code = config.KindOf(err).String()
			a.fail(w, r, err)
		} else {
			next(c, r)
		}
		a.observe(route.Op, c.code, started)
	}
}

// controlWriter carries what huma's hooks cannot: whose request it is, and how
// it ended.
type controlWriter struct {
	http.ResponseWriter
	api     *api
	request *http.Request
	code    string
}

// Unwrap lets http.ResponseController reach the connection.
func (c *controlWriter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// fail notes the error and renders it.
func (c *controlWriter) fail(err error) *problemDetails {
	c.code = config.KindOf(err).String()
	p := c.api.report(c.Header(), c.request, err)
	return &p
}

// installErrorModel makes huma render its own errors, and ours, as problems. The
// library keeps these hooks in package variables; they are set once, to
// functions without state.
//
//nolint:gochecknoglobals // stands for the library's own, which are set through it
var installErrorModel = sync.OnceFunc(func() {
	huma.DefaultArrayNullable = false
	huma.ValidateStrictCasing = true
	huma.NewError = func(status int, message string, _ ...error) huma.StatusError {
		return &problemDetails{Status: status, Detail: message}
	}
	huma.NewErrorWithContext = func(ctx huma.Context, status int, message string, errs ...error) huma.StatusError {
		_, w := humago.Unwrap(ctx)
		if c, ours := w.(*controlWriter); ours {
			return c.fail(humaError(status, message, errs))
		}
		return huma.NewError(status, message, errs...)
	}
})

// The bounds of what an answer says about a request that is wrong, whose sender
// chose most of the words.
const (
	mostFindings = 20
)

// humaError turns what huma reports into one of our errors.
func humaError(status int, message string, errs []error) error {
	for _, err := range errs {
		if err := bodyError(err); err != nil {
			return err
		}
	}
	switch status {
	case http.StatusRequestTimeout:
		return errSlowBody()
	case http.StatusInternalServerError:
		return &config.Error{Kind: config.Internal, Err: errors.Join(errs...)}
	}
	e := &config.Error{Kind: config.Invalid, Err: errors.New(problem.ClipTo(message, strictjson.LongestText))}
	for _, err := range errs[:min(len(errs), mostFindings)] {
		p := config.Problem{Severity: config.SeverityError, Message: err.Error()}
		if d, isDetail := err.(huma.ErrorDetailer); isDetail {
			// The value is left out: it may be a password.
			detail := d.ErrorDetail()
			p.Path, p.Message = detail.Location, detail.Message
		}
		p.Path, p.Message = problem.ClipTo(p.Path, strictjson.LongestText), problem.ClipTo(p.Message, strictjson.LongestText)
		e.Problems = append(e.Problems, p)
	}
	if len(e.Problems) > 0 {
		e.Err = errors.New(e.Problems[0].String())
	}
	return &statusError{err: e, status: http.StatusBadRequest}
}

// bodyError recognises what can go wrong while a handler runs or a body is
// read; nil if err is nothing of the kind.
func bodyError(err error) error {
	var (
		known    *config.Error
		tooLarge *http.MaxBytesError
		slow     net.Error
	)
	switch {
	case errors.As(err, &known):
		return err
	case errors.As(err, &tooLarge):
		return errTooLarge(tooLarge.Limit)
	case errors.As(err, &slow) && slow.Timeout():
		return errSlowBody()
	case errors.Is(err, io.ErrUnexpectedEOF):
		return config.Errorf(config.Canceled, "", "", "the body ended before its announced length")
	}
	return nil
}

func errSlowBody() error {
	return &statusError{
		err:    config.Errorf(config.Timeout, "", "", "the request's body did not arrive in time"),
		status: http.StatusRequestTimeout,
	}
}
