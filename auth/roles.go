package auth

import (
	"slices"
	"strings"

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
)

// AllVerbs is every verb.
const AllVerbs = Operate<<1 - 1

var verbNames = []string{"fetch", "read", "edit", "publish", "manage", "grant", "audit", "report", "operate"}

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

// Role is a named set of verbs.
type Role string

// The built-in roles.
const (
	RoleClient    Role = "client"    // an application: fetch and report
	RoleViewer    Role = "viewer"    // sees everything but audit
	RoleEditor    Role = "editor"    // also drafts
	RolePublisher Role = "publisher" // also releases
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
	{RolePublisher, Fetch | Read | Edit | Publish, "also publishes, rolls back, promotes and deletes"},
	{RoleAdmin, AllVerbs, "everything within its scope, users' rights included"},
	{RoleAuditor, ReadAudit, "reads audit records, and nothing else"},
}

// Verbs returns what the role may do; nothing for an unknown role.
func (r Role) Verbs() Verb {
	for _, b := range builtinRoles {
		if b.role == r {
			return b.verbs
		}
	}
	return 0
}

// RoleInfo describes a role for listings.
type RoleInfo struct {
	Name        Role     `json:"name"`
	Verbs       []string `json:"verbs"`
	Description string   `json:"description"`
}

// Roles lists the built-in roles, least first.
func Roles() []RoleInfo {
	infos := make([]RoleInfo, len(builtinRoles))
	for i, b := range builtinRoles {
		infos[i] = RoleInfo{Name: b.role, Verbs: strings.Split(b.verbs.String(), "+"), Description: b.description}
	}
	return infos
}

// ValidateRole refuses an unknown role and lists the known ones.
func ValidateRole(r Role) error {
	if r.Verbs() != 0 {
		return nil
	}
	var names []string
	for _, b := range builtinRoles {
		names = append(names, string(b.role))
	}
	slices.Sort(names)
	return config.Errorf(config.Invalid, "", "", "no role %q; there are %s", r, strings.Join(names, ", "))
}
