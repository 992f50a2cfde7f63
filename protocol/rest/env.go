package rest

import (
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/fragment"
)

// envAnswer describes the answer of readEnv, which is written piece by piece.
type envAnswer struct {
	Env      string        `json:"env" example:"acme/checkout/prod"`
	Revision config.Token  `json:"revision" doc:"the position that the answer is true of"`
	Configs  []fullRelease `json:"configs"`
}

// readEnv answers with everything that a client is served of an env. It is
// written as it is made, so that a large env takes no more memory than a small.
func (a *api) readEnv(w http.ResponseWriter, r *http.Request) error {
	client, fresh, err := a.reading(r)
	if err != nil {
		return err
	}
	path := configPath(r)
	snap, err := a.center.Snapshot(r.Context(), center.ReadEnv{Env: path, Client: client, Protocol: Name, Freshness: fresh})
	if err != nil {
		return err
	}
	digest, size := fragment.Fingerprint(snap.Releases)
	h := w.Header()
	if fresh.Strong {
		a.markStale(h)
	}
	h["Vary"], h["Cache-Control"] = varyHeaders, revalidateHeaders
	h.Set("Setpoint-Revision", string(snap.Revision))
	if held := matchETag(r.Header["If-None-Match"], digest); held != "" {
		h.Set("Etag", "W/"+held)
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	coding := identity
	if accept := r.Header["Accept-Encoding"]; len(accept) > 0 && size >= minCompressed && a.compressor != nil {
		coding = negotiate(accept[0])
	}
	// Weak: the revision in the body may differ where the configs do not.
	h.Set("Etag", "W/"+etagOf(digest, coding))
	h["Content-Type"] = jsonHeaders
	if coding != identity {
		h["Content-Encoding"] = codingHeaders[coding]
	}
	if r.Method == http.MethodHead {
		return nil
	}
	a.sendEnv(w, r, path, snap, coding)
	return nil
}

// sendEnv writes the answer. If a content cannot be had any more in the middle
// of it, the connection is cut: half an answer must not look like a whole one.
func (a *api) sendEnv(w http.ResponseWriter, r *http.Request, path config.Path, snap center.EnvSnapshot, coding encoding) {
	var coded io.Writer = w
	finish := func() error { return nil }
	if coding != identity {
		coded, finish = a.compressor.stream(w, coding)
	}
	out := a.output(coded)
	defer out.release()
	out.Text(`{"env":"`, path.String(), `","revision":"`, string(snap.Revision), `","configs":[`)
	for i, release := range snap.Releases {
		if i > 0 {
			out.Text(",")
		}
		b, err := a.fragments.Get(r.Context(), release, fragment.ReleaseContent, a.center.Content)
		if err != nil {
			a.log.ErrorContext(r.Context(), "answer cut short", "path", release.Path.String(), "version", release.Version, "error", err)
			_ = finish() // gives the writer back
			panic(http.ErrAbortHandler)
		}
		if out.Append(b); out.err != nil {
			break
		}
	}
	out.Text("]}\n")
	out.flush()
	_ = finish() // a client that is gone needs no answer
}

func describeReadEnv(registry huma.Registry, op *huma.Operation) {
	op.Parameters = append(configParams()[:3], readParams()...)
	op.Responses["200"] = &huma.Response{
		Description: "Every config that the client is served, with its content, by name.",
		Headers:     headers("ETag", "for If-None-Match", "Setpoint-Revision", "the position that the answer is true of", staleHeader, staleMeaning),
		Content:     jsonBody[envAnswer](registry, nil),
	}
	op.Responses["304"] = &huma.Response{Description: "The client has all this already."}
}
