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
