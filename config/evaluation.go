package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// evaluation answers the questions of strategies about one client and one
// config. What is dear to find out, it finds out once. It lives on the stack of
// whoever resolves.
type evaluation struct {
	path   *Path
	client Client // not a pointer: what it points to would be moved to the heap

	salt     string
	bucket   int
	bucketed bool // bucket is the client's for salt

	address netip.Addr
	parsed  bool // address is the client's; invalid if it has none

	// trace writes down what was found, for Explain; nil otherwise.
	trace *trace
}

// use makes salt the one that shares go by.
func (e *evaluation) use(salt string) {
	if salt != e.salt {
		e.salt, e.bucketed = salt, false
	}
}

func (e *evaluation) inShare(field string, share Share) bool {
	if e.client.ID == "" {
		return e.found(field, "the client has no id, so it has no bucket", false)
	}
	if !e.bucketed {
		var seed uint64
		if e.salt == "" {
			seed = seedOf(e.path)
		} else {
			seed = xxh64(e.salt, 0)
		}
		e.bucket, e.bucketed = bucket(seed, e.client.ID), true
	}
	in := e.bucket < int(share)
	if e.trace != nil {
		e.trace.bucket(e.bucket, share)
		e.trace.add(field, fmt.Sprintf("its bucket %d is %s", e.bucket, either(in, "below ", "not below ")+strconv.Itoa(int(share))), in)
	}
	return in
}

func (e *evaluation) hasLabels(s Selector) bool {
	matches := s.matches(e.client.Labels)
	if e.trace != nil {
		e.trace.add("labels", "its labels "+either(matches, "satisfy ", "do not satisfy ")+s.String(), matches)
	}
	return matches
}

func (e *evaluation) comesFrom(networks []Network) bool {
	if !e.parsed {
		// A zone names an interface of one machine and means nothing here.
		if text, _, _ := strings.Cut(e.client.Address, "%"); text != "" {
			e.address, _ = netip.ParseAddr(text) // what is no address is in no network
		}
		e.parsed = true
	}
	for i := range networks {
		if networks[i].Contains(e.address) {
			if e.trace != nil {
				e.trace.add("addresses", fmt.Sprintf("its address %s is in %s", e.address, networks[i]), true)
			}
			return true
		}
	}
	if e.trace != nil {
		e.trace.add("addresses", fmt.Sprintf("its address %q is in none of the networks", clip(e.client.Address)), false)
	}
	return false
}

func (e *evaluation) isOneOf(field string, ids InstanceSet) bool {
	has := ids.Has(e.client.ID)
	if e.trace != nil {
		e.trace.add(field, fmt.Sprintf("its id %q is %s", clip(e.client.ID), either(has, "named", "not named")), has)
	}
	return has
}

func (e *evaluation) inSlot(s *Slots) bool {
	slot := s.serving(e.client.Slot)
	in := slot == s.Candidate
	if e.trace != nil {
		e.trace.slot(slot)
		asked := fmt.Sprintf("it asks for slot %q", clip(e.client.Slot))
		switch {
		case e.client.Slot == "":
			asked = "it asks for no slot and gets the active one, " + strconv.Quote(slot)
		case e.client.Slot != slot || slot != s.Stable && slot != s.Candidate:
			asked += ", which is not there, and gets the active one, " + strconv.Quote(slot)
		}
		e.trace.add("slots", asked, in)
	}
	return in
}

// claimedBy asks the i-th rule of a list.
func (e *evaluation) claimedBy(list string, i int, r *Rule) bool {
	if e.trace == nil {
		return r.claims(e)
	}
	return e.trace.within(list+"["+strconv.Itoa(i)+"]", func() bool { return r.claims(e) })
}

// obeys asks the rule of a strategy.
func (e *evaluation) obeys(r *Rule) bool {
	if e.trace == nil {
		return r.claims(e)
	}
	return e.trace.within("rule", func() bool { return r.claims(e) })
}

// found writes down, if anybody wants to know, and returns what was found.
func (e *evaluation) found(field, what string, holds bool) bool {
	if e.trace != nil {
		e.trace.add(field, what, holds)
	}
	return holds
}

// begin turns to the next candidate.
func (e *evaluation) begin(c *Candidate) {
	if e.trace != nil {
		e.trace.begin(c)
	}
}

func either(which bool, yes, no string) string {
	if which {
		return yes
	}
	return no
}
