//go:build no_oidc

package standard

import "github.com/setpointhq/setpoint/server"

func addOIDC(*server.Drivers) {}
