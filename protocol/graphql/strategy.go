package graphql

import (
	"context"

	"github.com/setpointhq/setpoint/config"
)

// ruleInput and strategyInput take ids in, in any order.
type (
	ruleInput     struct{}
	strategyInput struct{}
)

// Instances implements exec.RuleResolver.
func (rule) Instances(_ context.Context, r *config.Rule) ([]string, error) { return r.Instances, nil }

// Targets implements exec.StrategyResolver.
func (strategy) Targets(_ context.Context, s *config.Strategy) ([]string, error) {
	return s.Targets, nil
}

// Instances implements exec.RuleInputResolver.
func (ruleInput) Instances(_ context.Context, r *config.Rule, ids []string) error {
	r.Instances = instanceSet(ids)
	return nil
}

// Targets implements exec.StrategyInputResolver.
func (strategyInput) Targets(_ context.Context, s *config.Strategy, ids []string) error {
	s.Targets = instanceSet(ids)
	return nil
}

func instanceSet(ids []string) config.InstanceSet {
	if len(ids) == 0 {
		return nil
	}
	return config.NewInstanceSet(ids...)
}
