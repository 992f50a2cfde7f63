package peer_test

import (
	"net/netip"
	"testing"

	"github.com/setpointhq/setpoint/audit/internal/peer"
)

func TestWhatIsPublic(t *testing.T) {
	allowed, err := peer.ParseNetworks([]string{"10.1.0.0/16", "fd00::7"})
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]bool{
		"8.8.8.8": true, "2606:4700::1111": true, "10.1.2.3": true, "fd00::7": true,
		"10.2.0.1": false, "172.16.0.1": false, "192.168.0.1": false, "127.0.0.1": false, "169.254.169.254": false,
		"100.64.0.1": false, "0.0.0.0": false, "224.0.0.1": false, "255.255.255.255": false, "198.18.0.1": false,
		"::1": false, "::": false, "fe80::1": false, "fd00::8": false, "ff02::1": false, "64:ff9b::7f00:1": false, "2002:7f00:1::": false, "::7f00:1": false,
	} {
		if err := allowed.Check(netip.MustParseAddr(address)); (err == nil) != want {
			t.Errorf("%s: want %v, got %v", address, want, err)
		}
	}
}

func TestNetworksAreRead(t *testing.T) {
	for text, want := range map[string]bool{"10.0.0.0/8": true, "10.1.2.3": true, "::1": true, "fd00::/8": true, "": false, "10.0.0.0/33": false, "localhost": false} {
		if _, err := peer.ParseNetworks([]string{text}); (err == nil) != want {
			t.Errorf("%q: want %v, got %v", text, want, err)
		}
	}
}
