package check

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/test/fault/history"
)

// register is the state of one config: every write makes the next version.
type register struct {
	version int64
	digest  string
}

// step is one call on one config, as the model sees it.
type step struct {
	op   history.Op
	item history.Item
}

// Linear wants there to be one order of all publishes, rollbacks and strong
// reads of each config that explains every answer, in which each call has its
// place between when it was made and when it returned. A call whose outcome is
// unknown may have taken effect at any time after it was made, or not at all;
// what the past says of it is believed, and so must fit in as well. The configs
// begin as initial says, and without a version where it says nothing.
func Linear(ops []history.Op, past history.Past, initial map[config.Path]history.Item) []string {
	var wrong problems
	calls := map[config.Path][]porcupine.Operation{}
	happened := writesOf(past)
	for _, o := range ops {
		for _, item := range o.Items {
			if call, counts := operation(o, item, happened); counts {
				calls[item.Path] = append(calls[item.Path], call)
			}
		}
	}
	for _, path := range paths(calls) {
		model := registerModel(register{initial[path].Version, initial[path].Digest})
		const patience = time.Minute
		switch result, info := porcupine.CheckOperationsVerbose(model, calls[path], patience); result {
		case porcupine.Illegal:
			wrong.add("%s: no order explains its history\n%s", path, stuck(calls[path], info))
		case porcupine.Unknown:
			wrong.add("%s: whether some order explains its %d calls could not be found out within %s", path, len(calls[path]), patience)
		}
	}
	return wrong.list()
}

// written is a write as the past knows it: by its comment and config.
type written struct {
	comment string
	path    config.Path
}

func writesOf(past history.Past) map[written]int64 {
	all := map[written]int64{}
	for path, releases := range past.Releases {
		for _, r := range releases {
			all[written{r.Comment, path}] = r.Version
		}
	}
	return all
}

// operation is the call as it goes into the model; false if it says nothing.
func operation(o history.Op, item history.Item, happened map[written]int64) (porcupine.Operation, bool) {
	call := porcupine.Operation{Call: int64(o.Call), Return: int64(o.Return)}
	switch {
	case o.Kind == history.ReadStrong:
		call.Input = step{o, item}
		return call, o.Outcome == history.OK
	case !o.Kind.Writes():
		return call, false
	case o.Outcome == history.Unknown:
		// It may take effect until the end of time, which is as good as never.
		call.Return = math.MaxInt64
		item.Version = happened[written{o.Comment, item.Path}]
		call.Input = step{o, item}
		return call, len(happened) == 0 || item.Version != 0
	case o.Outcome == history.Refused:
		call.Input = step{o, item}
		return call, o.Conflict && item.Expected != nil && len(o.Items) == 1
	}
	call.Input = step{o, item}
	return call, true
}

func registerModel(initial register) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return initial },
		Step: func(state, input, _ any) (bool, any) {
			return take(state.(register), input.(step)) //nolint:errcheck // these are what Init and operation make
		},
		DescribeOperation: func(input, _ any) string { return input.(step).String() },                            //nolint:errcheck // likewise
		DescribeState:     func(state any) string { return fmt.Sprintf("version %d", state.(register).version) }, //nolint:errcheck // likewise
	}
}

// take says whether a call can have its place here, and what it leaves.
func take(r register, s step) (bool, register) {
	holds := s.item.Expected == nil || *s.item.Expected == r.version
	switch {
	case s.op.Kind == history.ReadStrong:
		return s.item.Version == r.version && s.item.Digest == r.digest, r
	case s.op.Outcome == history.Refused:
		return !holds && s.op.Current == r.version, r
	case s.op.Outcome == history.Unknown && s.item.Version == 0:
		if !holds {
			return true, r
		}
		return true, register{r.version + 1, s.item.Digest}
	default:
		return holds && s.item.Version == r.version+1, register{s.item.Version, s.item.Digest}
	}
}

// String tells of the call in a few words.
func (s step) String() string {
	text := fmt.Sprintf("%s of %s at %s, %s…%s: %s", s.op.Kind, s.op.Client, s.op.Node, s.op.Call.Round(time.Microsecond), s.op.Return.Round(time.Microsecond), s.op.Outcome)
	if s.item.Expected != nil {
		text += fmt.Sprintf(", expects version %d", *s.item.Expected)
	}
	if s.op.Conflict {
		return text + fmt.Sprintf(", found version %d", s.op.Current)
	}
	return text + fmt.Sprintf(", version %d of %.8s", s.item.Version, s.item.Digest)
}

// stuck shows how far the longest order came, and what had no place after it.
func stuck(calls []porcupine.Operation, info porcupine.LinearizationInfo) string {
	var longest []porcupine.Operation
	for _, partition := range info.PartialLinearizationsOperations() {
		for _, order := range partition {
			if len(order) > len(longest) {
				longest = order
			}
		}
	}
	placed := map[string]bool{}
	for _, o := range longest {
		placed[describe(o)] = true
	}
	rest := slices.DeleteFunc(slices.Clone(calls), func(o porcupine.Operation) bool { return placed[describe(o)] })
	slices.SortFunc(rest, func(a, b porcupine.Operation) int { return int(a.Call/2 - b.Call/2) })
	var b strings.Builder
	const few = 5
	for _, o := range longest[max(0, len(longest)-few):] {
		fmt.Fprintf(&b, "    in order: %s\n", describe(o))
	}
	for _, o := range rest[:min(few, len(rest))] {
		fmt.Fprintf(&b, "    no place: %s\n", describe(o))
	}
	return b.String()
}

func describe(o porcupine.Operation) string {
	s, _ := o.Input.(step)
	return s.String()
}
