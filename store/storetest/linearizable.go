package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/setpointhq/setpoint/store"
)

// Linearizability records what concurrent clients did and saw on a few keys and
// has porcupine look for one order of all operations that explains it.
func Linearizability(t *testing.T, open Factory) {
	const clients, each = 6, 40
	f := start(t, open)
	began := time.Now()
	var mu sync.Mutex
	var history []porcupine.Operation
	f.parallel(clients, func(client int) error {
		rng := rand.New(rand.NewPCG(uint64(client), 7))
		var seen state
		for n := range each {
			in := plan(rng, seen, fmt.Sprintf("%d.%d", client, n))
			call := time.Since(began)
			out, err := in.run(f.ctx, f.Store)
			if err != nil {
				return err
			}
			back := time.Since(began)
			if in.txn == nil {
				seen = out.state
			}
			mu.Lock()
			history = append(history, porcupine.Operation{
				ClientId: client, Input: in, Call: int64(call), Output: out, Return: int64(back),
			})
			mu.Unlock()
		}
		return nil
	})
	if got := porcupine.CheckOperationsTimeout(model(), history, patience/2); got != porcupine.Ok {
		t.Errorf("the history of %d operations is not linearizable: %v", len(history), got)
	}
}

// registers is the number of keys; few, so that clients collide.
const registers = 3

func register(i int) string { return fmt.Sprintf("r/%d", i) }

// state is what all registers hold; a revision of 0 means that there is no key.
type state [registers]struct {
	value    string
	revision int64
}

// input is one operation: a transaction or, if nil, a read of all registers.
type input struct{ txn *store.Txn }

// output is what it returned: the state read, or the revision written (0 for a
// conflict).
type output struct {
	state    state
	revision int64
}

// plan makes up a client's next operation from what it saw last.
func plan(rng *rand.Rand, seen state, value string) input {
	if rng.IntN(3) == 0 {
		return input{}
	}
	txn := &store.Txn{}
	for _, i := range rng.Perm(registers)[:1+rng.IntN(2)] {
		if rng.IntN(2) == 0 {
			txn.Conds = append(txn.Conds, store.Cond{Key: register(i), Revision: seen[i].revision})
		}
		txn.Writes = append(txn.Writes, store.Write{Key: register(i), Value: []byte(value), Delete: rng.IntN(6) == 0})
	}
	return input{txn}
}

// run performs the operation.
func (in input) run(ctx context.Context, s store.Store) (output, error) {
	if in.txn != nil {
		rev, err := s.Commit(ctx, *in.txn)
		if errors.Is(err, store.ErrConflict) {
			return output{}, nil
		}
		return output{revision: rev}, err
	}
	page, err := s.Range(ctx, store.Query{Key: "r/", Prefix: true})
	var out output
	for _, e := range page.Entries {
		i := index(e.Key)
		out.state[i].value, out.state[i].revision = string(e.Value), e.Revision
	}
	return out, err
}

func index(key string) int { return int(key[len(key)-1] - '0') }

// model is the sequential store that the real one must be indistinguishable from.
func model() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return state{} },
		Step: func(before, in, out any) (bool, any) {
			was, op, got := before.(state), in.(input), out.(output)
			if op.txn == nil {
				return got.state == was, was
			}
			return step(was, *op.txn, got.revision)
		},
		DescribeOperation: func(in, out any) string {
			return fmt.Sprintf("%+v -> %+v", in.(input).txn, out.(output))
		},
	}
}

// step applies a transaction that returned a revision, or 0 for a conflict.
func step(was state, txn store.Txn, revision int64) (bool, state) {
	holds := true
	for _, c := range txn.Conds {
		holds = holds && was[index(c.Key)].revision == c.Revision
	}
	if revision == 0 || !holds {
		return revision == 0 && !holds, was
	}
	now := was
	for _, w := range txn.Writes {
		cell := &now[index(w.Key)]
		if cell.revision >= revision {
			return false, was
		}
		cell.value, cell.revision = string(w.Value), revision
		if w.Delete {
			cell.value, cell.revision = "", 0
		}
	}
	return true, now
}
