package peer

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// NewClient returns a client of HTTP that follows no redirect, asks no proxy and
// connects only to addresses that check has no objection to, which it is asked
// after the name was resolved: so no answer of a name server gets round it. nil
// means that all will do.
func NewClient(c *tls.Config, check func(netip.Addr) error) *http.Client {
	dialer := &net.Dialer{}
	if check != nil {
		dialer.Control = func(_, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err != nil {
				return err
			}
			return check(to.Addr().Unmap().WithZone(""))
		}
	}
	return &http.Client{
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSClientConfig: c, ForceAttemptHTTP2: true,
			MaxIdleConnsPerHost: 2, IdleConnTimeout: 90 * time.Second, MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Networks are those that may be reached although they are not public.
type Networks []netip.Prefix

// ParseNetworks reads networks such as 10.1.0.0/16, and single addresses.
func ParseNetworks(texts []string) (Networks, error) {
	var all Networks
	for _, text := range texts {
		network, err := netip.ParsePrefix(text)
		if ip, ipErr := netip.ParseAddr(text); ipErr == nil {
			network, err = netip.PrefixFrom(ip, ip.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("%q is not a network; write it like 10.1.0.0/16", text)
		}
		all = append(all, network.Masked())
	}
	return all, nil
}

// Contains reports whether one of the networks has the address.
func (n Networks) Contains(ip netip.Addr) bool {
	for _, network := range n {
		if network.Contains(ip) {
			return true
		}
	}
	return false
}

// notPublic are the networks of special use that netip.Addr does not tell of:
// "this" network, shared by carriers, protocol assignments, benchmarks,
// reserved; addresses of IPv6 that stand for ones of IPv4; discarded ones.
func notPublic() Networks {
	return Networks{
		netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
		netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("64:ff9b::/96"),
		netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("2001::/32"),
		netip.MustParsePrefix("::/96"), netip.MustParsePrefix("100::/64"), netip.MustParsePrefix("fec0::/10"),
	}
}

// Check returns an error if the address is neither public nor in one of the
// networks: a request to it would be made with the rights of this machine.
func (n Networks) Check(ip netip.Addr) error {
	public := ip.IsGlobalUnicast() && !ip.IsPrivate() && !notPublic().Contains(ip)
	if public || n.Contains(ip) {
		return nil
	}
	return errors.New("the address " + ip.String() + " is not public; list its network in allow_private if it is meant")
}
