//go:build no_syslog

package standard

import "github.com/setpointhq/setpoint/server"

func addSyslog(*server.Drivers) {}
