//go:build !no_jwt

package standard

import (
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/jwt"
	"github.com/setpointhq/setpoint/server"
)

func addJWT(d *server.Drivers) {
	d.Authenticators.Add(jwt.Name, func() auth.Driver { return new(jwt.Settings) })
}
