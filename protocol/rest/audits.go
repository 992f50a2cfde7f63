package rest

import (
	"context"
	"net/http"
	"time"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

const tagAudit = "Audit"

func auditRoutes() []Route {
	const filtered = "The newest first. With filters a page may come back short, even empty, and still name a next one."
	return []Route{
		control(Route{Method: "GET", Pattern: pathTenant + "/audit", Op: "audit.list", ID: "list-audit", tag: tagAudit,
			summary: "List what was done in a tenant", description: filtered, errors: []int{http.StatusNotFound}}, (*api).listAudit),
		control(Route{Method: "GET", Pattern: "/v1/audit", Op: "audit.list", ID: "list-system-audit", tag: tagAudit,
			summary: "List what was done to the installation", description: "Users, tokens, bindings, logins. " + filtered}, (*api).listSystemAudit),
		control(Route{Method: "GET", Pattern: "/v1/audit/seal", Op: "audit.seal", ID: "get-audit-seal", tag: tagAudit,
			summary: "Get where the chain that seals the audit ends",
			description: "Keep its sequence and hash where nobody who runs the installation can change them: " +
				"verify with them later, and nothing that was sealed until now can have been changed unseen."}, (*api).getAuditSeal),
		control(Route{Method: "GET", Pattern: "/v1/audit/verify", Op: "audit.verify", ID: "verify-audit", tag: tagAudit,
			summary: "Compare the audit of all tenants with the chain that seals it",
			description: "Finds records that were removed, altered, added or reordered, and a chain that was tampered with; `intact` says " +
				"whether there is anything. It reads all records, so the answer takes about a second for each 100,000 of them.",
			errors: []int{http.StatusTooManyRequests}}, (*api).verifyAudit),
	}
}

// AuditQuery selects records.
type AuditQuery struct {
	PageQuery
	Action string      `query:"action" doc:"only this action" example:"config.publish" maxLength:"128"`
	Actor  string      `query:"actor" doc:"only what this user did" maxLength:"256"`
	Path   config.Path `query:"path" doc:"only what was done at this path and below"`
	Since  time.Time   `query:"since" doc:"not before (RFC 3339)"`
	Until  time.Time   `query:"until" doc:"before (RFC 3339)"`
}

func (q AuditQuery) of(tenant string) center.AuditRequest {
	return center.AuditRequest{
		PageRequest: q.request(), Tenant: tenant, Action: q.Action, Actor: q.Actor,
		Path: q.Path, Since: q.Since, Until: q.Until,
	}
}

func (a *api) listAudit(ctx context.Context, in *struct {
	TenantPath
	AuditQuery
}) (*answered[config.Page[audit.Record]], error) {
	return answer(a.center.Audit(ctx, in.of(in.Tenant)))
}

func (a *api) listSystemAudit(ctx context.Context, in *AuditQuery) (*answered[config.Page[audit.Record]], error) {
	return answer(a.center.Audit(ctx, in.of("")))
}

func (a *api) getAuditSeal(ctx context.Context, _ *struct{}) (*answered[audit.Seal], error) {
	return answer(a.center.AuditSeal(ctx))
}

func (a *api) verifyAudit(ctx context.Context, in *struct {
	Expect   string `query:"expect" doc:"the hash of a checkpoint that was noted down: the chain must still hold it" maxLength:"64"`
	Sequence int64  `query:"sequence" doc:"the number of that checkpoint" minimum:"0"`
}) (*answered[audit.Verification], error) {
	return answer(a.center.VerifyAudit(ctx, center.AuditExpectation{Sequence: in.Sequence, Hash: in.Expect}))
}
