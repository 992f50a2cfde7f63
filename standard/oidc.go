//go:build !no_oidc

package standard

import (
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/oidc"
	"github.com/setpointhq/setpoint/server"
)

func addOIDC(d *server.Drivers) {
	d.Authenticators.Add(oidc.Name, func() auth.Driver { return new(oidc.Settings) })
}
