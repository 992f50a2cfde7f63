package rest

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/problem"
)

const (
	tagData     = "Data plane"
	pathEnvData = "/v1/configs/{tenant}/{app}/{env}"
)

func dataRoutes() []Route {
	return []Route{
		direct(Route{Method: "GET", Pattern: pathEnvData + "/{name}", Op: "config.read", ID: "read-config", tag: tagData,
			summary: "Read a config",
			description: "The bytes, exactly as they were published. Answers 304 to an `If-None-Match` that has them already; " +
				"compressed where the client accepts it.",
			errors: []int{http.StatusNotFound, http.StatusGatewayTimeout}}, (*api).readConfig, describeReadConfig),
		direct(Route{Method: "GET", Pattern: pathEnvData, Op: "env.read", ID: "read-env", tag: tagData,
			summary: "Read all configs of an env", description: "As of one revision: never half of a change set.",
			errors: []int{http.StatusNotFound, http.StatusGatewayTimeout}}, (*api).readEnv, describeReadEnv),
		direct(Route{Method: "GET", Pattern: "/v1/watch", Op: "config.watch", ID: "watch", tag: tagData,
			summary: "Watch configs", description: watchDescription,
			errors: []int{http.StatusNotFound}, lasting: true}, (*api).watch, describeWatch),
		control(Route{Method: "GET", Pattern: "/v1/version", Op: "version", ID: "get-version", tag: tagData,
			summary: "Get the server's version"}, (*api).getVersion),
	}
}

// query parses the query parameters and refuses one that is not known: a
// misspelt condition must not pass for none.
func query(r *http.Request, known ...string) (url.Values, error) {
	if r.URL.RawQuery == "" {
		return nil, nil
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, malformed("query", "the query is malformed")
	}
next:
	for name := range q {
		for _, k := range known {
			if name == k {
				continue next
			}
		}
		return nil, malformed("query."+problem.Clip(name), "there is no such parameter here")
	}
	return q, nil
}

// reading is what the reads of the data plane have in common.
func (a *api) reading(r *http.Request) (config.Client, center.Freshness, error) {
	q, err := query(r, "min_revision", "consistency", "instance", "labels", "slot")
	if err != nil {
		return config.Client{}, center.Freshness{}, err
	}
	f := center.Freshness{MinRevision: config.Token(q.Get("min_revision"))}
	switch q.Get("consistency") {
	case "":
	case "strong":
		f.Strong = true
	default:
		return config.Client{}, f, malformed("query.consistency", `want "strong", or leave it out`)
	}
	client, err := a.clientOf(r, q)
	return client, f, err
}

