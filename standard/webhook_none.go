//go:build no_webhook

package standard

import "github.com/setpointhq/setpoint/server"

func addWebhook(*server.Drivers) {}
