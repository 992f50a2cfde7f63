//go:build no_grpc

package standard

import "github.com/setpointhq/setpoint/server"

func addGRPC(*server.Drivers) {}
