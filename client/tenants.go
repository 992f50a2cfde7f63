package client

import (
	"context"
	"crypto/sha256"
	"io"
	"net/http"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// TenantExport is what the export of a tenant says of itself.
type TenantExport struct {
	Tenant string `json:"tenant"`
	// Installation is the id of the installation that it is from.
	Installation string    `json:"installation"`
	Created      time.Time `json:"created"`
	Version      string    `json:"version"` // of the server that made it
	// Revision is the position in the order of all changes that it is of.
	Revision int64 `json:"revision"`
	Size     int64 `json:"size"` // bytes
}

const tenantMagic = "setpoint tenant\n"

// ExportTenant writes a tenant with its whole history to w, as it comes. Only if
// there is no error is it whole, as its digest proves; else what was written is
// to be thrown away.
func (c *Client) ExportTenant(ctx context.Context, tenant string, w io.Writer) (TenantExport, error) {
	path := config.Path{Tenant: tenant}
	if err := path.Require(config.LevelTenant); err != nil {
		return TenantExport{}, err
	}
	return fetchProved[TenantExport](ctx, c, at(path, "export"), &backupProof{magic: tenantMagic, what: "export", sum: sha256.New()}, w)
}

// told completes what the header of an export says.
func (e *TenantExport) told(size, revision int64) bool {
	e.Size, e.Revision = size, revision
	return plainID.MatchString(e.Installation) && plainID.MatchString(e.Tenant)
}

// ImportTenant says what to make a tenant of.
type ImportTenant struct {
	Export io.Reader // what ExportTenant has written
	As     string    // the name that it gets; "" for the one that it had
	// Discard removes, for good, the history that a deleted tenant of the name has
	// left. Without it that is in the way.
	Discard bool
}

// TenantImport is what an import made.
type TenantImport struct {
	Tenant config.Tenant `json:"tenant"`
	// Installation is the id of the one that it was exported from, Name what it
	// was called there, and Exported when that was.
	Installation string         `json:"installation"`
	Name         string         `json:"name"`
	Exported     time.Time      `json:"exported"`
	Contents     TenantContents `json:"contents"`
}

// TenantContents is how much an export holds.
type TenantContents struct {
	Apps         int64 `json:"apps"`
	Envs         int64 `json:"envs"`
	Configs      int64 `json:"configs"`  // deleted ones, too
	Rollouts     int64 `json:"rollouts"` // also of configs that were purged
	Drafts       int64 `json:"drafts"`
	Launches     int64 `json:"launches"` // those that have ended, too
	Releases     int64 `json:"releases"`
	AuditRecords int64 `json:"audit_records"`
}

// importPatience bounds an import, which may take long: the server answers when
// all of it is done.
const importPatience = 24 * time.Hour

// ImportTenant makes a tenant of an export, whole or not at all. Launches that ran
// arrive paused. It is not tried again by itself, but may be if it was broken off.
func (c *Client) ImportTenant(ctx context.Context, i ImportTenant) (TenantImport, error) {
	r := request{
		method: http.MethodPost, path: "/v1/tenants/import", body: i.Export,
		query:  values("as", i.As, "discard", flag(i.Discard)),
		header: http.Header{"Content-Type": {"application/octet-stream"}},
	}
	s, err := c.open(ctx, r, importPatience, c.timeout)
	if err != nil {
		return TenantImport{}, err
	}
	defer s.close()
	var out TenantImport
	body, err := readAll(s, maxAnswer)
	if err == nil {
		err = decodeAnswer(r, body, &out)
	}
	return out, err
}
