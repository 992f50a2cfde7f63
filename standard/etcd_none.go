//go:build no_etcd

package standard

import "github.com/setpointhq/setpoint/server"

func addEtcd(*server.Drivers) {}
