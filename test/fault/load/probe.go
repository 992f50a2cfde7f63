package load

import (
	"context"
	"fmt"

	"github.com/setpointhq/setpoint/test/fault/history"
)

// Probe makes one change at a node, which is part of the history as all others
// are, and returns how that went. Probes are for one goroutine.
func (l *Load) Probe(ctx context.Context, node Node) history.Op {
	l.probes++
	w := &writer{load: l, name: "probe", count: l.probes}
	o := history.Op{
		Client: w.name, Node: node.String(), Kind: history.Publish,
		Comment: fmt.Sprintf("%s%s number %d", l.o.Label, w.name, l.probes),
	}
	w.put(&o, w.path("probe.yaml"), false)
	return w.do(ctx, node.Client(), o)
}
