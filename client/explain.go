package client

import (
	"context"
	"net/http"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// Explain asks which release a client gets of a config, and why.
type Explain struct {
	Path config.Path
	// Client is whom it is about. Of one that has an id and nothing else, and that
	// the server knows, labels, slot and address are taken from there; Labels that
	// are not nil say that they are all that it has.
	Client config.Client
	// At is the revision, and Time the moment, to explain; neither means now.
	At   config.Token
	Time time.Time
}

// Explain tells which release a client is served, or was, and why. Invalid for a
// moment that the server cannot tell of, Compacted for one that it has forgotten.
func (c *Client) Explain(ctx context.Context, e Explain) (config.Explained, error) {
	if err := e.Path.Require(config.LevelConfig); err != nil {
		return config.Explained{}, err
	}
	moment := string(e.At)
	switch {
	case !e.Time.IsZero() && moment != "":
		return config.Explained{}, config.Errorf(config.Invalid, "explain", e.Path.String(), "ask for a revision or for a time, not for both")
	case !e.Time.IsZero():
		moment = e.Time.UTC().Format(time.RFC3339Nano)
	}
	query := values("instance", e.Client.ID, "slot", e.Client.Slot, "address", e.Client.Address, "at", moment)
	if e.Client.Labels != nil {
		labels, err := labelsText(e.Client.Labels)
		if err != nil {
			return config.Explained{}, err
		}
		query.Set("labels", labels)
	}
	var x config.Explained
	_, err := c.call(ctx, request{method: http.MethodGet, path: at(e.Path, "rollout", "explain"), query: query}, &x)
	return x, err
}
