//go:build !no_graphql

package standard

import (
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/protocol/graphql"
	"github.com/setpointhq/setpoint/server"
)

func addGraphQL(d *server.Drivers) {
	d.Protocols.Add(graphql.Name, func() protocol.Driver { return new(graphql.Settings) })
}
