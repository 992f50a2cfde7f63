//go:build no_kafka

package standard

import "github.com/setpointhq/setpoint/server"

func addKafka(*server.Drivers) {}
