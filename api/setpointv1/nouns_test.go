package setpointv1_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/format/diff"
)

// snake writes a Go name as the description does: HasDraft is has_draft, and
// TokenID token_id.
func snake(name string) string {
	var b strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		wordBegins := unicode.IsUpper(r) && i > 0 &&
			(unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1]))
		if wordBegins {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// fieldNames are the fields of a struct by the names that they should have in the
// description: those that they have in JSON, without the unit of durations.
func fieldNames(noun reflect.Type) []string {
	var found []string
	for f := range noun.Fields() {
		if !f.IsExported() {
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			name = snake(f.Name)
		}
		found = append(found, strings.TrimSuffix(name, "_seconds"))
	}
	return found
}

// Names that differ everywhere: what pages are asked for with, options that are a
// message of their own, conditions. The protocol is what the server speaks.
var everywhere = map[string]string{
	"page_request": "page_size page_token", "release_options": "options",
	"expected": "expected_revision", "protocol": "",
}

// pairing is a struct of the domain and the message that carries it. differs
// tells where the two differ: "a=b" for a field of another name, "a=b,c" for one
// that became several, "a=" for one that is not carried, "+x" for what only the
// message has.
type pairing struct {
	noun    reflect.Type
	message string
	differs string
}

func of[T any](message, differs string) pairing {
	return pairing{reflect.TypeFor[T](), message, differs}
}

func nouns() []pairing {
	return []pairing{
		of[config.Problem]("Problem", ""),
		of[config.Error]("ErrorDetail", "err=message current=current_version +request_id +problems_omitted"),
		of[config.Tenant]("Tenant", ""),
		of[config.App]("App", ""),
		of[config.Env]("Env", ""),
		of[config.Freeze]("Freeze", "from=begins_at to=ends_at"),
		of[config.Weekly]("Weekly", "from=begins to=ends"),
		of[config.Config]("Config", ""),
		of[config.State]("ConfigState", ""),
		of[config.Draft]("Draft", ""),
		of[config.Release]("Release", ""),
		of[config.Source]("Source", "from=from_path"),
		of[config.Rollout]("Rollout", ""),
		of[config.Candidate]("Candidate", ""),
		of[config.Strategy]("Strategy", ""),
		of[config.Rule]("Rule", ""),
		of[config.Slots]("Slots", ""),
		of[config.Step]("Step", ""),
		of[config.Gate]("Gate", ""),
		of[config.Launch]("Launch", ""),
		of[config.LaunchItem]("LaunchItem", ""),
		of[config.LaunchEvent]("LaunchEvent", ""),
		of[config.ChangeSet]("ChangeSet", ""),
		of[config.ChangeItem]("ChangeItem", ""),
		of[config.Client]("Client", ""),
		of[config.Client]("ClientIdentity", "address="),
		of[config.Instance]("Instance", ""),
		of[config.Holding]("Holding", ""),
		of[config.VersionCount]("VersionCount", ""),
		of[config.Explained]("ExplainResponse", "+text"),
		of[config.Explanation]("Explanation", ""),
		of[config.ExplainedLaunch]("ExplainedLaunch", ""),
		of[config.Verdict]("Verdict", ""),
		of[config.Finding]("Finding", ""),
		of[config.Preview]("PreviewResponse", "page=instances,next_page_token"),
		of[config.PreviewCount]("PreviewCount", ""),
		of[config.PreviewInstance]("PreviewInstance", ""),
		of[config.PreviewChoice]("PreviewChoice", "now=now_version then=then_version"),
		of[config.ClusterStatus]("GetClusterStatusResponse", ""),
		of[config.Node]("Node", "self=is_self"),
		of[config.JoinToken]("JoinToken", ""),
		of[audit.Record]("AuditRecord", ""),
		of[audit.Actor]("Actor", ""),
		of[audit.Seal]("AuditSeal", ""),
		of[audit.Verification]("VerifyAuditResponse", ""),
		of[audit.Finding]("AuditFinding", "from=from_time until=until_time"),
		of[auth.Grant]("Grant", ""),
		of[auth.Token]("Token", "secret_hash= renew_at= renew_by= renewal="),
		of[auth.User]("User", "password_hash="),
		of[auth.RoleInfo]("Role", ""),
		of[auth.Binding]("Binding", ""),
		of[auth.Explanation]("CheckAccessResponse", ""),
		of[auth.Reason]("AccessReason", "grant= +role +scope +pattern +deny"),
		of[center.Holder]("AccessHolder", ""),
		of[diff.Change]("DiffChange", "from=from_value to=to_value"),
	}
}

// What verbs take and give.
func exchanges() []pairing {
	return []pairing{
		of[center.Read]("ReadConfigRequest", "+held_digest"),
		of[center.Served]("ReadConfigResponse", "release=config +unchanged +stale"),
		of[center.ReadEnv]("ReadEnvRequest", "+held_digest"),
		of[center.EnvSnapshot]("ReadEnvResponse", "releases=configs +digest +unchanged +stale"),
		of[center.Freshness]("Freshness", "strong=consistency"),
		of[center.WatchRequest]("WatchSubscribe", "client= +id +omit_content"),
		of[center.Delivery]("WatchChanges", "changes=served,removed +partial"),
		of[center.ReportRequest]("ReportRequest", ""),
		of[center.InstanceReport]("InstanceReport", ""),
		of[center.InstanceRequest]("ListInstancesRequest", ""),
		of[center.InstanceList]("ListInstancesResponse", "page=instances,next_page_token"),
		of[center.EnvPatch]("UpdateEnvRequest", ""),
		of[center.ConfigsRequest]("ListConfigsRequest", ""),
		of[center.ConfigPatch]("UpdateConfigRequest", ""),
		of[center.DeleteConfig]("DeleteConfigRequest", ""),
		of[center.SaveDraft]("SaveDraftRequest", ""),
		of[center.Publish]("PublishRequest", ""),
		of[center.PublishItem]("PublishItem", "from_draft=draft draft_revision="), // DraftSource has it
		of[center.ReleaseOptions]("ReleaseOptions", ""),
		of[center.LaunchOptions]("LaunchOptions", ""),
		of[center.Rollback]("RollbackRequest", ""),
		of[center.Promote]("PromoteRequest", "from=from_env to=to_env"),
		of[center.Ref]("ContentRef", ""),
		of[center.Diff]("DiffResponse", "from=from_side to=to_side"),
		of[center.DiffSide]("DiffSide", ""),
		of[center.LaunchRef]("LaunchRef", ""),
		of[center.LaunchAct]("LaunchAct", "launch_ref=launch"),
		of[center.LaunchesRequest]("ListLaunchesRequest", ""),
		of[center.SwitchLaunch]("SwitchLaunchRequest", "launch_act=act"),
		of[center.AdjustLaunch]("AdjustLaunchRequest", "launch_act=act"),
		of[center.ExplainRequest]("ExplainRequest", "client=instance,labels,slot,address"),
		of[center.PreviewRequest]("PreviewRequest", "paths=start release_options="), // PreviewStart has both
		of[center.PreviewChange]("PreviewChange", "launch_ref=launch"),
		of[center.Export]("ExportEnvRequest", ""),
		of[center.Import]("ImportEnvStart", "files="), // in the messages that follow
		of[center.ImportResult]("ImportEnvResponse", ""),
		of[center.ImportTenant]("ImportTenantStart", "from= as=name"), // in the messages that follow
		of[center.TenantImport]("ImportTenantResponse", ""),
		of[center.TenantContents]("TenantContents", ""),
		of[center.WhoAmI]("WhoAmIResponse", ""),
		of[center.NewToken]("CreateTokenRequest", ""),
		of[center.NewUser]("CreateUserRequest", ""),
		of[center.UserPatch]("UpdateUserRequest", ""),
		of[center.BindingsRequest]("ListBindingsRequest", ""),
		of[center.AuditRequest]("ListAuditRecordsRequest", ""),
		of[center.AuditExpectation]("VerifyAuditRequest", ""),
		of[center.NewJoinToken]("CreateJoinTokenRequest", ""),
		of[center.MintedJoinToken]("CreateJoinTokenResponse", "join_token=token invitation=addresses,fingerprint text=secret"),
	}
}

// A field that the domain gains is missed here until the description has it.
func TestEveryFieldIsCarried(t *testing.T) {
	for _, p := range slices.Concat(nouns(), exchanges()) {
		t.Run(p.noun.String()+" "+p.message, func(t *testing.T) {
			var want []string
			got := messageFields(t, p.message)
			renamed := map[string]string{}
			for _, d := range strings.Fields(p.differs) {
				if only, ok := strings.CutPrefix(d, "+"); ok {
					want = append(want, only)
					continue
				}
				from, to, _ := strings.Cut(d, "=")
				renamed[from] = strings.ReplaceAll(to, ",", " ")
			}
			for _, name := range fieldNames(p.noun) {
				as, differs := renamed[name]
				if !differs && !slices.Contains(got, name) {
					as, differs = everywhere[name]
				}
				if !differs {
					as = name
				}
				want = append(want, strings.Fields(as)...)
				delete(renamed, name)
			}
			if len(renamed) > 0 {
				t.Errorf("want only differences of fields that there are, got %v", renamed)
			}
			slices.Sort(want)
			slices.Sort(got)
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s (-%s +%s):\n%s", p.message, p.noun, p.message, d)
			}
		})
	}
}

func messageFields(t *testing.T, name string) []string {
	t.Helper()
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(pkg + "." + name))
	if err != nil {
		t.Fatal(err)
	}
	fields := d.(protoreflect.MessageDescriptor).Fields()
	var found []string
	for i := range fields.Len() {
		found = append(found, string(fields.Get(i).Name()))
	}
	return found
}
