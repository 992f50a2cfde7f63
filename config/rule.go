package config

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
)

// Rule says which clients a strategy claims: those for which everything that it
// says holds. {share: 1000, labels: "region = eu"} is a tenth of the instances
// in eu. A rule that says nothing claims nobody.
type Rule struct {
	// All are rules that must all claim the client.
	All []Rule `json:"all,omitempty"`
	// Any are rules of which one must.
	Any []Rule `json:"any,omitempty"`
	// Share claims the instances whose bucket is below it. A client without an id
	// has no bucket and is never claimed by a share, not even by a full one: with
	// its address for an id it would change sides whenever it moved, and all that
	// share one address would at once.
	Share *Share `json:"share,omitempty"`
	// Labels claims the clients whose labels satisfy the selector.
	Labels Selector `json:"labels,omitempty"`
	// Addresses claims the clients whose IP address lies in one of the networks.
	Addresses []Network `json:"addresses,omitempty"`
	// Instances claims the clients with one of these ids.
	Instances InstanceSet `json:"instances,omitempty"`
}

// says reports whether the rule says anything.
func (r *Rule) says() bool {
	return r.Share != nil || len(r.Labels)+len(r.All)+len(r.Any)+len(r.Addresses)+len(r.Instances) > 0
}

// claims goes from the cheap questions to the dear ones. Rules are few and the
// answer is wanted for every read, so nothing is allocated unless e explains.
func (r *Rule) claims(e *evaluation) bool {
	if !r.says() {
		return e.found("", "the rule says nothing", false)
	}
	if len(r.Instances) > 0 && !e.isOneOf("instances", r.Instances) ||
		r.Share != nil && !e.inShare("share", *r.Share) ||
		len(r.Labels) > 0 && !e.hasLabels(r.Labels) ||
		len(r.Addresses) > 0 && !e.comesFrom(r.Addresses) {
		return false
	}
	for i := range r.All {
		if !e.claimedBy("all", i, &r.All[i]) {
			return false
		}
	}
	for i := range r.Any {
		if e.claimedBy("any", i, &r.Any[i]) {
			return true
		}
	}
	return len(r.Any) == 0
}

// InstanceSet is ids of instances, sorted, each once. NewInstanceSet and JSON
// sort; Validate refuses what is not.
type InstanceSet []string

// NewInstanceSet sorts ids into a set. What is there twice stays, for Validate
// to name.
func NewInstanceSet(ids ...string) InstanceSet {
	set := InstanceSet(slices.Clone(ids))
	slices.Sort(set)
	return set
}

// Has reports whether id is in the set; a client without an id never is.
func (s InstanceSet) Has(id string) bool {
	low, high := 0, len(s) // slices.BinarySearch takes twice as long
	for low < high {
		if mid := (low + high) / 2; s[mid] < id {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low < len(s) && s[low] == id && id != ""
}

// UnmarshalJSON reads a list of ids in any order.
func (s *InstanceSet) UnmarshalJSON(b []byte) error {
	var ids []string
	if err := json.Unmarshal(b, &ids); err != nil {
		return err
	}
	slices.Sort(ids)
	*s = ids
	return nil
}

// Network is an IP network or a single address, of version 4 or 6.
type Network struct{ prefix netip.Prefix }

// ParseNetwork reads "10.1.0.0/16", "10.1.2.3", "2001:db8::/32" or "::1".
func ParseNetwork(s string) (Network, error) {
	prefix, err := netip.ParsePrefix(s)
	if !strings.Contains(s, "/") {
		var addr netip.Addr
		if addr, err = netip.ParseAddr(s); err == nil {
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
	}
	switch {
	case err != nil || strings.Contains(s, "%"): // a zone names an interface of one machine
		return Network{}, Errorf(Invalid, "", "", "%q is no IP address or network; write 10.1.2.3, 10.1.0.0/16 or 2001:db8::/32", clip(s))
	case prefix.Addr().Is4In6() && prefix.Bits() < 96:
		return Network{}, Errorf(Invalid, "", "", "network %q mixes both versions of IP; write ::/0 and 0.0.0.0/0", clip(s))
	case prefix.Addr().Is4In6():
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	if masked := prefix.Masked(); masked != prefix {
		return Network{}, Errorf(Invalid, "", "", "network %q has bits set beyond its length; it is %s, or the address %s", clip(s), masked, prefix.Addr())
	}
	return Network{prefix}, nil
}

// Contains reports whether an address lies in the network. An IPv4 address is
// the same thing mapped into IPv6.
func (n Network) Contains(addr netip.Addr) bool { return n.prefix.Contains(addr.Unmap()) }

// Equal reports whether both are the same network.
func (n Network) Equal(m Network) bool { return n == m }

// String writes the network as ParseNetwork reads it, a single address without
// its length.
func (n Network) String() string {
	if n.prefix.IsSingleIP() {
		return n.prefix.Addr().String()
	}
	return n.prefix.String()
}

// MarshalText writes the network as String does.
func (n Network) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// UnmarshalText reads what ParseNetwork reads.
func (n *Network) UnmarshalText(b []byte) error {
	parsed, err := ParseNetwork(string(b))
	if err != nil {
		return err
	}
	*n = parsed
	return nil
}
