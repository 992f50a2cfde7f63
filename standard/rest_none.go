//go:build no_rest

package standard

import "github.com/setpointhq/setpoint/server"

func addREST(*server.Drivers) {}
