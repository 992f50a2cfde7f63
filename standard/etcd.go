//go:build !no_etcd

package standard

import (
	"github.com/setpointhq/setpoint/server"
	"github.com/setpointhq/setpoint/store"
	"github.com/setpointhq/setpoint/store/etcd"
)

func addEtcd(d *server.Drivers) {
	d.Stores.Add("etcd", func() store.Driver { return new(etcd.Settings) })
}
