package rest

import (
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/caller"
)

func explainRoutes() []Route {
	return []Route{
		direct(Route{Method: "GET", Pattern: pathConfig + "/rollout/explain", Op: "rollout.explain", ID: "explain-rollout", tag: tagReleases,
			summary: "Explain which release an instance gets, and why",
			description: "Of an instance that is named and not described, and that some node knows, labels, slot and address are taken. " +
				"The past reaches back as far as the engine keeps its history. A time stands for the tenant's last change by then, " +
				"by the clock of the node that made it.",
			errors: []int{http.StatusNotFound, http.StatusGone, http.StatusGatewayTimeout}}, (*api).explain, describeExplain),
	}
}

func (a *api) explain(w http.ResponseWriter, r *http.Request) error {
	q, err := query(r, "instance", "labels", "slot", "address", "at")
	if err != nil {
		return err
	}
	request := center.ExplainRequest{Path: configPath(r)}
	if request.Client, err = clientIn(q); err != nil {
		return err
	}
	if at := q.Get("at"); at != "" {
		if request.Time, err = time.Parse(time.RFC3339, at); err != nil { // which no token can be taken for
			request.At = config.Token(at)
		}
	}
	x, err := a.center.Explain(r.Context(), request)
	if err != nil {
		return err
	}
	if !prefersText(r.Header.Get("Accept")) {
		writeJSON(w, http.StatusOK, x)
		return nil
	}
	text := x.String() + "\n"
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	_, _ = w.Write([]byte(text)) // a client that is gone needs no answer
	return nil
}

// clientIn reads the client that a query is about, who is not the one that sent
// it.
func clientIn(q url.Values) (config.Client, error) {
	client, err := caller.Claim(q, nil)
	if err != nil {
		return client, err
	}
	if client.Labels == nil && q.Has("labels") {
		client.Labels = map[string]string{} // it is known that it has none
	}
	if client.Address = q.Get("address"); client.Address == "" {
		return client, nil
	}
	if _, err := netip.ParseAddr(client.Address); err != nil {
		return client, malformed("query.address", "want an IP address, 10.1.2.3 or 2001:db8::1")
	}
	return client, nil
}

func describeExplain(registry huma.Registry, op *huma.Operation) {
	op.Parameters = append(configParams(),
		queryParam("instance", "the id of the instance", text()),
		queryParam("labels", "its labels, key=value,key=value", text()),
		queryParam("slot", "the slot that it asks for", text()),
		queryParam("address", "its IP address", text()),
		queryParam("at", "left out, now; otherwise a revision, or a time as RFC 3339 has it", text()))
	content := jsonBody[config.Explained](registry, nil)
	content["text/plain"] = &huma.MediaType{Schema: text()}
	op.Responses["200"] = &huma.Response{Description: "What it gets, and why: JSON or, if Accept prefers it, text for people.", Content: content}
}
