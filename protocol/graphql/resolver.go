package graphql

import (
	"context"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/graphql/internal/exec"
	"github.com/setpointhq/setpoint/protocol/graphql/internal/model"
	"github.com/setpointhq/setpoint/protocol/internal/problem"
)

// resolver does what the fields ask for. Its methods are in a file for each file of
// the schema.
type resolver struct{ *api }

// The roots, and the types of which a field is not that of the noun.
type (
	query         struct{ *resolver }
	mutation      struct{ *resolver }
	subscriptions struct{ *resolver }
	changeSet     struct{}
	draft         struct{}
	node          struct{}
	rule          struct{}
	strategy      struct{}
	publishItem   struct{}
	configPatch   struct{}
	envPatch      struct{}
)

// Query implements exec.ResolverRoot.
func (r *resolver) Query() exec.QueryResolver { return query{r} }

// Mutation implements exec.ResolverRoot.
func (r *resolver) Mutation() exec.MutationResolver { return mutation{r} }

// Subscription implements exec.ResolverRoot.
func (r *resolver) Subscription() exec.SubscriptionResolver { return subscriptions{r} }

// ChangeSet implements exec.ResolverRoot.
func (*resolver) ChangeSet() exec.ChangeSetResolver { return changeSet{} }

// Draft implements exec.ResolverRoot.
func (*resolver) Draft() exec.DraftResolver { return draft{} }

// Node implements exec.ResolverRoot.
func (*resolver) Node() exec.NodeResolver { return node{} }

// Rule implements exec.ResolverRoot.
func (*resolver) Rule() exec.RuleResolver { return rule{} }

// Strategy implements exec.ResolverRoot.
func (*resolver) Strategy() exec.StrategyResolver { return strategy{} }

// PublishItem implements exec.ResolverRoot.
func (*resolver) PublishItem() exec.PublishItemResolver { return publishItem{} }

// RuleInput implements exec.ResolverRoot.
func (*resolver) RuleInput() exec.RuleInputResolver { return ruleInput{} }

// StrategyInput implements exec.ResolverRoot.
func (*resolver) StrategyInput() exec.StrategyInputResolver { return strategyInput{} }

// UpdateConfigInput implements exec.ResolverRoot.
func (*resolver) UpdateConfigInput() exec.UpdateConfigInputResolver { return configPatch{} }

// UpdateEnvInput implements exec.ResolverRoot.
func (*resolver) UpdateEnvInput() exec.UpdateEnvInputResolver { return envPatch{} }

// given returns what an argument says; the zero value if it was left out.
func given[T any](argument *T) (v T) {
	if argument != nil {
		v = *argument
	}
	return v
}

// pageOf reads which page of a listing is asked for.
func pageOf(limit *int, after *string) (center.PageRequest, error) {
	p := center.PageRequest{Limit: given(limit), After: given(after)}
	if p.Limit < 0 || p.Limit > largestPage {
		return p, problem.Malformed("limit", "want 0 to 1000")
	}
	return p, nil
}

// The fields of the first level may be null, so that one that fails does not take the
// others with it: what they answer with is behind a pointer.

// some answers with what there is.
func some[T any](v T, err error) (*T, error) {
	if err != nil {
		return nil, err
	}
	return &v, nil
}

// whole answers with a list, which is there although it is empty.
func whole[T any](list []T, err error) ([]T, error) {
	if list == nil && err == nil {
		list = []T{}
	}
	return list, err
}

// listed answers with a page of a listing.
func listed[T any](limit *int, after *string, list func(center.PageRequest) (config.Page[T], error)) (*config.Page[T], error) {
	p, err := pageOf(limit, after)
	if err != nil {
		return nil, err
	}
	return some(list(p))
}

// done is the answer of what has none.
func done(err error) (*bool, error) { return some(true, err) }

// checkVersion checks the version that must be the latest; nil expects none.
func checkVersion(where string, expected *int64) error {
	if expected != nil && *expected < 0 {
		return problem.Malformed(where, "want 0 or more")
	}
	return nil
}

// contentOf returns the content that is given as text or as other bytes.
func contentOf(text *string, other []byte) ([]byte, error) {
	switch {
	case text != nil && other != nil:
		return nil, problem.Malformed("input.content", "send content or contentBase64, not both")
	case text != nil:
		return []byte(*text), nil
	case other == nil:
		return nil, problem.Malformed("input.content", "send content or contentBase64")
	}
	return other, nil
}

// Watch implements exec.SubscriptionResolver. It renders the event that is in the
// context: whoever serves subscriptions opens the watch, and has an operation rendered
// for each delivery.
func (subscriptions) Watch(ctx context.Context, _ []string, _ *config.Token, _ bool) (<-chan model.WatchEvent, error) {
	e, found := ctx.Value(eventKey{}).(*watchEvent)
	if !found {
		return nil, config.Errorf(config.Unsupported, "config.watch", "", "a subscription is asked for over WebSocket or as server-sent events")
	}
	events := make(chan model.WatchEvent, 1)
	events <- *e
	close(events)
	return events, nil
}

var _ exec.ResolverRoot = (*resolver)(nil)
