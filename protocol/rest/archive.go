package rest

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/setpointhq/setpoint/center"
)

const tagArchives = "Archives"

func archiveRoutes() []Route {
	return []Route{
		direct(Route{Method: "GET", Pattern: pathEnv + "/export", Op: "env.export", ID: "export-env", tag: tagArchives,
			summary: "Export what an env serves", description: "As an archive: each config at its file name, byte for byte as it was published, all as of one revision.",
			errors: readStatuses}, (*api).exportEnv, describeExport),
		direct(Route{Method: "POST", Pattern: pathEnv + "/import", Op: "config.import", ID: "import-env", tag: tagArchives,
			summary: "Import a directory", description: "From an archive, as one change set. What is new is created, what is served already is left alone. " +
				"How the releases get to their clients is said in the query, `rollout` in JSON. " + releaseDescription,
			body: archiveBody, errors: publishStatuses}, (*api).importEnv, describeImport),
	}
}

// The types that archives come and go as.
var archiveTypes = map[center.ArchiveFormat]string{
	center.Zip:   "application/zip",
	center.TarGz: "application/gzip",
}

func (a *api) exportEnv(w http.ResponseWriter, r *http.Request) error {
	q, err := query(r, "format", "name")
	if err != nil {
		return err
	}
	format := center.ArchiveFormat(q.Get("format"))
	if format == "" {
		format = center.Zip
	}
	path := configPath(r)
	out := &lateWriter{w: w, start: func() {
		h := w.Header()
		h.Set("Content-Type", archiveTypes[format])
		h.Set("Content-Disposition", `attachment; filename="`+path.Tenant+"-"+path.App+"-"+path.Env+"."+string(format)+`"`)
	}}
	err = a.center.Export(r.Context(), center.Export{Env: path, Names: q["name"], Format: format}, out)
	if err != nil && out.started {
		a.log.ErrorContext(r.Context(), "export cut short", "path", path.String(), "error", err)
		panic(http.ErrAbortHandler) // half an archive must not look like a whole one
	}
	return err
}

// lateWriter sets the headers of a success only when the first byte is there,
// so that what fails before can still be answered as an error.
type lateWriter struct {
	w       io.Writer
	start   func()
	started bool
}

func (l *lateWriter) Write(b []byte) (int, error) {
	if !l.started {
		l.started = true
		l.start()
	}
	return l.w.Write(b)
}

func (a *api) importEnv(w http.ResponseWriter, r *http.Request) error {
	q, err := query(r, append(releaseQuery(), "dry_run", "prune", "comment")...)
	if err != nil {
		return err
	}
	fields, err := readReleaseQuery(q)
	if err != nil {
		return err
	}
	dryRun, err := boolOf(q.Get("dry_run"), "dry_run")
	if err != nil {
		return err
	}
	prune, err := boolOf(q.Get("prune"), "prune")
	if err != nil {
		return err
	}
	if !isArchive(r.Header.Get("Content-Type")) {
		return refuse(http.StatusUnsupportedMediaType, errors.New("the body must be application/zip or application/gzip (a tar.gz)"))
	}
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	limits := a.center.Limits()
	files, err := center.ReadArchive(body, int64(limits.ChangeSetSize), limits.ChangeSetConfigs)
	if err != nil {
		return err
	}
	result, err := a.center.Import(r.Context(), center.Import{
		Env: configPath(r), Files: files, Comment: q.Get("comment"), DryRun: dryRun, Prune: prune,
		ReleaseOptions: fields.options(),
	})
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, result)
	return nil
}

func isArchive(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	switch strings.ToLower(strings.TrimSpace(media)) {
	case "application/zip", "application/x-zip-compressed", "application/gzip", "application/x-gzip":
		return true
	}
	return false
}

func boolOf(value, name string) (bool, error) {
	if value == "" {
		return false, nil
	}
	b, err := strconv.ParseBool(value)
	if err != nil {
		return false, malformed("query."+name, "want true or false")
	}
	return b, nil
}

func describeExport(_ huma.Registry, op *huma.Operation) {
	explode := true
	op.Parameters = append(configParams()[:3],
		queryParam("format", "zip if left out", &huma.Schema{Type: huma.TypeString, Enum: []any{"zip", "tar.gz"}}),
		&huma.Param{Name: "name", In: "query", Explode: &explode, Description: "only this config; may be repeated",
			Schema: &huma.Schema{Type: huma.TypeArray, Items: text()}})
	op.Responses["200"] = &huma.Response{Description: "The archive.", Content: archiveContent()}
}

func describeImport(registry huma.Registry, op *huma.Operation) {
	op.Parameters = append(append(configParams()[:3],
		queryParam("dry_run", "only tell what would happen", boolean()),
		queryParam("prune", "delete the configs that no file stands for", boolean()),
		queryParam("comment", "why; a protected env wants one", text())),
		describeReleaseQuery(registry)...)
	op.RequestBody = &huma.RequestBody{Required: true, Content: archiveContent()}
	op.Responses["200"] = &huma.Response{Description: "What was done.", Content: jsonBody[center.ImportResult](registry, nil)}
}

func archiveContent() map[string]*huma.MediaType {
	content := map[string]*huma.MediaType{}
	for _, media := range archiveTypes {
		content[media] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}
	}
	return content
}
