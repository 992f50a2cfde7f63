package grpc

import (
	"github.com/setpointhq/setpoint/api/setpointv1"
	"github.com/setpointhq/setpoint/config"
)

func tenantOf(t config.Tenant) *setpointv1.Tenant {
	return &setpointv1.Tenant{
		Name: t.Name, Description: t.Description, Closing: t.Closing,
		CreatedAt: timeOf(t.CreatedAt), CreatedBy: t.CreatedBy, Revision: string(t.Revision),
	}
}

func appOf(a config.App) *setpointv1.App {
	return &setpointv1.App{
		Tenant: a.Tenant, Name: a.Name, Description: a.Description, Closing: a.Closing,
		CreatedAt: timeOf(a.CreatedAt), CreatedBy: a.CreatedBy, Revision: string(a.Revision),
	}
}

func envOf(e config.Env) *setpointv1.Env {
	return &setpointv1.Env{
		Tenant: e.Tenant, App: e.App, Name: e.Name, Kind: string(e.Kind), Description: e.Description,
		Protected: e.Protected, Closing: e.Closing, Order: int32(e.Order), Freezes: all(e.Freezes, freezeOf),
		CreatedAt: timeOf(e.CreatedAt), CreatedBy: e.CreatedBy, Revision: string(e.Revision),
	}
}

func freezeOf(f config.Freeze) *setpointv1.Freeze {
	m := &setpointv1.Freeze{Name: f.Name, Reason: f.Reason, BeginsAt: timeOf(f.From), EndsAt: timeOf(f.To)}
	if f.Weekly != nil {
		m.Weekly = &setpointv1.Weekly{Begins: f.Weekly.From, Ends: f.Weekly.To, Zone: f.Weekly.Zone}
	}
	return m
}

func (q *asked) freeze(where string, m *setpointv1.Freeze) config.Freeze {
	f := config.Freeze{
		Name: m.GetName(), Reason: m.GetReason(),
		From: q.time(where+".begins_at", m.GetBeginsAt()), To: q.time(where+".ends_at", m.GetEndsAt()),
	}
	if w := m.GetWeekly(); w != nil {
		f.Weekly = &config.Weekly{From: w.GetBegins(), To: w.GetEnds(), Zone: w.GetZone()}
	}
	return f
}

func (q *asked) freezes(where string, all []*setpointv1.Freeze) []config.Freeze {
	var freezes []config.Freeze
	for i, m := range all {
		freezes = append(freezes, q.freeze(index(where, i), m))
	}
	return freezes
}
