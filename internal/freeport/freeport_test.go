package freeport_test

import (
	"net"
	"testing"

	"github.com/setpointhq/setpoint/internal/freeport"
)

func TestNoPortIsGivenTwice(t *testing.T) {
	seen := map[string]bool{}
	for range 200 {
		addr := freeport.For(t)
		if seen[addr] {
			t.Fatalf("%s was given twice", addr)
		}
		seen[addr] = true
	}
	for addr := range seen {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Errorf("want one to be able to listen: %v", err)
			continue
		}
		l.Close()
	}
}
