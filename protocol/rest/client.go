package rest

import (
	"net/http"
	"net/url"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/caller"
)

// address returns the IP address of who asks.
func (a *api) address(r *http.Request) string { return a.proxies.Address(r) }

// clientOf reads who a client says that it is, from headers or, before them,
// from query parameters.
func (a *api) clientOf(r *http.Request, q url.Values) (config.Client, error) {
	c, err := caller.Claim(q, r.Header)
	c.Address = a.address(r)
	return c, err
}
