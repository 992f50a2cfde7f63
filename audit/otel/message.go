package otel

import (
	"strings"

	collector "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"

	"github.com/setpointhq/setpoint/audit"
)

// request makes the message of a batch.
func (s *Sink) request(records []audit.Encoded) *collector.ExportLogsServiceRequest {
	observed := uint64(s.now().UnixNano())
	all := make([]*logs.LogRecord, len(records))
	for i, r := range records {
		all[i] = log(r, observed)
	}
	return &collector.ExportLogsServiceRequest{ResourceLogs: []*logs.ResourceLogs{{
		Resource: &resource.Resource{Attributes: attributes([]attribute{
			{"service.name", s.settings.ServiceName}, {"service.version", s.version}, {"service.instance.id", s.node},
		})},
		ScopeLogs: []*logs.ScopeLogs{{
			Scope:      &common.InstrumentationScope{Name: "github.com/setpointhq/setpoint/audit", Version: s.version},
			LogRecords: all,
		}},
	}}}
}

// log makes the log of one record: what was denied or failed is a warning.
func log(r audit.Encoded, observed uint64) *logs.LogRecord {
	severity, text := logs.SeverityNumber_SEVERITY_NUMBER_WARN, "WARN"
	if r.Outcome == audit.Done {
		severity, text = logs.SeverityNumber_SEVERITY_NUMBER_INFO, "INFO"
	}
	return &logs.LogRecord{
		TimeUnixNano: uint64(max(0, r.Time.UnixNano())), ObservedTimeUnixNano: observed,
		SeverityNumber: severity, SeverityText: text, EventName: "setpoint.audit", Body: textValue(string(r.JSON)),
		Attributes: attributes([]attribute{
			{"setpoint.audit.id", r.ID},
			{"setpoint.audit.action", r.Action},
			{"setpoint.audit.outcome", string(r.Outcome)},
			{"setpoint.audit.actor", r.Actor.Subject},
			{"setpoint.audit.method", r.Actor.Method},
			{"setpoint.audit.request_id", r.Actor.RequestID},
			{"setpoint.audit.path", r.Path.String()},
			{"setpoint.audit.subject", r.Subject},
			{"setpoint.tenant", r.Path.Tenant},
			{"client.address", r.Actor.Address},
		}),
	}
}

type attribute struct{ key, value string }

// attributes leaves out those that are empty.
func attributes(list []attribute) []*common.KeyValue {
	var all []*common.KeyValue
	for _, a := range list {
		if a.value != "" {
			all = append(all, &common.KeyValue{Key: a.key, Value: textValue(a.value)})
		}
	}
	return all
}

// textValue makes a value; protobuf wants UTF-8.
func textValue(text string) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: strings.ToValidUTF8(text, "\ufffd")}}
}
