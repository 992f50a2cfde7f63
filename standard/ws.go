//go:build !no_ws

package standard

import (
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/protocol/ws"
	"github.com/setpointhq/setpoint/server"
)

func addWebSocket(d *server.Drivers) {
	d.Protocols.Add(ws.Name, func() protocol.Driver { return new(ws.Settings) })
}
