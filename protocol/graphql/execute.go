package graphql

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	gql "github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/graphql/internal/model"
)

// request is what a client asks for, as it is in the body of a POST, the query of a
// GET or a message.
type request struct {
	Query         string         `json:"query"`
	OperationName string         `json:"operationName"`
	Variables     map[string]any `json:"variables"`
	Extensions    extensions     `json:"extensions"`
}

// extensions are those that are understood; others are passed over.
type extensions struct {
	Persisted *persistedQuery `json:"persistedQuery"`
}

// operation is a request that was read, found to be valid, and within the limits. It
// may be executed any number of times, by several goroutines at once.
type operation struct {
	document   *document
	definition *ast.OperationDefinition
	variables  map[string]any
}

// isSubscription reports whether the operation is one.
func (o *operation) isSubscription() bool { return o.definition.Operation == ast.Subscription }

// isMutation reports whether the operation is one.
func (o *operation) isMutation() bool { return o.definition.Operation == ast.Mutation }

// prepare reads a request, finds out whether it is valid, and holds it against the
// limits. The error is a *config.Error, or a refusal that holds several.
func (a *api) prepare(ctx context.Context, r *request) (*operation, error) {
	doc, err := a.document(ctx, r)
	if err != nil {
		return nil, err
	}
	definition := doc.parsed.Operations.ForName(r.OperationName)
	switch {
	case definition != nil:
	case r.OperationName == "":
		return nil, config.Errorf(config.Invalid, "", "", "the document has several operations; say by operationName which one")
	default:
		return nil, config.Errorf(config.Invalid, "", "", "the document has no operation of the name that operationName says")
	}
	variables, err := a.variables(definition, r.Variables)
	if err != nil {
		return nil, err
	}
	o := &operation{document: doc, definition: definition, variables: variables}
	return o, a.check(o)
}

// watchArguments are those of the field watch.
type watchArguments struct {
	patterns []string
	after    config.Token
	content  bool
}

// watch returns the arguments of a subscription.
func (o *operation) watch() (w watchArguments, err error) {
	field := o.rootField()
	if field == nil {
		return w, config.Errorf(config.Invalid, "", "", "a subscription has one field, which must not be left out by @skip or @include")
	}
	arguments := field.ArgumentMap(o.variables)
	for _, p := range gql.CoerceList(arguments["paths"]) { // what is no list is a list of one
		text, is := p.(string)
		if !is {
			return w, config.Errorf(config.Invalid, "", "", "paths: want a list of texts")
		}
		w.patterns = append(w.patterns, text)
	}
	after, _ := arguments["after"].(string)
	w.after, w.content = config.Token(after), arguments["content"] != false
	return w, nil
}

// rootField returns the only field of an operation; nil if it has none or several.
func (o *operation) rootField() *ast.Field {
	fields := gql.CollectFields(o.context(), o.definition.SelectionSet, []string{"Subscription", "Mutation", "Query"})
	if len(fields) != 1 {
		return nil
	}
	return fields[0].Field
}

// context makes what the library wants to know of one execution.
func (o *operation) context() *gql.OperationContext {
	return &gql.OperationContext{
		RawQuery: o.document.text, Variables: o.variables, OperationName: o.definition.Name,
		Doc: o.document.parsed, Operation: o.definition,
	}
}

// execute does what an operation asks for. What went wrong is in the answer. A
// subscription is rendered: its context has the event.
func (a *api) execute(ctx context.Context, o *operation) *gql.Response {
	execution := o.context()
	execution.RecoverFunc = a.recovered
	execution.ResolverMiddleware = func(ctx context.Context, next gql.Resolver) (any, error) { return next(ctx) }
	execution.RootResolverMiddleware = a.measured
	ctx = gql.WithOperationContext(ctx, execution)
	if !o.isSubscription() { // what is rendered for subscribers is sent in pieces
		ctx = model.WithBudget(ctx, int64(a.settings.MaxAnswer))
	}
	ctx = gql.WithResponseContext(ctx, a.present, a.recovered)
	answer := a.schema.Exec(ctx)
	if errs := gql.GetErrors(ctx); errs != nil {
		return &gql.Response{Errors: errs}
	}
	response := answer(ctx)
	if response == nil {
		response = &gql.Response{}
	}
	response.Errors = append(response.Errors, gql.GetErrors(ctx)...)
	return response
}

// measured measures each field of an operation's first level.
func (a *api) measured(ctx context.Context, next gql.RootResolver) gql.Marshaler {
	started := time.Now()
	answer := next(ctx)
	root := gql.GetRootFieldContext(ctx)
	var failed error
	for _, e := range gql.GetErrors(ctx) {
		if len(e.Path) > 0 && e.Path[0] == ast.PathName(root.Field.Alias) {
			failed = e
			break
		}
	}
	a.observe(root.Field.ObjectDefinition.Name+"."+root.Field.Name, failed, started)
	return answer
}

// recovered takes a panic for a defect in that field alone.
func (a *api) recovered(ctx context.Context, cause any) error {
	a.log.ErrorContext(ctx, "resolver panicked", "request_id", auth.RequestFrom(ctx).ID,
		"panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
	return errPanic
}

// watchEvent is what a subscription tells at once.
type watchEvent = model.WatchEvent

type eventKey struct{}

// withEvent puts the event into the context that an operation is to render. It may be
// rendered many times, but by one goroutine at a time.
func withEvent(ctx context.Context, e *watchEvent) context.Context {
	return context.WithValue(ctx, eventKey{}, e)
}

// refusal is an error of a document or of variables, in the library's form: where it
// is. It may hold several.
type refusal struct {
	err  *config.Error
	list gqlerror.List
}

// Error implements error.
func (r *refusal) Error() string { return r.err.Error() }

// Unwrap makes it one of the kinds.
func (r *refusal) Unwrap() error { return r.err }

// isLogin reports whether the operation logs in and does nothing else: what nobody
// may do, too.
func (o *operation) isLogin() bool {
	field := o.rootField()
	return o.isMutation() && field != nil && field.Name == "login"
}
