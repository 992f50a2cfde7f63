package backup

import (
	"time"

	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
)

// Inventory is what lies in a backup.
type Inventory struct {
	// Installation is the id that the records tell; empty if there is none.
	Installation string `json:"installation"`
	// Layout is the number of the records' layout; 0 if they do not say.
	Layout       int `json:"layout"`
	Tenants      int `json:"tenants"`
	Apps         int `json:"apps"`
	Envs         int `json:"envs"`
	Configs      int `json:"configs"`
	Drafts       int `json:"drafts"`
	Launches     int `json:"launches"` // those that have ended, too
	Releases     int `json:"releases"`
	AuditRecords int `json:"audit_records"`
	Users        int `json:"users"`
	Tokens       int `json:"tokens"`
	Bindings     int `json:"bindings"`
	// Newest is when the newest record was made.
	Newest time.Time `json:"newest,omitzero"`
	// Unreadable is how many records are no good; the first ones are in Findings.
	Unreadable int       `json:"unreadable"`
	Findings   []Finding `json:"findings,omitempty"`

	contents map[string]string // key of a large release's content to its digest
}

// Finding is a record that is no good.
type Finding struct {
	Key     string `json:"key"`
	Message string `json:"message"`
}

// mostFindings bounds what is remembered of a backup that is bad all over.
const mostFindings = 100

// Take counts one entry of the store. Entries come in key order, as from
// store.Restorer.
func (v *Inventory) Take(e store.Entry) {
	switch e.Key {
	case record.ClusterKey:
		v.Installation = string(e.Value)
	case record.FormatKey:
		v.Layout, _ = record.DecodeFormat(e.Value) // an error is found below
	}
	in, err := record.Inspect(e.Key, e.Value)
	if err != nil {
		v.find(e.Key, err.Error())
		return
	}
	if in.Time.After(v.Newest) {
		v.Newest = in.Time
	}
	switch in.Section {
	case record.Contents: // sorts before the releases
		if v.contents == nil {
			v.contents = map[string]string{}
		}
		v.contents[e.Key] = in.Digest
	case record.Releases:
		v.Releases++
		if in.Elsewhere != "" && v.contents[in.Elsewhere] != in.Want {
			v.find(e.Key, "the content under "+in.Elsewhere+" is missing or is not the one that was released")
		}
	default:
		if n := v.counter(in.Section); n != nil {
			*n++
		}
	}
}

// Newer reports whether the records are laid out in a way that this program
// would misread.
func (v *Inventory) Newer() bool { return v.Layout > record.Format }

func (v *Inventory) counter(s record.Section) *int {
	return map[record.Section]*int{
		record.Tenants: &v.Tenants, record.Apps: &v.Apps, record.Envs: &v.Envs,
		record.Configs: &v.Configs, record.Drafts: &v.Drafts, record.Launches: &v.Launches,
		record.Audits: &v.AuditRecords,
		record.Users:  &v.Users, record.Tokens: &v.Tokens, record.Bindings: &v.Bindings,
	}[s]
}

func (v *Inventory) find(key, message string) {
	v.Unreadable++
	if len(v.Findings) < mostFindings {
		v.Findings = append(v.Findings, Finding{Key: key, Message: message})
	}
}
