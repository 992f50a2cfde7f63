//go:build !no_grpc

package standard

import (
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/protocol/grpc"
	"github.com/setpointhq/setpoint/server"
)

func addGRPC(d *server.Drivers) {
	d.Protocols.Add(grpc.Name, func() protocol.Driver { return new(grpc.Settings) })
}
