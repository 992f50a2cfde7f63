package graphql

import (
	"context"
	"net/netip"
	"strconv"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/graphql/internal/model"
	"github.com/setpointhq/setpoint/protocol/internal/caller"
	"github.com/setpointhq/setpoint/protocol/internal/problem"
)

// Explain implements exec.QueryResolver.
func (q query) Explain(ctx context.Context, in model.ExplainInput) (*config.Explained, error) {
	r := center.ExplainRequest{
		Path: in.Path, At: in.At, Time: in.Time,
		Client: config.Client{ID: in.Instance, Labels: in.Labels, Slot: in.Slot, Address: in.Address},
	}
	if err := caller.Check(r.Client); err != nil {
		return nil, err
	}
	if _, err := netip.ParseAddr(in.Address); in.Address != "" && err != nil {
		return nil, problem.Malformed("input.address", "want an IP address, 10.1.2.3 or 2001:db8::1")
	}
	if in.At != "" && !in.Time.IsZero() {
		return nil, problem.Malformed("input.at", "send at or time, not both")
	}
	return some(q.center.Explain(ctx, r))
}

// Preview implements exec.QueryResolver.
func (q query) Preview(ctx context.Context, start *center.PreviewRequest, change *center.PreviewChange, limit *int, after *string) (*config.Preview, error) {
	p, err := pageOf(limit, after)
	if err != nil {
		return nil, err
	}
	var r center.PreviewRequest
	switch {
	case (start == nil) == (change == nil):
		return nil, problem.Malformed("", "send start, or change")
	case start != nil:
		if err := checkStart(start.Paths); err != nil {
			return nil, err
		}
		r = *start
	default:
		r.Change = change
	}
	r.PageRequest = p
	return some(q.center.Preview(ctx, r))
}

// checkStart refuses configs that no launch could hold together.
func checkStart(paths []config.Path) error {
	if len(paths) == 0 || len(paths) > config.MaxLaunchItems {
		return problem.Malformed("start.paths", "name 1 to 100 configs")
	}
	for i, p := range paths {
		if p.Tenant != paths[0].Tenant {
			return problem.Malformed("start.paths["+strconv.Itoa(i)+"]", "want a config of the same tenant as the others")
		}
	}
	return nil
}
