//go:build no_yaml

package standard

import "github.com/setpointhq/setpoint/server"

func addYAML(*server.Drivers) {}
