package graphql

import (
	"context"
	"errors"
	"slices"

	gql "github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/problem"
)

// errPanic is what a client learns of a defect: nothing.
var errPanic = &config.Error{Kind: config.Internal, Err: errors.New("a defect: a resolver panicked")}

// present renders the error of a field, and notes in the log what the client is not
// told.
func (a *api) present(ctx context.Context, err error) *gqlerror.Error {
	requestID := auth.RequestFrom(ctx).ID
	var placed *gqlerror.Error
	if !errors.As(err, &placed) {
		placed = gqlerror.WrapPath(gql.GetPath(ctx), err)
	}
	out := render(err, requestID)
	out.Path, out.Locations = placed.Path, placed.Locations
	if field := gql.GetFieldContext(ctx); field != nil {
		// The library puts the place in the arguments behind that in the answer.
		if at := field.Path(); len(out.Path) > len(at) && slices.Equal(at, out.Path[:len(at)]) {
			within(out, out.Path[len(at):])
			out.Path = at
		}
	}
	if config.KindOf(err) == config.Internal {
		a.log.ErrorContext(ctx, "operation failed", "request_id", requestID, "path", out.Path.String(), "error", err)
	}
	return out
}

// within says where in the arguments something is wrong.
func within(e *gqlerror.Error, at ast.Path) {
	where := at.String()
	if _, told := e.Extensions["problems"]; !told {
		e.Extensions["problems"] = []config.Problem{{Path: where, Severity: config.SeverityError, Message: e.Message}}
	}
	e.Message = where + ": " + e.Message
}

// render renders an error without its place in the operation. It never carries the
// cause of an Internal one. How a kind looks is in the table of package problem,
// which is that of all protocols that HTTP bears.
func render(err error, requestID string) *gqlerror.Error {
	p := problem.New(err, requestID)
	extensions := map[string]any{"code": p.Code}
	if p.Op != "" {
		extensions["op"] = p.Op
	}
	if p.Path != "" {
		extensions["path"] = p.Path
	}
	if p.CurrentVersion > 0 {
		extensions["currentVersion"] = p.CurrentVersion
	}
	if len(p.Problems) > 0 {
		extensions["problems"] = p.Problems
	}
	if wait := problem.RetryAfter(err); wait > 0 {
		extensions["retryAfterMs"] = wait.Milliseconds()
	}
	if requestID != "" {
		extensions["requestId"] = requestID
	}
	// Err is what measurements look at. It is not part of the answer.
	return &gqlerror.Error{Err: config.AsError(err), Message: p.Detail, Extensions: extensions}
}

// refusals renders the error of a whole request: of a document, everything that is
// wrong with it, each where it is.
func refusals(err error, requestID string) gqlerror.List {
	var several *refusal
	if !errors.As(err, &several) {
		list := gqlerror.List{render(err, requestID)}
		var unknown *unknownQueryError
		if errors.As(err, &unknown) {
			unknown.native(list[0])
		}
		return list
	}
	list := make(gqlerror.List, len(several.list))
	for i, found := range several.list {
		list[i] = render(several, requestID)
		list[i].Message = problem.ClipTo(found.Message, problem.LongestDetail)
		list[i].Locations = found.Locations
		if len(found.Path) > 0 { // of variables: "variable.input.items[0].path"
			within(list[i], append(ast.Path{ast.PathName("variables")}, found.Path[1:]...))
		}
	}
	return list
}

// refuse is the answer to a request that cannot be done at all, and notes in the log
// what the client is not told.
func (a *api) refuse(ctx context.Context, err error) *gql.Response {
	requestID := auth.RequestFrom(ctx).ID
	if config.KindOf(err) == config.Internal {
		a.log.ErrorContext(ctx, "request failed", "request_id", requestID, "error", err)
	} else {
		a.log.DebugContext(ctx, "request refused", "request_id", requestID, "error", problem.ClipTo(err.Error(), problem.LongestDetail))
	}
	return &gql.Response{Errors: refusals(err, requestID)}
}
