package client

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// AuditSeal is the end of the chain that seals the audit.
type AuditSeal struct {
	Sequence int64     `json:"sequence"`       // the last checkpoint's number; 0 while nothing is sealed
	Hash     string    `json:"hash,omitempty"` // in hexadecimal
	SealedAt time.Time `json:"sealed_at,omitzero"`
	Records  int64     `json:"records"`           // how many were ever sealed
	Dropped  int64     `json:"dropped,omitempty"` // the last checkpoint whose records were deleted because of their age
}

// AuditVerification is what comparing the audit with its chain has shown.
type AuditVerification struct {
	Intact      bool           `json:"intact"` // nothing is wrong; warnings do not count
	Seal        AuditSeal      `json:"seal"`
	Checkpoints int64          `json:"checkpoints"`
	Verified    int64          `json:"verified"` // records that are as they were sealed
	Unsealed    int64          `json:"unsealed"` // records too new to be sealed
	Findings    []AuditFinding `json:"findings"`
	Omitted     int64          `json:"omitted,omitempty"` // about how many findings more there are
}

// AuditFinding is one thing that is wrong, and where.
type AuditFinding struct {
	Kind       string    `json:"kind"` // "removed", "altered", "added", "reordered", "broken", "replaced", "misdated"
	Warning    bool      `json:"warning,omitempty"`
	Checkpoint int64     `json:"checkpoint,omitempty"`
	Tenant     string    `json:"tenant,omitempty"` // "" is the system, where there is a record
	Record     string    `json:"record,omitempty"` // its id
	Time       time.Time `json:"time,omitzero"`    // the record's
	From       time.Time `json:"from,omitzero"`    // the times of the checkpoint's records
	Until      time.Time `json:"until,omitzero"`
	Detail     string    `json:"detail"`
}

// AuditSeal returns where the chain that seals the audit ends.
func (c *Client) AuditSeal(ctx context.Context) (AuditSeal, error) {
	var s AuditSeal
	_, err := c.call(ctx, request{method: http.MethodGet, path: "/v1/audit/seal"}, &s)
	return s, err
}

// VerifyAudit has the server compare all audit records with the chain that seals
// them, and the chain with a checkpoint that was noted down; one with the
// sequence 0 is none. As it can take minutes, ctx alone bounds it.
func (c *Client) VerifyAudit(ctx context.Context, noted AuditSeal) (AuditVerification, error) {
	const path = "/v1/audit/verify"
	query := values("expect", noted.Hash)
	if noted.Sequence != 0 {
		query.Set("sequence", strconv.FormatInt(noted.Sequence, 10))
	}
	var v AuditVerification
	resp, err := c.send(ctx, request{method: http.MethodGet, path: path, query: query})
	if err != nil {
		return v, err
	}
	defer resp.Body.Close()
	body, err := readAll(resp.Body, maxAnswer)
	if err != nil {
		return v, unreached(resp.Request.URL, err)
	}
	if err := json.Unmarshal(body, &v); err != nil {
		return v, config.Errorf(config.Internal, "read answer", path, "this is not a Setpoint server of a version that this client knows: %w", err)
	}
	return v, nil
}
