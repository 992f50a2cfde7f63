//go:build !no_mtls

package standard

import (
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/mtls"
	"github.com/setpointhq/setpoint/server"
)

func addMTLS(d *server.Drivers) {
	d.Authenticators.Add(mtls.Name, func() auth.Driver { return new(mtls.Settings) })
}
