//go:build no_ldap

package standard

import "github.com/setpointhq/setpoint/server"

func addLDAP(*server.Drivers) {}
