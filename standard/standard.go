// Package standard lists the drivers that this build of Setpoint has, one line
// each. A driver in a file of its own can be left out by the build tag that the
// file names: go build -tags no_toml,no_yaml ./cmd/setpoint.
//
// A build with drivers of its own starts from Drivers and adds to it.
package standard

import (
	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/audit/file"
	"github.com/setpointhq/setpoint/audit/stdout"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/basic"
	"github.com/setpointhq/setpoint/auth/rbac"
	"github.com/setpointhq/setpoint/auth/token"
	"github.com/setpointhq/setpoint/cache"
	cachememory "github.com/setpointhq/setpoint/cache/memory"
	"github.com/setpointhq/setpoint/format"
	"github.com/setpointhq/setpoint/format/json"
	"github.com/setpointhq/setpoint/format/text"
	"github.com/setpointhq/setpoint/server"
	"github.com/setpointhq/setpoint/store"
	storememory "github.com/setpointhq/setpoint/store/memory"
)

// Drivers returns every driver of this build.
func Drivers() *server.Drivers {
	d := server.NewDrivers()

	d.Stores.Add("memory", func() store.Driver { return new(storememory.Settings) })
	addEtcd(d)

	d.Caches.Add("memory", func() cache.Driver { return new(cachememory.Settings) })

	d.Authenticators.Add(token.Name, func() auth.Driver { return new(token.Settings) })
	d.Authenticators.Add(basic.Name, func() auth.Driver { return new(basic.Settings) })
	addJWT(d)
	addOIDC(d)
	addLDAP(d)
	addMTLS(d)
	addKubernetes(d)
	d.Authorizers.Add(rbac.Name, func() auth.AuthorizerDriver { return new(rbac.Settings) })

	d.Sinks.Add(file.Name, func() audit.Driver { return new(file.Settings) })
	d.Sinks.Add(stdout.Name, func() audit.Driver { return new(stdout.Settings) })
	addSyslog(d)
	addWebhook(d)
	addKafka(d)
	addOTel(d)

	d.Formats.Add("json", func() format.Format { return json.New() })
	addYAML(d)
	addTOML(d)
	d.Formats.Add("text", func() format.Format { return text.New() })

	addREST(d)
	addWebSocket(d)
	addGRPC(d)
	addGraphQL(d)
	return d
}
