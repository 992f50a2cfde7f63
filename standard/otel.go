//go:build !no_otel

package standard

import (
	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/audit/otel"
	"github.com/setpointhq/setpoint/server"
)

func addOTel(d *server.Drivers) {
	d.Sinks.Add(otel.Name, func() audit.Driver { return new(otel.Settings) })
}