// readConfig serves the hot path: everything that it does not need it leaves out.
func (a *api) readConfig(w http.ResponseWriter, r *http.Request) error {
	client, fresh, err := a.reading(r)
	if err != nil {
		return err
	}
	served, err := a.center.Get(r.Context(), center.Read{Path: configPath(r), Client: client, Protocol: Name, Freshness: fresh})
	if err != nil {
		return err
	}
	if fresh.Strong {
		a.markStale(w.Header()) // what it got from the others is as new as can be
	}
	if held := matchETag(r.Header["If-None-Match"], served.Release.Digest); held != "" {
		a.contentHeaders(w.Header(), served.Release, held, served.Revision)
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	content, err := a.center.Content(r.Context(), served.Release)
	if err != nil {
		return err
	}
	a.sendContent(w, r, served.Release, content, served.Revision)
	return nil
}

// The headers that are the same for every content.
var (
	revalidateHeaders = []string{"private, no-cache"}
	varyHeaders       = []string{"Accept-Encoding"}
	codingHeaders     = [...][]string{gzipped: {"gzip"}, zstandard: {"zstd"}}
)

// writeContent answers with a release's content, or 304 if the client has it.
func (a *api) writeContent(w http.ResponseWriter, r *http.Request, release *config.Release, content []byte, revision config.Token) {
	if held := matchETag(r.Header["If-None-Match"], release.Digest); held != "" {
		a.contentHeaders(w.Header(), release, held, revision)
		w.WriteHeader(http.StatusNotModified)
		return
	}
	a.sendContent(w, r, release, content, revision)
}

func (a *api) sendContent(w http.ResponseWriter, r *http.Request, release *config.Release, content []byte, revision config.Token) {
	body, coding := content, identity
	if accept := r.Header["Accept-Encoding"]; len(accept) > 0 {
		body, coding = a.compressor.content(release.Digest, content, negotiate(accept[0]))
	}
	h := w.Header()
	a.contentHeaders(h, release, etagOf(release.Digest, coding), revision)
	if coding != identity {
		h["Content-Encoding"] = codingHeaders[coding]
	}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	_, _ = w.Write(body) // a client that is gone needs no answer
}

// contentHeaders sets what 200 and 304 have in common. The values share one
// array, since they are what a read allocates most of.
func (a *api) contentHeaders(h http.Header, release *config.Release, etag string, revision config.Token) {
	media := a.mediaType(release.Format)
	if media == "" {
		media = "application/octet-stream"
	}
	v := []string{etag, strconv.FormatInt(release.Version, 10), release.Format, media, string(revision)}
	h["Etag"] = v[0:1:1]
	h["Setpoint-Version"] = v[1:2:2]
	h["Setpoint-Format"] = v[2:3:3]
	h["Content-Type"] = v[3:4:4]
	if revision != "" {
		h["Setpoint-Revision"] = v[4:5:5]
	}
	h["Cache-Control"] = revalidateHeaders
	if release.Size >= minCompressed {
		h["Vary"] = varyHeaders
	}
	if !inert(media) {
		h["Content-Security-Policy"] = noFramesHeaders
	}
}

// inert reports whether no browser runs what is in content of the type, whoever
// wrote it. Types such as HTML or SVG need a policy that forbids it.
func inert(media string) bool {
	media, _, _ = strings.Cut(media, ";")
	switch media {
	case "application/json", "application/yaml", "application/toml", "application/octet-stream", "text/plain":
		return true
	}
	return false
}

func describeReadConfig(_ huma.Registry, op *huma.Operation) {
	op.Parameters = append(configParams(), readParams()...)
	op.Responses["200"] = &huma.Response{
		Description: "The bytes, with the Content-Type of their format.",
		Headers:     contentHeaders(),
		Content:     map[string]*huma.MediaType{"*/*": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}},
	}
	op.Responses["304"] = &huma.Response{Description: "The client has this content already.", Headers: contentHeaders()}
}

func contentHeaders() map[string]*huma.Param {
	return headers(
		"ETag", "the content's digest, for If-None-Match",
		"Setpoint-Version", "the release's version",
		"Setpoint-Revision", "the position that the answer is true of; send it as min_revision to read no older one",
		"Setpoint-Format", "the content's format",
		staleHeader, staleMeaning)
}

// readParams describes who asks, and how new the answer must be.
func readParams() []*huma.Param {
	return append([]*huma.Param{
		queryParam("min_revision", "wait until the node has caught up with this revision", text()),
		queryParam("consistency", "strong: see every change that was finished when the request was made", &huma.Schema{Type: huma.TypeString, Enum: []any{"strong"}}),
		headerParam("If-None-Match", "the ETag of what the client has"),
	}, clientParams()...)
}

// clientParams describes who the client says that it is.
func clientParams() []*huma.Param {
	return []*huma.Param{
		headerParam("Setpoint-Instance", "the name of the running instance; also as query parameter instance"),
		headerParam("Setpoint-Labels", "its labels, key=value,key=value; also as query parameter labels"),
		headerParam("Setpoint-Slot", "the slot that it wants; also as query parameter slot"),
		queryParam("instance", "in the place of Setpoint-Instance", text()),
		queryParam("labels", "in the place of Setpoint-Labels", text()),
		queryParam("slot", "in the place of Setpoint-Slot", text()),
	}
}
