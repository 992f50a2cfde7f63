//go:build no_graphql

package standard

import "github.com/setpointhq/setpoint/server"

func addGraphQL(*server.Drivers) {}
