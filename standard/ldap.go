//go:build !no_ldap

package standard

import (
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/ldap"
	"github.com/setpointhq/setpoint/server"
)

func addLDAP(d *server.Drivers) {
	d.Authenticators.Add(ldap.Name, func() auth.Driver { return new(ldap.Settings) })
}
