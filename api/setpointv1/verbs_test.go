package setpointv1_test

import (
	"reflect"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/setpointhq/setpoint/center"
)

// rpcs names, for each verb of the domain, the call that does it; "" for what the
// server does for itself.
var rpcs = map[string]string{
	"Get": "DataService.ReadConfig", "Content": "DataService.ReadConfig",
	"Snapshot": "DataService.ReadEnv", "Watch": "DataService.Watch", "Report": "DataService.Report",
	"Staleness": "DataService.Watch",

	"Tenants": "ScopeService.ListTenants", "Tenant": "ScopeService.GetTenant",
	"CreateTenant": "ScopeService.CreateTenant", "UpdateTenant": "ScopeService.UpdateTenant", "DeleteTenant": "ScopeService.DeleteTenant",
	"Apps": "ScopeService.ListApps", "App": "ScopeService.GetApp",
	"CreateApp": "ScopeService.CreateApp", "UpdateApp": "ScopeService.UpdateApp", "DeleteApp": "ScopeService.DeleteApp",
	"Envs": "ScopeService.ListEnvs", "Env": "ScopeService.GetEnv",
	"CreateEnv": "ScopeService.CreateEnv", "UpdateEnv": "ScopeService.UpdateEnv", "DeleteEnv": "ScopeService.DeleteEnv",
	"FreezeEnv": "ScopeService.FreezeEnv", "UnfreezeEnv": "ScopeService.UnfreezeEnv",

	"Configs": "ConfigService.ListConfigs", "Config": "ConfigService.GetConfig",
	"CreateConfig": "ConfigService.CreateConfig", "UpdateConfig": "ConfigService.UpdateConfig",
	"DeleteConfig": "ConfigService.DeleteConfig", "UndeleteConfig": "ConfigService.UndeleteConfig",
	"Draft": "ConfigService.GetDraft", "SaveDraft": "ConfigService.SaveDraft", "DeleteDraft": "ConfigService.DeleteDraft",
	"Validate": "ConfigService.ValidateContent",

	"Publish": "ReleaseService.Publish", "Rollback": "ReleaseService.Rollback", "Promote": "ReleaseService.Promote",
	"ChangeSets": "ReleaseService.ListChangeSets", "Releases": "ReleaseService.ListReleases", "Release": "ReleaseService.GetRelease",
	"Diff": "ReleaseService.Diff",

	"Launches": "LaunchService.ListLaunches", "Launch": "LaunchService.GetLaunch",
	"PauseLaunch": "LaunchService.PauseLaunch", "ResumeLaunch": "LaunchService.ResumeLaunch", "AdvanceLaunch": "LaunchService.AdvanceLaunch",
	"PromoteLaunch": "LaunchService.PromoteLaunch", "AbortLaunch": "LaunchService.AbortLaunch",
	"SwitchLaunch": "LaunchService.SwitchLaunch", "AdjustLaunch": "LaunchService.AdjustLaunch",

	"Explain": "InsightService.Explain", "Preview": "InsightService.Preview", "Instances": "InstanceService.ListInstances",

	"Export": "TransferService.ExportEnv", "Import": "TransferService.ImportEnv",
	"ExportTenant": "TransferService.ExportTenant", "ImportTenant": "TransferService.ImportTenant",

	"Login": "IdentityService.Login", "LoginFailed": "IdentityService.Login", "Logout": "IdentityService.Logout",
	"WhoAmI": "IdentityService.WhoAmI", "SetPassword": "IdentityService.SetPassword",
	"Tokens": "IdentityService.ListTokens", "CreateToken": "IdentityService.CreateToken", "RevokeToken": "IdentityService.RevokeToken",
	"Users": "IdentityService.ListUsers", "User": "IdentityService.GetUser",
	"CreateUser": "IdentityService.CreateUser", "UpdateUser": "IdentityService.UpdateUser", "DeleteUser": "IdentityService.DeleteUser",
	"Roles": "IdentityService.ListRoles", "Bindings": "IdentityService.ListBindings",
	"CreateRole": "IdentityService.CreateRole", "UpdateRole": "IdentityService.UpdateRole", "DeleteRole": "IdentityService.DeleteRole",
	"CanI": "IdentityService.CheckAccess", "CanSubject": "IdentityService.CheckAccess", "WhoCan": "IdentityService.WhoCan",
	"LogoutEverywhere": "IdentityService.EndSessions", "EndSessions": "IdentityService.EndSessions",
	"CreateBinding": "IdentityService.CreateBinding", "DeleteBinding": "IdentityService.DeleteBinding",

	"Audit": "AuditService.ListAuditRecords", "AuditSeal": "AuditService.GetAuditSeal", "VerifyAudit": "AuditService.VerifyAudit",

	"ClusterStatus": "ClusterService.GetClusterStatus", "Members": "ClusterService.ListMembers",
	"PromoteMember": "ClusterService.PromoteMember", "RemoveMember": "ClusterService.RemoveMember", "MoveLeader": "ClusterService.MoveLeader",
	"CreateJoinToken": "ClusterService.CreateJoinToken", "JoinTokens": "ClusterService.ListJoinTokens", "RevokeJoinToken": "ClusterService.RevokeJoinToken",
	"Backup": "ClusterService.CreateBackup", "BackupName": "ClusterService.CreateBackup",

	// People who consent on the page of a provider log in over REST.
	"LoginVouched": "",

	// Between nodes, and within one.
	"CheckJoinToken": "", "RedeemJoinToken": "", "LocalInstances": "", "LocalReceipts": "", "Self": "",
	"Run": "", "RunBackups": "", "LastBackup": "", "InstanceStats": "", "Limits": "", "Formats": "",
}

// Calls that need no verb.
var withoutVerb = map[string]bool{"DataService.GetVersion": true}

// A verb that the domain gains is missed here until there is a call for it.
func TestEveryVerbHasACall(t *testing.T) {
	unused := map[string]bool{}
	for _, f := range own(t, protoregistry.GlobalFiles) {
		walk(f, func(d protoreflect.Descriptor) {
			if m, ok := d.(protoreflect.MethodDescriptor); ok {
				unused[string(m.Parent().Name())+"."+string(m.Name())] = true
			}
		})
	}
	there := map[string]bool{}
	for rpc := range unused {
		there[rpc] = true
	}
	verbs := map[string]bool{}
	for m := range reflect.TypeFor[*center.Center]().Methods() {
		verbs[m.Name] = true
		rpc, known := rpcs[m.Name]
		switch {
		case !known:
			t.Errorf("center.Center.%s: want a call, or a line that says that it is none of a client's", m.Name)
		case rpc != "" && !there[rpc]:
			t.Errorf("center.Center.%s: want the call %s to be there", m.Name, rpc)
		}
		delete(unused, rpc)
	}
	for verb := range rpcs {
		if !verbs[verb] {
			t.Errorf("want no line for %s, which center.Center does not have", verb)
		}
	}
	for rpc := range unused {
		if !withoutVerb[rpc] {
			t.Errorf("%s: want a verb that it stands for", rpc)
		}
	}
}
