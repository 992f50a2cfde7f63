package grpc

import (
	"context"

	"github.com/setpointhq/setpoint/api/setpointv1"
	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/center"
)

// ListAuditRecords implements setpointv1.AuditServiceServer.
func (s *service) ListAuditRecords(ctx context.Context, in *setpointv1.ListAuditRecordsRequest) (*setpointv1.ListAuditRecordsResponse, error) {
	var q asked
	request := center.AuditRequest{
		PageRequest: q.page(in.GetPageSize(), in.GetPageToken()), Tenant: in.GetTenant(), Action: in.GetAction(), Actor: in.GetActor(),
		Path: q.path("path", in.GetPath()), Since: q.time("since", in.GetSince()), Until: q.time("until", in.GetUntil()),
	}
	if q.err != nil {
		return nil, q.err
	}
	found, err := s.center.Audit(ctx, request)
	return &setpointv1.ListAuditRecordsResponse{Records: all(found.Items, recordOf), NextPageToken: found.Next}, err
}

// GetAuditSeal implements setpointv1.AuditServiceServer.
func (s *service) GetAuditSeal(ctx context.Context, _ *setpointv1.GetAuditSealRequest) (*setpointv1.GetAuditSealResponse, error) {
	seal, err := s.center.AuditSeal(ctx)
	return &setpointv1.GetAuditSealResponse{Seal: sealOf(seal)}, err
}

// VerifyAudit implements setpointv1.AuditServiceServer.
func (s *service) VerifyAudit(ctx context.Context, in *setpointv1.VerifyAuditRequest) (*setpointv1.VerifyAuditResponse, error) {
	var q asked
	sequence := in.GetSequence()
	q.version("sequence", &sequence)
	if q.err != nil {
		return nil, q.err
	}
	v, err := s.center.VerifyAudit(ctx, center.AuditExpectation{Sequence: sequence, Hash: in.GetHash()})
	return &setpointv1.VerifyAuditResponse{
		Intact: v.Intact, Seal: sealOf(v.Seal), Checkpoints: v.Checkpoints, Verified: v.Verified, Unsealed: v.Unsealed,
		Findings: all(v.Findings, auditFindingOf), Omitted: v.Omitted,
	}, err
}

func recordOf(r audit.Record) *setpointv1.AuditRecord {
	return &setpointv1.AuditRecord{
		Id: r.ID, Time: timeOf(r.Time), Action: r.Action, Path: r.Path.String(), Subject: r.Subject,
		Actor: &setpointv1.Actor{
			Subject: r.Actor.Subject, Method: r.Actor.Method, TokenId: r.Actor.TokenID,
			Address: r.Actor.Address, RequestId: r.Actor.RequestID,
		},
		Outcome: outcomeWords.of(r.Outcome), Comment: r.Comment, Items: all(r.Items, changeItemOf), Count: r.Count,
		Detail: r.Detail, Revision: string(r.Revision),
	}
}

func sealOf(s audit.Seal) *setpointv1.AuditSeal {
	return &setpointv1.AuditSeal{
		Sequence: s.Sequence, Hash: s.Hash, SealedAt: timeOf(s.SealedAt), Records: s.Records, Dropped: s.Dropped,
	}
}

func auditFindingOf(f audit.Finding) *setpointv1.AuditFinding {
	return &setpointv1.AuditFinding{
		Kind: findingKindWords.of(f.Kind), Warning: f.Warning, Checkpoint: f.Checkpoint, Tenant: f.Tenant, Record: f.Record,
		Time: timeOf(f.Time), FromTime: timeOf(f.From), UntilTime: timeOf(f.Until), Detail: f.Detail,
	}
}
