package rest

import (
	"context"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/setpointhq/setpoint/center"
)

// Route is one thing that can be asked for.
type Route struct {
	Method  string // "GET"; answers HEAD as well
	Pattern string // "/v1/tenants/{tenant}"
	Op      string // the operation of package center, "tenant.get"
	ID      string // unique, "get-tenant"
	Public  bool   // needs no identity

	tag         string
	summary     string
	description string
	body        bodyKind
	status      int   // of success; 0 means 200, or 204 without a body
	errors      []int // statuses beside those that every route may answer
	lasting     bool  // serve takes the measure of a success itself, once it has begun

	// One of the two: a handler written on net/http, with its description, or
	// one that huma calls.
	serve    func(*api, http.ResponseWriter, *http.Request) error
	describe func(huma.Registry, *huma.Operation)
	register func(*api, huma.API, huma.Operation)
}

// bodyKind says how large a request's body may be, and of what type.
type bodyKind uint8

const (
	noBody        bodyKind = iota
	smallBody              // JSON without content
	reportBody             // JSON with what an instance reports
	contentBody            // JSON with the content of one config
	changeSetBody          // JSON with the contents of many
	archiveBody            // an archive
	tenantBody             // the export of a tenant, of which nothing is held in memory
)

// Routes lists everything that the protocol serves below /v1.
func Routes() []Route {
	return slices.Concat(
		dataRoutes(), scopeRoutes(), freezeRoutes(), configRoutes(), draftRoutes(), publishRoutes(), launchRoutes(),
		historyRoutes(), explainRoutes(), previewRoutes(), archiveRoutes(), identityRoutes(), federationRoutes(), accountRoutes(), rightsRoutes(), auditRoutes(), clusterRoutes(), instanceRoutes(), backupRoutes(), tenantRoutes(),
	)
}

// control is a route whose parameters, body and answer huma reads and writes,
// by the structs I and O.
func control[I, O any](r Route, handle func(*api, context.Context, *I) (*O, error)) Route {
	r.register = func(a *api, into huma.API, op huma.Operation) {
		huma.Register(into, op, func(ctx context.Context, in *I) (*O, error) { return handle(a, ctx, in) })
	}
	return r
}

// direct is a route written on net/http: where every microsecond counts, or the
// body is no JSON. Its description is written by hand.
func direct(r Route, serve func(*api, http.ResponseWriter, *http.Request) error, describe func(huma.Registry, *huma.Operation)) Route {
	r.serve, r.describe = serve, describe
	return r
}

// maxBody returns the limit of a route's body in bytes.
func (a *api) maxBody(kind bodyKind) int64 {
	const envelope = 64 << 10 // what a body holds beside content
	switch kind {
	case smallBody:
		return envelope
	case reportBody: // of as many configs as it may, with the longest reasons
		return center.MaxReports*4<<10 + envelope
	case contentBody: // base64 takes four bytes for three
		return int64(a.center.Limits().ConfigSize)*4/3 + envelope
	case changeSetBody:
		return int64(a.settings.ChangeSetBody)
	case archiveBody:
		return int64(a.settings.ArchiveBody)
	case tenantBody: // which is compressed, and smaller but for its envelope
		return int64(a.center.Limits().TenantSize) + envelope
	default:
		return 0
	}
}
