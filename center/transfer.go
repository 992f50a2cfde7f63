package center

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/backup"
)

// A tenant moves between installations as one file: the envelope of
// internal/backup around records that hold nouns as clients know them, nothing
// of the store's layout. They come in this order, each kind once it is begun
// until there are no more, and sorted:
//
//	t  the tenant          p  its apps             e  their envs
//	c  configs' metadata   o  their rollouts       n  launches
//	d  configs' drafts     r  releases             a  audit records
//	z  TenantContents: how many
//
// Users, tokens and bindings are not part of it: who may do what is each
// installation's own affair.
const transferOrder = "tpecondraz"

// TenantContents is how much the export of a tenant holds.
type TenantContents struct {
	Apps         int64 `json:"apps"`
	Envs         int64 `json:"envs"`
	Configs      int64 `json:"configs"`  // deleted ones, too
	Rollouts     int64 `json:"rollouts"` // also of configs that were purged, for their version counters
	Drafts       int64 `json:"drafts"`
	Launches     int64 `json:"launches"` // those that have ended, too
	Releases     int64 `json:"releases"`
	AuditRecords int64 `json:"audit_records"`
}

// counter returns where records of a kind are counted; nil for those that there
// is one of.
func (t *TenantContents) counter(kind byte) *int64 {
	return map[byte]*int64{
		'p': &t.Apps, 'e': &t.Envs, 'c': &t.Configs, 'o': &t.Rollouts, 'n': &t.Launches, 'd': &t.Drafts,
		'r': &t.Releases, 'a': &t.AuditRecords,
	}[kind]
}

// movedRelease is a release with its content.
type movedRelease struct {
	config.Release
	content []byte
}

// decodeMoved reads a record. A field that this program does not know is an
// error: what a newer one has added must not get lost without a word.
func decodeMoved(r backup.Record) (any, error) {
	switch r.Kind {
	case 't':
		return strictly[config.Tenant](r.Meta)
	case 'p':
		return strictly[config.App](r.Meta)
	case 'e':
		return strictly[config.Env](r.Meta)
	case 'c':
		return strictly[config.Config](r.Meta)
	case 'o':
		return strictly[config.Rollout](r.Meta)
	case 'n':
		return strictly[config.Launch](r.Meta)
	case 'd':
		d, err := strictly[config.Draft](r.Meta)
		d.Content = r.Content
		return d, err
	case 'r':
		release, err := strictly[config.Release](r.Meta)
		return movedRelease{Release: release, content: r.Content}, err
	case 'a':
		return strictly[audit.Record](r.Meta)
	case 'z':
		return strictly[TenantContents](r.Meta)
	}
	return nil, fmt.Errorf("there is no kind %q of records", string(rune(r.Kind)))
}

func strictly[T any](text []byte) (T, error) {
	var noun T
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&noun); err != nil {
		if field, unknown := strings.CutPrefix(err.Error(), "json: unknown field "); unknown {
			return noun, fmt.Errorf("it has the field %s, which this version of Setpoint does not know: use the version that made the file, or a later one", field)
		}
		return noun, fmt.Errorf("it cannot be read: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return noun, errors.New("there is more behind its JSON")
	}
	return noun, nil
}

// rename gives nouns of one tenant to another.
type rename struct{ from, to string }

func (r rename) path(p config.Path) config.Path {
	if p.Tenant == r.from {
		p.Tenant = r.to
	}
	return p
}

func (r rename) release(old config.Release) config.Release {
	old.Path = r.path(old.Path)
	if below, inside := strings.CutPrefix(old.Source.From, r.from+"/"); inside && old.Source.Kind == config.SourcePromotion {
		old.Source.From = r.to + "/" + below
	}
	return old
}

func (r rename) rollout(old config.Rollout) config.Rollout {
	old.Path = r.path(old.Path)
	if old.Stable != nil {
		stable := r.release(*old.Stable)
		old.Stable = &stable
	}
	for i := range old.Candidates { // decoded for this alone
		old.Candidates[i].Release = r.release(old.Candidates[i].Release)
	}
	return old
}

func (r rename) audit(old audit.Record) audit.Record {
	old.Path = r.path(old.Path)
	for i := range old.Items {
		old.Items[i].Path = r.path(old.Items[i].Path)
	}
	return old
}

// The details by which a record of the audit tells that it came with a tenant:
// the installation in which it happened, the record's id and time there, what
// the tenant was called if it has another name here, the import that brought it,
// and, if it came by way of another installation, which was the last one.
const (
	originInstallation = "origin"
	originID           = "origin_id"
	originTime         = "origin_time"
	originTenant       = "origin_tenant"
	originVia          = "origin_via"
	originImport       = "import"
)

// originOf returns the id and time that a record had where it happened; its own
// if that was here.
func originOf(r *audit.Record) (id string, at time.Time) {
	at, err := time.Parse(time.RFC3339Nano, r.Detail[originTime])
	if id = r.Detail[originID]; id == "" || err != nil {
		return r.ID, r.Time
	}
	return id, at
}
