//go:build no_k8s

package standard

import "github.com/setpointhq/setpoint/server"

func addKubernetes(*server.Drivers) {}
