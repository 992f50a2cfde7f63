package client

import (
	"context"
	"iter"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// AuditRecord is one act: who did what, where, and how it ended.
type AuditRecord struct {
	ID       string              `json:"id"`
	Time     time.Time           `json:"time"`
	Actor    Actor               `json:"actor"`
	Action   string              `json:"action"` // "config.publish", "auth.login"
	Path     config.Path         `json:"path"`
	Subject  string              `json:"subject,omitempty"`
	Outcome  string              `json:"outcome"` // "done", "denied", "failed"
	Comment  string              `json:"comment,omitempty"`
	Items    []config.ChangeItem `json:"items,omitempty"`
	Count    int64               `json:"count,omitempty"` // how often within a second; 0 for once
	Detail   map[string]string   `json:"detail,omitempty"`
	Revision config.Token        `json:"revision,omitempty"`
}

// Actor is who acted, and from where.
type Actor struct {
	Subject   string `json:"subject"`
	Method    string `json:"method,omitempty"`
	TokenID   string `json:"token_id,omitempty"`
	Address   string `json:"address,omitempty"`
	RequestID string `json:"request_id,omitempty"`
}

// AuditFilter narrows a listing of records. What is empty does not.
type AuditFilter struct {
	Action, Actor string
	Path          config.Path
	Since, Until  time.Time
}

// Audit lists the records of a tenant, or with "" those of the system: users,
// tokens and logins.
func (c *Client) Audit(ctx context.Context, tenant string, f AuditFilter) iter.Seq2[AuditRecord, error] {
	query := values("action", f.Action, "actor", f.Actor, "path", f.Path.String(),
		"since", timeText(f.Since), "until", timeText(f.Until))
	path := "/v1/audit"
	if tenant != "" {
		path = at(config.Path{Tenant: tenant}, "audit")
	}
	return list[AuditRecord](ctx, c, path, paged(query))
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
