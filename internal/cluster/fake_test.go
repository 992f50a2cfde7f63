package cluster

import (
	"context"
	"slices"
	"sync"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
	memstore "github.com/setpointhq/setpoint/store/memory"
)

// engine is a store that says what a test wants of its members.
type engine struct {
	store.Store

	mu      sync.Mutex
	members []store.Member
	status  store.EngineStatus
	err     error
	acts    []string
}

func newEngine(members ...store.Member) *engine {
	return &engine{
		Store: memstore.New(), members: members,
		status: store.EngineStatus{ClusterID: 0xc1, MemberID: 1, Leader: 1, Term: 2, Total: 100, InUse: 100, Quota: 1 << 30},
	}
}

func (e *engine) set(change func(*engine)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change(e)
}

func (e *engine) act(what string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.acts = append(e.acts, what)
	return e.err
}

func (e *engine) done() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.acts)
}

func (e *engine) Members(context.Context) ([]store.Member, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.members), e.err
}

func (e *engine) EngineStatus(context.Context) (store.EngineStatus, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.status, nil
}

func (e *engine) AddLearner(_ context.Context, peer string) (store.Member, error) {
	if err := e.act("add " + peer); err != nil {
		return store.Member{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	m := store.Member{ID: uint64(len(e.members) + 1), Peer: peer, Learner: true}
	e.members = append(e.members, m)
	return m, nil
}

func (e *engine) Promote(_ context.Context, id uint64) error { return e.act("promote " + hex(id)) }
func (e *engine) Remove(_ context.Context, id uint64) error  { return e.act("remove " + hex(id)) }
func (e *engine) Defragment(context.Context) error           { return e.act("defragment") }

func (e *engine) MoveLeader(_ context.Context, to uint64) error {
	e.set(func(e *engine) { e.status.Leader = to })
	return e.act("lead " + hex(to))
}

func (e *engine) SetNoSpace(_ context.Context, full bool) error {
	if full {
		return e.act("no space")
	}
	return e.act("space")
}

var (
	_ store.Cluster = (*engine)(nil)
	_ store.Keeper  = (*engine)(nil)
)

// openOnly opens a node that has no engine yet.
func (o *office) openOnly(s Settings, dir string, change ...func(*Options)) *Cluster {
	o.Helper()
	c, err := o.tryOpen(s, dir, change...)
	if err != nil {
		o.Fatal(err)
	}
	o.Cleanup(func() {
		if err := c.Close(); err != nil {
			o.Error(err)
		}
	})
	return c
}

func (o *office) tryOpen(s Settings, dir string, change ...func(*Options)) (*Cluster, error) {
	opts := options(o, s, dir)
	for _, c := range change {
		c(&opts)
	}
	return Open(o.Context(), opts)
}

// withEngine gives a node an engine that says what it is told to.
func (o *office) withEngine(c *Cluster, members ...store.Member) *engine {
	e := newEngine(members...)
	o.Cleanup(func() {
		if err := e.Close(); err != nil {
			o.Error(err)
		}
	})
	c.Attach(Parts{
		Store: e, Local: func() config.Node { return config.Node{} }, Revision: func() int64 { return 1 },
		Instances: func(config.InstanceQuery) []config.Instance { return nil }, Check: o.check, Redeem: o.redeem, ID: func() string { return "id" },
	})
	return e
}
