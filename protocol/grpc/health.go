package grpc

import (
	"context"

	library "google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
)

// health answers whether the node should be given work, as /readyz does, for the
// node as a whole ("") and for each service.
type health struct {
	*library.Server
	ready func() bool
	names map[string]bool
}

func newHealth(ready func() bool) *health {
	h := &health{Server: library.NewServer(), ready: ready, names: map[string]bool{"": true}}
	h.refresh()
	return h
}

// serves adds a service. All are added before anything is served.
func (h *health) serves(name string) {
	h.names[name] = true
	h.refresh()
}

// refresh looks how the node is doing.
func (h *health) refresh() {
	now := healthv1.HealthCheckResponse_NOT_SERVING
	if h.ready() {
		now = healthv1.HealthCheckResponse_SERVING
	}
	for name := range h.names {
		h.SetServingStatus(name, now) // after leave it does nothing
	}
}

// leave says that nothing is served any more.
func (h *health) leave() { h.Shutdown() }

// Check implements healthv1.HealthServer, at once rather than at the next tick.
func (h *health) Check(ctx context.Context, in *healthv1.HealthCheckRequest) (*healthv1.HealthCheckResponse, error) {
	h.refresh()
	return h.Server.Check(ctx, in)
}
