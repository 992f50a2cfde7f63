package config

import "time"

// The bounds of freezes.
const (
	MaxFreezes      = 32   // of an env
	MaxFreezeReason = 1000 // bytes
)

// Freeze is a time in which nothing is released in an env, be it once, From one
// moment To another, or every week. What takes a release back is always allowed.
type Freeze struct {
	// Name tells the freezes of an env apart.
	Name   string    `json:"name"`
	Reason string    `json:"reason,omitempty"`
	From   time.Time `json:"from,omitzero"`
	To     time.Time `json:"to,omitzero"`
	Weekly *Weekly   `json:"weekly,omitempty"`
}

// Frozen reports whether the env is frozen at a time, by which of its freezes,
// and until when: the end of all those that follow each other without a gap, so
// that whoever comes back then is not sent away again. Of several freezes it
// names the one that ends last.
//
// What CheckFreezes refuses freezes nothing; a zone that this program does not
// know is taken for UTC.
func (e *Env) Frozen(at time.Time) (f Freeze, until time.Time, frozen bool) {
	if len(e.Freezes) == 0 {
		return Freeze{}, time.Time{}, false
	}
	all := newTimetable(e.Freezes)
	for i := range all {
		if end, in := all[i].end(at); in && end.After(until) {
			f, until, frozen = *all[i].freeze, end, true
		}
	}
	if !frozen {
		return Freeze{}, time.Time{}, false
	}
	return f, all.thaw(until, time.Time{}).UTC(), true
}

// NextThaw returns when something may be released in the env again: at the time
// itself if it is not frozen then.
func (e *Env) NextThaw(at time.Time) time.Time {
	if _, until, frozen := e.Frozen(at); frozen {
		return until
	}
	return at
}

// timetable is freezes made ready for many questions: their texts are read and
// their zones loaded once.
type timetable []stretch

type stretch struct {
	freeze *Freeze
	week   *week // nil of one that is once, and of one that cannot be read
}

func newTimetable(freezes []Freeze) timetable {
	all := make(timetable, len(freezes))
	for i := range freezes {
		all[i].freeze = &freezes[i]
		if w := freezes[i].Weekly; w != nil {
			all[i].week, _ = w.read() // what cannot be read freezes nothing
		}
	}
	return all
}

// end returns when the freeze ends that lasts at a time; it begins with its
// first moment and is over at its last.
func (s *stretch) end(at time.Time) (time.Time, bool) {
	switch f := s.freeze; {
	case s.week != nil:
		return s.week.end(at)
	case f.Weekly == nil && !f.From.IsZero() && !at.Before(f.From) && at.Before(f.To):
		return f.To, true
	}
	return time.Time{}, false
}

// maxChain bounds how many freezes are followed from one to the next. It is more
// than any list that CheckFreezes lets through has without a gap: each of those
// that are once lets every weekly one join in once more.
const maxChain = 2 * (MaxFreezes + 1) * (MaxFreezes + 1)

// thaw follows freezes that adjoin or overlap to where the last one ends, or to
// past the limit if that is not zero.
func (t timetable) thaw(until, limit time.Time) time.Time {
	for range maxChain {
		next := until
		for i := range t {
			if end, in := t[i].end(until); in && end.After(next) {
				next = end
			}
		}
		if !next.After(until) || !limit.IsZero() && next.After(limit) {
			return next
		}
		until = next
	}
	return until
}
