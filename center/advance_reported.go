package center

import (
	"strconv"

	"github.com/setpointhq/setpoint/config"
)

// reported is what the instances that a launch claims said of it: each counts once,
// however many of its configs it has. One has applied the launch if it applied
// all that it is served of it, and refused it if it refused any.
type reported struct {
	claimed, applied, refused int
	complaint                 string // of one that refused
}

// tallier adds up the receipts of a launch, config by config.
type tallier struct {
	instances map[uint64]config.AckState
	complaint string
}

// add takes the receipts of one config, each instance of which is in there once.
func (t *tallier) add(path config.Path, receipts []config.Receipt) {
	if t.instances == nil {
		t.instances = make(map[uint64]config.AckState, len(receipts))
	}
	for i := range receipts {
		r := &receipts[i]
		before, known := t.instances[r.Instance]
		t.instances[r.Instance] = together(before, r.State, known)
		if r.State == config.AckRefused && t.complaint == "" && r.Why != "" {
			t.complaint = complaintOf(path, r)
		}
	}
}

// together is what an instance said of two configs.
func together(before, now config.AckState, known bool) config.AckState {
	switch {
	case before == config.AckRefused || now == config.AckRefused:
		return config.AckRefused
	case now == config.AckApplied && (!known || before == config.AckApplied):
		return config.AckApplied
	}
	return config.AckNone
}

// complaintOf quotes one that refused. What instances write may be anything.
func complaintOf(path config.Path, r *config.Receipt) string {
	who := "one of them"
	if r.ID != "" {
		who = strconv.Quote(clipText(r.ID))
	}
	const most = 200 // bytes
	why := r.Why
	if len(why) > most {
		why = why[:most] + "…"
	}
	return who + " of " + path.Name + ": " + strconv.Quote(why)
}

func (t *tallier) sum() *reported {
	sum := &reported{claimed: len(t.instances), complaint: t.complaint}
	for _, state := range t.instances {
		switch state {
		case config.AckApplied:
			sum.applied++
		case config.AckRefused:
			sum.refused++
		case config.AckNone:
		}
	}
	return sum
}
