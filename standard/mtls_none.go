//go:build no_mtls

package standard

import "github.com/setpointhq/setpoint/server"

func addMTLS(*server.Drivers) {}
