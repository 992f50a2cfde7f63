package graphql

import (
	"context"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

// AuditRecords implements exec.QueryResolver.
func (q query) AuditRecords(ctx context.Context, filter *center.AuditRequest, limit *int, after *string) (*config.Page[audit.Record], error) {
	return listed(limit, after, func(p center.PageRequest) (config.Page[audit.Record], error) {
		r := given(filter)
		r.PageRequest = p
		return q.center.Audit(ctx, r)
	})
}

// AuditSeal implements exec.QueryResolver.
func (q query) AuditSeal(ctx context.Context) (*audit.Seal, error) {
	return some(q.center.AuditSeal(ctx))
}

// VerifyAudit implements exec.QueryResolver.
func (q query) VerifyAudit(ctx context.Context, sequence *int64, hash *string) (*audit.Verification, error) {
	return some(q.center.VerifyAudit(ctx, center.AuditExpectation{Sequence: given(sequence), Hash: given(hash)}))
}
