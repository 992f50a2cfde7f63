//go:build !no_kafka

package standard

import (
	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/audit/kafka"
	"github.com/setpointhq/setpoint/server"
)

func addKafka(d *server.Drivers) {
	d.Sinks.Add(kafka.Name, func() audit.Driver { return new(kafka.Settings) })
}
