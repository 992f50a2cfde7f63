package grpc

import (
	"github.com/setpointhq/setpoint/api/setpointv1"
	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

// words pairs the values of an enum with what the domain calls them. A test
// proves each table total. The value 0 is no word, and stands for "".
type words[E ~int32, W ~string] map[E]W

// of renders a word.
func (w words[E, W]) of(word W) E {
	for value, known := range w {
		if known == word {
			return value
		}
	}
	return 0
}

// word reads a value.
func word[E ~int32, W ~string](q *asked, where string, table words[E, W], value E) W {
	found, known := table[value]
	if !known && value != 0 {
		q.refuse(where, "the value is none that this server knows")
	}
	return found
}

var severityWords = words[setpointv1.Severity, config.Severity]{
	setpointv1.Severity_SEVERITY_ERROR:   config.SeverityError,
	setpointv1.Severity_SEVERITY_WARNING: config.SeverityWarning,
}

var configKindWords = words[setpointv1.ConfigKind, config.Kind]{
	setpointv1.ConfigKind_CONFIG_KIND_FILE: config.KindFile,
	setpointv1.ConfigKind_CONFIG_KIND_FLAG: config.KindFlag,
}

var sourceKindWords = words[setpointv1.SourceKind, config.SourceKind]{
	setpointv1.SourceKind_SOURCE_KIND_PUBLISH:   config.SourcePublish,
	setpointv1.SourceKind_SOURCE_KIND_ROLLBACK:  config.SourceRollback,
	setpointv1.SourceKind_SOURCE_KIND_PROMOTION: config.SourcePromotion,
	setpointv1.SourceKind_SOURCE_KIND_IMPORT:    config.SourceImport,
}

var onRunningWords = words[setpointv1.OnRunning, center.OnRunning]{
	setpointv1.OnRunning_ON_RUNNING_SUPERSEDE: center.SupersedeRunning,
	setpointv1.OnRunning_ON_RUNNING_BEFORE:    center.BeforeRunning,
	setpointv1.OnRunning_ON_RUNNING_AFTER:     center.AfterRunning,
}

var launchStateWords = words[setpointv1.LaunchState, config.LaunchState]{
	setpointv1.LaunchState_LAUNCH_STATE_SCHEDULED:   config.LaunchScheduled,
	setpointv1.LaunchState_LAUNCH_STATE_RUNNING:     config.LaunchRunning,
	setpointv1.LaunchState_LAUNCH_STATE_PAUSED:      config.LaunchPaused,
	setpointv1.LaunchState_LAUNCH_STATE_PROMOTED:    config.LaunchPromoted,
	setpointv1.LaunchState_LAUNCH_STATE_ABORTED:     config.LaunchAborted,
	setpointv1.LaunchState_LAUNCH_STATE_SUPERSEDED:  config.LaunchSuperseded,
	setpointv1.LaunchState_LAUNCH_STATE_FALLEN_BACK: config.LaunchFellBack,
	setpointv1.LaunchState_LAUNCH_STATE_EXPIRED:     config.LaunchExpired,
}

var launchChangeWords = words[setpointv1.LaunchChange, config.LaunchChange]{
	setpointv1.LaunchChange_LAUNCH_CHANGE_ADVANCE: config.ChangeAdvance,
	setpointv1.LaunchChange_LAUNCH_CHANGE_SWITCH:  config.ChangeSwitch,
	setpointv1.LaunchChange_LAUNCH_CHANGE_PROMOTE: config.ChangePromote,
	setpointv1.LaunchChange_LAUNCH_CHANGE_ABORT:   config.ChangeAbort,
}

var strategyKindWords = words[setpointv1.StrategyKind, config.StrategyKind]{
	setpointv1.StrategyKind_STRATEGY_KIND_ALL:         config.StrategyAll,
	setpointv1.StrategyKind_STRATEGY_KIND_CANARY:      config.StrategyCanary,
	setpointv1.StrategyKind_STRATEGY_KIND_TARGETS:     config.StrategyTargets,
	setpointv1.StrategyKind_STRATEGY_KIND_BLUE_GREEN:  config.StrategyBlueGreen,
	setpointv1.StrategyKind_STRATEGY_KIND_PROGRESSIVE: config.StrategyProgressive,
}

var ackStateWords = words[setpointv1.AckState, config.AckState]{
	setpointv1.AckState_ACK_STATE_APPLIED: config.AckApplied,
	setpointv1.AckState_ACK_STATE_REFUSED: config.AckRefused,
}

var instanceStateWords = words[setpointv1.InstanceState, string]{
	setpointv1.InstanceState_INSTANCE_STATE_APPLIED: center.InstanceApplied,
	setpointv1.InstanceState_INSTANCE_STATE_REFUSED: center.InstanceRefused,
	setpointv1.InstanceState_INSTANCE_STATE_SILENT:  center.InstanceSilent,
}

var reasonWords = words[setpointv1.Reason, config.Reason]{
	setpointv1.Reason_REASON_DELETED:     config.ReasonDeleted,
	setpointv1.Reason_REASON_UNPUBLISHED: config.ReasonUnpublished,
	setpointv1.Reason_REASON_STABLE:      config.ReasonStable,
	setpointv1.Reason_REASON_ALL:         config.ReasonAll,
	setpointv1.Reason_REASON_RULE:        config.ReasonRule,
	setpointv1.Reason_REASON_TARGET:      config.ReasonTarget,
	setpointv1.Reason_REASON_SLOT:        config.ReasonSlot,
	setpointv1.Reason_REASON_STEP:        config.ReasonStep,
}

// diffOpWords are what happens to a value between two contents.
var diffOpWords = words[setpointv1.DiffOp, string]{
	setpointv1.DiffOp_DIFF_OP_ADD:    "add",
	setpointv1.DiffOp_DIFF_OP_REMOVE: "remove",
	setpointv1.DiffOp_DIFF_OP_CHANGE: "change",
}

// valueKindWords are the names of format.NodeKind.
var valueKindWords = words[setpointv1.ValueKind, string]{
	setpointv1.ValueKind_VALUE_KIND_NULL:   "null",
	setpointv1.ValueKind_VALUE_KIND_BOOL:   "bool",
	setpointv1.ValueKind_VALUE_KIND_NUMBER: "number",
	setpointv1.ValueKind_VALUE_KIND_STRING: "string",
	setpointv1.ValueKind_VALUE_KIND_TIME:   "time",
	setpointv1.ValueKind_VALUE_KIND_LIST:   "list",
	setpointv1.ValueKind_VALUE_KIND_MAP:    "map",
}

var archiveFormatWords = words[setpointv1.ArchiveFormat, center.ArchiveFormat]{
	setpointv1.ArchiveFormat_ARCHIVE_FORMAT_ZIP:    center.Zip,
	setpointv1.ArchiveFormat_ARCHIVE_FORMAT_TAR_GZ: center.TarGz,
}

var nodeRoleWords = words[setpointv1.NodeRole, config.Role]{
	setpointv1.NodeRole_NODE_ROLE_VOTER:   config.Voter,
	setpointv1.NodeRole_NODE_ROLE_LEARNER: config.Learner,
	setpointv1.NodeRole_NODE_ROLE_EDGE:    config.Edge,
}

var outcomeWords = words[setpointv1.AuditOutcome, audit.Outcome]{
	setpointv1.AuditOutcome_AUDIT_OUTCOME_DONE:   audit.Done,
	setpointv1.AuditOutcome_AUDIT_OUTCOME_DENIED: audit.Denied,
	setpointv1.AuditOutcome_AUDIT_OUTCOME_FAILED: audit.Failed,
}

var findingKindWords = words[setpointv1.AuditFindingKind, audit.FindingKind]{
	setpointv1.AuditFindingKind_AUDIT_FINDING_KIND_REMOVED:   audit.Removed,
	setpointv1.AuditFindingKind_AUDIT_FINDING_KIND_ALTERED:   audit.Altered,
	setpointv1.AuditFindingKind_AUDIT_FINDING_KIND_ADDED:     audit.Added,
	setpointv1.AuditFindingKind_AUDIT_FINDING_KIND_REORDERED: audit.Reordered,
	setpointv1.AuditFindingKind_AUDIT_FINDING_KIND_BROKEN:    audit.Broken,
	setpointv1.AuditFindingKind_AUDIT_FINDING_KIND_REPLACED:  audit.Replaced,
	setpointv1.AuditFindingKind_AUDIT_FINDING_KIND_MISDATED:  audit.Misdated,
}
