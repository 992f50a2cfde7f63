//go:build !no_k8s

package standard

import (
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/k8s"
	"github.com/setpointhq/setpoint/server"
)

func addKubernetes(d *server.Drivers) {
	d.Authenticators.Add(k8s.Name, func() auth.Driver { return new(k8s.Settings) })
}
