//go:build no_otel

package standard

import "github.com/setpointhq/setpoint/server"

func addOTel(*server.Drivers) {}
