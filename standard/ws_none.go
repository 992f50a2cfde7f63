//go:build no_ws

package standard

import "github.com/setpointhq/setpoint/server"

func addWebSocket(*server.Drivers) {}
