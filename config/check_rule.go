package config

import (
	"slices"
	"strconv"
)

// group checks a rule that stands for itself: the top one, or one of an "any".
// What it says must hold together, through all levels of "all".
func (c *checker) group(r *Rule, depth int) {
	if !c.rule(r, depth) {
		return
	}
	wanted := appendRequirements(nil, r)
	for i := range wanted {
		for j := range wanted[:i] {
			if c.contradict(&wanted[i], &wanted[j]) {
				c.fail("labels", "nobody satisfies both %s and %s", Selector(wanted[j:j+1]), Selector(wanted[i:i+1]))
				return
			}
		}
	}
	if len(wanted) == 0 || demandsMore(r) {
		return
	}
	for i := range wanted {
		if op := wanted[i].Operator; op != OpNotEqual && op != OpNotIn {
			return
		}
	}
	c.warn("labels", "%s also claims every client that has no such label; add the key alone to want it there", Selector(wanted))
}

// maxComparisons bounds how hard contradictions are looked for.
const maxComparisons = 100_000

func (c *checker) contradict(a, b *Requirement) bool {
	if a.Key != b.Key || c.comparisons > maxComparisons {
		return false
	}
	c.comparisons += 1 + 2*len(a.Values)*len(b.Values)
	return a.excludes(b) || b.excludes(a)
}

// rule checks one rule and those in it; false if there are too many to go on.
func (c *checker) rule(r *Rule, depth int) bool {
	if c.rules++; c.rules > MaxRules || depth > MaxRuleDepth {
		if c.rules == MaxRules+1 || depth > MaxRuleDepth {
			c.fail("", "there are more than %d rules or more than %d levels of them", MaxRules, MaxRuleDepth)
		}
		return false
	}
	if !r.says() {
		c.fail("", "the rule says nothing, so it would claim nobody; to claim everybody use strategy all")
	}
	if r.Share != nil {
		c.share(*r.Share)
	}
	c.selector(r.Labels)
	c.networks(r.Addresses)
	c.instances("instances", r.Instances)
	for i := range r.All {
		sound := true
		c.within("all["+strconv.Itoa(i)+"]", func() { sound = c.rule(&r.All[i], depth+1) })
		if !sound {
			return false
		}
	}
	for i := range r.Any {
		c.within("any["+strconv.Itoa(i)+"]", func() { c.group(&r.Any[i], depth+1) })
		if c.rules > MaxRules {
			return false
		}
	}
	return true
}

func (c *checker) share(s Share) {
	switch {
	case s < 0 || s > FullShare:
		c.fail("share", "%d: want 0 to %d hundredths of a percent; %d is 1%%", s, FullShare, FullShare/100)
	case s == 0:
		c.warn("share", "0%% claims nobody until it is raised")
	}
}

func (c *checker) selector(s Selector) {
	if len(s) > MaxRequirements {
		c.fail("labels", "there are %d requirements; at most %d are taken", len(s), MaxRequirements)
		return
	}
	for i := range s {
		if why := s[i].problem(); why != "" {
			c.fail("labels", "%s", why)
		}
	}
	if text := s.String(); len(text) > maxSelectorText {
		c.fail("labels", "they take %d bytes to write; at most %d are taken", len(text), maxSelectorText)
	}
}

func (c *checker) networks(networks []Network) {
	if len(networks) > MaxNetworks {
		c.fail("addresses", "there are %d; at most %d are taken", len(networks), MaxNetworks)
		return
	}
	for i, n := range networks {
		switch at := "addresses[" + strconv.Itoa(i) + "]"; {
		case !n.prefix.IsValid():
			c.fail(at, "the network is missing")
		case slices.Contains(networks[:i], n):
			c.fail(at, "network %s is there twice", n)
		case n.prefix.Bits() == 0:
			c.warn(at, "%s is every address of its version of IP", n)
		}
	}
}

// appendRequirements adds what a rule wants of labels whatever else it says.
func appendRequirements(wanted []Requirement, r *Rule) []Requirement {
	wanted = append(wanted, r.Labels...)
	for i := range r.All {
		wanted = appendRequirements(wanted, &r.All[i])
	}
	return wanted
}

// demandsMore reports whether a rule asks for anything but labels.
func demandsMore(r *Rule) bool {
	return r.Share != nil || len(r.Any)+len(r.Addresses)+len(r.Instances) > 0 ||
		slices.ContainsFunc(r.All, func(child Rule) bool { return demandsMore(&child) })
}
