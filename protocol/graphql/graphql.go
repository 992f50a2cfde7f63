// Package graphql is the GraphQL protocol: every operation of the data plane and the
// control plane at /graphql, described by the schema in api/graphql.
//
// The package turns operations into calls of package center and back. It decides
// nothing: not who may do what, and not what exists. The code of internal/exec is
// generated of the schema (make graphql) and bound to the nouns of the domain.
package graphql

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	gql "github.com/99designs/gqlgen/graphql"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/protocol/graphql/internal/exec"
	"github.com/setpointhq/setpoint/protocol/internal/caller"
)

// Name of the driver, in settings and measurements.
const Name = "graphql"

// path is where everything is served.
const path = "/graphql"

// api is the open protocol.
type api struct {
	settings Settings
	maxBody  int64
	center   *center.Center
	auth     auth.Chain
	log      *slog.Logger
	observer protocol.Observer
	version  string
	proxies  caller.Proxies
	origin   *http.CrossOriginProtection

	schema     gql.ExecutableSchema
	documents  *documents
	persisted  *persisted
	playground *playground // nil: there is none
	transport  *transport
}

// Open makes the protocol ready and registers its routes with the host.
func (s *Settings) Open(_ context.Context, host protocol.Host) (protocol.Protocol, error) {
	a, err := newAPI(*s, host)
	if err != nil {
		return nil, err
	}
	host.HTTP(path, a)
	if a.playground != nil {
		host.HTTP(assets, a.playground)
	}
	return a, nil
}

func newAPI(s Settings, host protocol.Host) (*api, error) {
	proxies, err := s.proxies()
	if err != nil {
		return nil, err
	}
	a := &api{
		settings: s, maxBody: s.maxBody(host.Center.Limits()), center: host.Center, auth: host.Auth, log: host.Log,
		observer: host.Observer, version: host.Version, proxies: proxies, origin: http.NewCrossOriginProtection(),
	}
	a.schema = exec.NewExecutableSchema(exec.Config{Resolvers: &resolver{a}})
	if a.documents, err = newDocuments(int64(s.Documents)); err != nil {
		return nil, err
	}
	if a.persisted, err = newPersisted(&s, a); err != nil {
		return nil, err
	}
	if s.Playground {
		if a.playground, err = newPlayground(); err != nil {
			return nil, err
		}
	}
	a.transport, err = newTransport(a, host) // the last, since it is to be closed
	return a, err
}

// Name implements protocol.Protocol.
func (a *api) Name() string { return Name }

// Close implements protocol.Protocol: it ends subscriptions. Requests end by
// themselves, and the HTTP server waits for them.
func (a *api) Close(ctx context.Context) error { return a.transport.close(ctx) }

// observe measures an operation; name is that of a root field, "Query.config", or
// "-" for a request that came to none.
func (a *api) observe(name string, err error, started time.Time) {
	code := "ok"
	if err != nil {
		code = config.KindOf(err).String()
	}
	a.observer.ObserveRequest(Name, name, code, time.Since(started))
}

var (
	_ protocol.Ported   = (*Settings)(nil)
	_ protocol.Protocol = (*api)(nil)
)
