//go:build !no_rest

package standard

import (
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/protocol/rest"
	"github.com/setpointhq/setpoint/server"
)

func addREST(d *server.Drivers) {
	d.Protocols.Add(rest.Name, func() protocol.Driver { return new(rest.Settings) })
}
