package rest

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/setpointhq/setpoint/config"
)

// The bounds of what a client may say about itself.
const (
	maxInstance = 256 // bytes
	maxLabels   = 64
	maxLabel    = 256 // bytes, key and value each
)

// address returns the IP address of who asks: the connection's peer, or what a
// trusted proxy says that its own peer is.
func (a *api) address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	if len(a.proxies) == 0 || !a.trusted(host) {
		return host
	}
	// Each proxy appends its peer. The last that is no proxy of ours is the
	// client; whatever stands before it anybody could have written.
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop := strings.TrimSpace(hops[i])
		addr, err := netip.ParseAddr(hop)
		if err != nil {
			break
		}
		host = addr.Unmap().String()
		if !a.trusted(host) {
			break
		}
	}
	return host
}

func (a *api) trusted(host string) bool {
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	for _, p := range a.proxies {
		if p.Contains(addr.Unmap()) {
			return true
		}
	}
	return false
}

// clientOf reads who a client says that it is, from headers or, before them,
// from query parameters.
func (a *api) clientOf(r *http.Request, q url.Values) (config.Client, error) {
	c, err := claimOf(q, r.Header)
	c.Address = a.address(r)
	return c, err
}

// claimOf reads what a client says of itself.
func claimOf(q url.Values, h http.Header) (config.Client, error) {
	c := config.Client{ID: either(q, "instance", h, "Setpoint-Instance"), Slot: either(q, "slot", h, "Setpoint-Slot")}
	if len(c.ID) > maxInstance || !printable(c.ID) {
		return c, malformed("instance", "an instance's name has at most 256 bytes and no control characters")
	}
	if len(c.Slot) > maxLabel || !printable(c.Slot) {
		return c, malformed("slot", "a slot's name has at most 256 bytes and no control characters")
	}
	var err error
	c.Labels, err = parseLabels(either(q, "labels", h, "Setpoint-Labels"))
	return c, err
}

func either(q url.Values, name string, h http.Header, header string) string {
	if v, ok := q[name]; ok {
		return v[0]
	}
	if v, ok := h[header]; ok {
		return v[0]
	}
	return ""
}

// parseLabels reads "key=value,key=value". Spaces around keys and values do
// not count; the empty string is no labels.
func parseLabels(s string) (map[string]string, error) {
	if strings.TrimSpace(s) == "" {
		return nil, nil
	}
	labels := make(map[string]string, strings.Count(s, ",")+1)
	for pair := range strings.SplitSeq(s, ",") {
		key, value, ok := strings.Cut(pair, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		switch {
		case !ok || key == "":
			return nil, malformed("labels", "labels are written key=value,key=value")
		case len(key) > maxLabel || len(value) > maxLabel || !printable(key) || !printable(value):
			return nil, malformed("labels", "a label's key and value have at most 256 bytes each and no control characters")
		case len(labels) == maxLabels:
			return nil, malformed("labels", "there may be at most 64 labels")
		}
		if _, twice := labels[key]; twice {
			return nil, malformed("labels", "a label is given twice")
		}
		labels[key] = value
	}
	return labels, nil
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}
