package audittest

import (
	"slices"
	"sync"
	"testing"

	"github.com/setpointhq/setpoint/audit"
)

// Arrivals gathers what a receiver gets.
type Arrivals struct {
	mu      sync.Mutex
	changed sync.Cond
	records []audit.Record
}

// NewArrivals returns an empty one.
func NewArrivals() *Arrivals {
	a := &Arrivals{}
	a.changed.L = &a.mu
	return a
}

// Add adds what has come, in order.
func (a *Arrivals) Add(records ...audit.Record) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.records = append(a.records, records...)
	a.changed.Broadcast()
}

// Wait is Peer.Arrived.
func (a *Arrivals) Wait(_ *testing.T, atLeast int) []audit.Record {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(firsts(a.records)) < atLeast {
		a.changed.Wait()
	}
	return slices.Clone(a.records)
}
