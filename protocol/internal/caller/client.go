// Package caller reads out of an HTTP request who is calling: from which
// address, with what credentials, and which instance of an application it says
// that it is. It proves and decides nothing.
package caller

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/problem"
)

// The bounds of what a client may say about itself.
const (
	MaxInstance = 256 // bytes
	MaxLabels   = 64
	MaxLabel    = 256 // bytes, key and value each
)

// Proxies are the peers whose X-Forwarded-For is believed.
type Proxies []netip.Prefix

// ParseProxies reads addresses and networks; key is the setting that they stand in.
func ParseProxies(key string, texts []string) (Proxies, error) {
	var all Proxies
	for _, text := range texts {
		if addr, err := netip.ParseAddr(text); err == nil {
			all = append(all, netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, config.Errorf(config.Invalid, "settings", key, "%q is neither an address nor a network like 10.0.0.0/8", text)
		}
		all = append(all, p.Masked())
	}
	return all, nil
}

// Address returns the IP address of who asks: the connection's peer, or what a
// trusted proxy says that its own peer is.
func (p Proxies) Address(r *http.Request) string {
	return p.AddressOf(r.RemoteAddr, r.Header["X-Forwarded-For"])
}

// AddressOf is Address for protocols that carry the header as something else.
func (p Proxies) AddressOf(peer string, forwarded []string) string {
	host, _, err := net.SplitHostPort(peer)
	if err != nil {
		host = peer
	}
	if len(p) == 0 || !p.trusted(host) {
		return host
	}
	// Each proxy appends its peer. The last that is no proxy of ours is the
	// client; whatever stands before it anybody could have written.
	hops := strings.Split(strings.Join(forwarded, ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop := strings.TrimSpace(hops[i])
		addr, err := netip.ParseAddr(hop)
		if err != nil {
			break
		}
		host = addr.Unmap().String()
		if !p.trusted(host) {
			break
		}
	}
	return host
}

func (p Proxies) trusted(host string) bool {
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	for _, prefix := range p {
		if prefix.Contains(addr.Unmap()) {
			return true
		}
	}
	return false
}

// Claim reads what a client says of itself, from headers or, before them, from
// query parameters. The address is left empty.
func Claim(q url.Values, h http.Header) (config.Client, error) {
	return ParseClaim(either(q, "instance", h, "Setpoint-Instance"), either(q, "labels", h, "Setpoint-Labels"), either(q, "slot", h, "Setpoint-Slot"))
}

// ParseClaim reads what a client says of itself in three texts; empty is not
// said. The address is left empty.
func ParseClaim(instance, labels, slot string) (config.Client, error) {
	c := config.Client{ID: instance, Slot: slot}
	if err := Check(c); err != nil {
		return c, err
	}
	var err error
	c.Labels, err = ParseLabels(labels)
	return c, err
}

// Check refuses what a client may not say of itself.
func Check(c config.Client) error {
	if len(c.ID) > MaxInstance || !Printable(c.ID) {
		return problem.Malformed("instance", "an instance's name has at most 256 bytes and no control characters")
	}
	if len(c.Slot) > MaxLabel || !Printable(c.Slot) {
		return problem.Malformed("slot", "a slot's name has at most 256 bytes and no control characters")
	}
	if len(c.Labels) > MaxLabels {
		return problem.Malformed("labels", "there may be at most 64 labels")
	}
	for key, value := range c.Labels {
		if key == "" {
			return problem.Malformed("labels", "a label's key is empty")
		}
		if err := checkLabel(key, value); err != nil {
			return err
		}
	}
	return nil
}

func checkLabel(key, value string) error {
	if len(key) > MaxLabel || len(value) > MaxLabel || !Printable(key) || !Printable(value) {
		return problem.Malformed("labels", "a label's key and value have at most 256 bytes each and no control characters")
	}
	return nil
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

// ParseLabels reads "key=value,key=value". Spaces around keys and values do
// not count; the empty string is no labels.
func ParseLabels(s string) (map[string]string, error) {
	if strings.TrimSpace(s) == "" {
		return nil, nil
	}
	labels := make(map[string]string, strings.Count(s, ",")+1)
	for pair := range strings.SplitSeq(s, ",") {
		key, value, ok := strings.Cut(pair, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if !ok || key == "" {
			return nil, problem.Malformed("labels", "labels are written key=value,key=value")
		}
		if err := checkLabel(key, value); err != nil {
			return nil, err
		}
		if len(labels) == MaxLabels {
			return nil, problem.Malformed("labels", "there may be at most 64 labels")
		}
		if _, twice := labels[key]; twice {
			return nil, problem.Malformed("labels", "a label is given twice")
		}
		labels[key] = value
	}
	return labels, nil
}

// Printable reports whether a text has no control characters.
func Printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}
