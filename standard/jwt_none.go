//go:build no_jwt

package standard

import "github.com/setpointhq/setpoint/server"

func addJWT(*server.Drivers) {}
