//go:build no_toml

package standard

import "github.com/setpointhq/setpoint/server"

func addTOML(*server.Drivers) {}
