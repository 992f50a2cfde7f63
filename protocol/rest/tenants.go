package rest

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

const mediaTypeBytes = "application/octet-stream"

func tenantRoutes() []Route {
	return []Route{
		direct(Route{Method: "GET", Pattern: pathTenant + "/export", Op: "tenant.export", ID: "export-tenant", tag: tagScopes,
			summary: "Export a tenant",
			description: "With its whole history, as of one revision, as one file that another installation imports. Users, tokens and bindings are not part of it. " +
				"It ends with the SHA-256 of all that comes before: an answer that does not is no export.",
			errors: []int{http.StatusNotFound, http.StatusGone}}, (*api).exportTenant, describeExportTenant),
		direct(Route{Method: "POST", Pattern: "/v1/tenants/import", Op: "tenant.import", ID: "import-tenant", tag: tagScopes,
			summary: "Import a tenant",
			description: "From what an export wrote, in this installation or another: whole, or not at all. Versions, times and authors stay what they were; " +
				"the audit records come along and tell where they are from. Launches that ran arrive paused, and scheduled ones whose time has passed are called off. An import that was broken off can be repeated, or removed by deleting the tenant.",
			body: tenantBody, status: http.StatusCreated,
			errors: []int{http.StatusNotFound, http.StatusConflict, http.StatusTooManyRequests, http.StatusNotImplemented}}, (*api).importTenant, describeImportTenant),
	}
}

func (a *api) exportTenant(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	if r.Method == http.MethodHead { // a whole export would be made to be thrown away
		return &statusError{err: errMethod(r.Method, http.MethodGet), status: http.StatusMethodNotAllowed, allow: http.MethodGet}
	}
	tenant := r.PathValue("tenant")
	control := http.NewResponseController(w)
	out := &lateWriter{w: &steady{w: w, control: control, patience: a.settings.StreamWriteTimeout}, start: func() {
		h := w.Header()
		h.Set("Content-Type", mediaTypeBytes)
		h.Set("Content-Disposition", `attachment; filename="`+tenant+`.tenant"`)
	}}
	_, err := a.center.ExportTenant(r.Context(), tenant, out)
	_ = control.SetWriteDeadline(time.Time{}) // not every connection has deadlines
	if err != nil && out.started {
		a.log.WarnContext(r.Context(), "the export of a tenant was cut short", "tenant", tenant, "error", err)
		panic(http.ErrAbortHandler) // part of an export must not look like all of it
	}
	return err
}

func (a *api) importTenant(w http.ResponseWriter, r *http.Request) error {
	q, err := query(r, "as", "discard")
	if err != nil {
		return err
	}
	discard, err := boolOf(q.Get("discard"), "discard")
	if err != nil {
		return err
	}
	if media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); !strings.EqualFold(strings.TrimSpace(media), mediaTypeBytes) {
		return refuse(http.StatusUnsupportedMediaType, errors.New("the body must be "+mediaTypeBytes))
	}
	body := &steadyBody{r: r, control: http.NewResponseController(w), patience: a.settings.BodyTimeout}
	done, err := a.center.ImportTenant(r.Context(), center.ImportTenant{From: body, As: q.Get("as"), Discard: discard})
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/v1/tenants/"+done.Tenant.Name)
	writeJSON(w, http.StatusCreated, done)
	return nil
}

// steadyBody is a request's body of any length. It is given up when nothing
// comes for long, not when it takes long in all.
type steadyBody struct {
	r        *http.Request
	control  *http.ResponseController
	patience time.Duration
}

// Read implements io.Reader.
func (b *steadyBody) Read(p []byte) (int, error) {
	_ = b.control.SetReadDeadline(time.Now().Add(b.patience)) // not every connection has deadlines
	n, err := b.r.Body.Read(p)
	if err != nil {
		// What follows is not reading. A deadline that passed meanwhile would end the
		// request, as if the client had gone.
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

func describeExportTenant(_ huma.Registry, op *huma.Operation) {
	op.Parameters = configParams()[:1]
	op.Responses["200"] = &huma.Response{
		Description: "The export.",
		Headers:     headers("Content-Disposition", "a name for the file"),
		Content:     bytesContent(),
	}
}

func describeImportTenant(registry huma.Registry, op *huma.Operation) {
	op.Parameters = []*huma.Param{
		queryParam("as", "the name that it gets; left out, the one that it had", text()),
		queryParam("discard", "remove for good the history that a deleted tenant of the name has left, which is in the way otherwise", boolean()),
	}
	op.RequestBody = &huma.RequestBody{Required: true, Content: bytesContent()}
	op.Responses["201"] = &huma.Response{
		Description: "The tenant, and what came with it.", Headers: headers("Location", "where it is"),
		Content: jsonBody[center.TenantImport](registry, center.TenantImport{
			Tenant: config.Tenant{Name: "acme"}, Installation: "k3vwq2ab", Name: "acme", Contents: center.TenantContents{Apps: 1, Envs: 3, Configs: 12, Rollouts: 12, Launches: 4, Releases: 90, AuditRecords: 140},
		}),
	}
}

func bytesContent() map[string]*huma.MediaType {
	return map[string]*huma.MediaType{mediaTypeBytes: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}
}
