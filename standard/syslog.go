//go:build !no_syslog

package standard

import (
	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/audit/syslog"
	"github.com/setpointhq/setpoint/server"
)

func addSyslog(d *server.Drivers) {
	d.Sinks.Add(syslog.Name, func() audit.Driver { return new(syslog.Settings) })
}
