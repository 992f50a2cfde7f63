package auth

import (
	"slices"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// Verb is something that can be done; a set of them is their bitwise or.
type Verb uint32

// The verbs.
const (
	// Fetch reads and watches released content, as applications do.
	Fetch Verb = 1 << iota
	// Read sees metadata, drafts, history and differences, as people do.
	Read
	// Edit creates configs and changes drafts and metadata.
	Edit
	// Publish releases: publish, roll back, promote, delete and undelete.
	Publish
	// Manage creates, changes and deletes tenants, apps and envs.
	Manage
	// GrantRights manages users, tokens and bindings.
	GrantRights
	// ReadAudit lists audit records.
	ReadAudit
	// Report tells what an instance applied.
	Report
	// Operate sees to the installation itself: cluster, backup.
	Operate
	// Rollout brings out what was released, and takes it back: it drives launches
	// and rolls back.
	Rollout
	// Approve approves and rejects change requests.
	Approve
)

// AllVerbs is every verb.
const AllVerbs = Approve<<1 - 1

var verbNames = []string{"fetch", "read", "edit", "publish", "manage", "grant", "audit", "report", "operate", "rollout", "approve"}

// String names the verbs of the set.
func (v Verb) String() string {
	var names []string
	for i, name := range verbNames {
		if v&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, "+")
}

// Verbs returns every single verb.
func Verbs() []Verb {
	all := make([]Verb, len(verbNames))
	for i := range all {
		all[i] = 1 << i
	}
	return all
}

// ParseVerbs reads the names of verbs.
func ParseVerbs(names []string) (Verb, error) {
	var verbs Verb
	for _, name := range names {
		i := slices.Index(verbNames, name)
		if i < 0 {
			return 0, config.Errorf(config.Invalid, "", "", "no verb %.64q; there are %s", name, strings.Join(verbNames, ", "))
		}
		verbs |= 1 << i
	}
	return verbs, nil
}

// Role is a named set of verbs.
type Role string

// The built-in roles.
const (
	RoleClient    Role = "client"    // an application: fetch and report
	RoleViewer    Role = "viewer"    // sees everything but audit
	RoleEditor    Role = "editor"    // also drafts
	RolePublisher Role = "publisher" // also releases
	RoleOperator  Role = "operator"  // drives rollouts and rolls back
	RoleApprover  Role = "approver"  // approves change requests
	RoleAdmin     Role = "admin"     // everything in its scope
	RoleAuditor   Role = "auditor"   // audit records and metadata
)

var builtinRoles = []struct {
	role        Role
	verbs       Verb
	description string
}{
	{RoleClient, Fetch | Report, "an application: reads and watches what is released, reports what it applied"},
	{RoleViewer, Fetch | Read, "sees configs, drafts, history and differences"},
	{RoleEditor, Fetch | Read | Edit, "also creates configs and edits drafts"},
	{RolePublisher, Fetch | Read | Edit | Publish | Rollout, "also publishes, rolls back, promotes and deletes"},
	{RoleOperator, Fetch | Read | Rollout, "a viewer who drives rollouts and rolls back, and releases nothing new"},
	{RoleApprover, Fetch | Read | Approve, "a viewer who approves and rejects change requests"},
	{RoleAdmin, AllVerbs, "everything within its scope, users' rights included"},
	{RoleAuditor, ReadAudit, "reads audit records, and nothing else"},
}

// Builtin returns what a built-in role may do; nothing for any other.
func (r Role) Builtin() Verb {
	for _, b := range builtinRoles {
		if b.role == r {
			return b.verbs
		}
	}
	return 0
}

// RoleInfo describes a role. Those that are not built in are made by whoever
// grants rights on the whole installation.
type RoleInfo struct {
	Name        Role         `json:"name"`
	Verbs       []string     `json:"verbs"`
	Description string       `json:"description"`
	Builtin     bool         `json:"builtin"`
	CreatedAt   time.Time    `json:"created_at,omitzero"`
	CreatedBy   string       `json:"created_by,omitempty"`
	Revision    config.Token `json:"revision,omitempty"`
}

// Roles lists the built-in roles, least first.
func Roles() []RoleInfo {
	infos := make([]RoleInfo, len(builtinRoles))
	for i, b := range builtinRoles {
		infos[i] = RoleInfo{Name: b.role, Verbs: strings.Split(b.verbs.String(), "+"), Description: b.description, Builtin: true}
	}
	return infos
}
