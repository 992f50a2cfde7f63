package center

import (
	"slices"
	"sync"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
)

// admission bounds what watches may take of a node: how many a tenant has open,
// so that none takes the places of all, and how many wait for the node to catch
// up, so that clients which come back all at once do not pile up before a node
// that has just started. It counts over all protocols.
type admission struct {
	mostOfTenant int
	waiting      chan struct{} // holds one for each that waits

	mu   sync.Mutex // over open: a watch is opened and closed once
	open map[string]int
}

func newAdmission(l Limits) *admission {
	return &admission{mostOfTenant: l.TenantWatches, waiting: make(chan struct{}, max(1, l.WaitingWatches)), open: map[string]int{}}
}

// tenantsWait is when a client that is refused should come again. It is a while:
// what is full of watches stays so until some of them end.
const tenantsWait = 10 * time.Second

// enter counts a watch against each tenant that it is of, or refuses it.
func (a *admission) enter(op string, tenants []string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, tenant := range tenants {
		if n := a.open[tenant]; n >= a.mostOfTenant {
			return auth.Throttled(op, "the tenant "+tenant+" has as many watches open on this node as one may have (limits.tenant_watches)", tenantsWait)
		}
	}
	for _, tenant := range tenants {
		a.open[tenant]++
	}
	return nil
}

func (a *admission) leave(tenants []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, tenant := range tenants {
		if a.open[tenant]--; a.open[tenant] <= 0 {
			delete(a.open, tenant)
		}
	}
}

// wait takes one of the places of those who wait for this node to catch up.
func (a *admission) wait(op string) (done func(), err error) {
	select {
	case a.waiting <- struct{}{}:
		return func() { <-a.waiting }, nil
	default:
		return nil, config.Errorf(config.Unavailable, op, "", "this node has yet to catch up with the others, and %d clients wait for it already (limits.waiting_watches); try again in a moment, or another node", cap(a.waiting))
	}
}

// tenantsOf lists the tenants that scopes are of, each once.
func tenantsOf(scopes []config.Path) []string {
	tenants := make([]string, 0, 1)
	for _, scope := range scopes {
		if !slices.Contains(tenants, scope.Tenant) {
			tenants = append(tenants, scope.Tenant)
		}
	}
	return tenants
}
