//go:build !no_webhook

package standard

import (
	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/audit/webhook"
	"github.com/setpointhq/setpoint/server"
)

func addWebhook(d *server.Drivers) {
	d.Sinks.Add(webhook.Name, func() audit.Driver { return new(webhook.Settings) })
}
