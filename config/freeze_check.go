package config

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// CheckFreezes finds everything that is wrong with the freezes of an env. Every
// message begins with the field that it is about.
func CheckFreezes(freezes []Freeze) []Problem {
	var c checker
	if len(freezes) > MaxFreezes {
		c.fail("freezes", "there are %d; at most %d are taken", len(freezes), MaxFreezes)
		return c.problems
	}
	named := map[string]bool{}
	for i := range freezes {
		f := &freezes[i]
		c.within("freezes["+strconv.Itoa(i)+"]", func() {
			if named[f.Name] {
				c.fail("name", "%q is the name of an earlier one", clip(f.Name))
			}
			named[f.Name] = true
			c.freeze(f)
		})
	}
	if len(c.problems) == 0 && neverThaws(freezes) {
		c.fail("freezes", "together they freeze the whole of every week; leave a time in which something may be released")
	}
	return c.problems
}

// ValidateFreezes is CheckFreezes for those who go on or do not: an Invalid error
// with every problem, nil if there is none.
func ValidateFreezes(env string, freezes []Freeze) error { return invalid(env, CheckFreezes(freezes)) }

// Check finds everything that is wrong with the freeze, seen alone.
func (f *Freeze) Check() []Problem {
	var c checker
	c.freeze(f)
	return c.problems
}

// Validate is to Freeze.Check what ValidateFreezes is to CheckFreezes.
func (f *Freeze) Validate() error { return invalid("", f.Check()) }

func (c *checker) freeze(f *Freeze) {
	if !isLabel(f.Name) {
		c.fail("name", "%q: use 1 to %d lower-case letters, digits or '-', not beginning or ending with '-'", clip(f.Name), maxLabelLength)
	}
	if len(f.Reason) > MaxFreezeReason || !utf8.ValidString(f.Reason) || strings.ContainsFunc(f.Reason, isControl) {
		c.fail("reason", "want at most %d bytes in one line, without control characters", MaxFreezeReason)
	}
	once := !f.From.IsZero() || !f.To.IsZero()
	switch {
	case once && f.Weekly != nil:
		c.fail("weekly", "give either from and to, or weekly")
	case once:
		c.once(f)
	case f.Weekly == nil:
		c.fail("from", "it does not say when; give from and to, or weekly")
	default:
		if _, err := f.Weekly.read(); err != nil {
			field, why, _ := strings.Cut(err.Error(), ": ")
			c.fail("weekly."+field, "%s", why)
		}
	}
}

func (c *checker) once(f *Freeze) {
	switch {
	case f.From.IsZero():
		c.fail("from", "it is missing; a freeze that is once has a beginning and an end")
	case f.To.IsZero():
		c.fail("to", "it is missing; a freeze that is once has a beginning and an end")
	case !f.To.After(f.From):
		c.fail("to", "%s is not after from, %s", f.To.Format(time.RFC3339), f.From.Format(time.RFC3339))
	}
	if year := f.From.UTC().Year(); year < 1 {
		c.fail("from", "the year %d cannot be written; use one from 1 to 9999", year)
	}
	if year := f.To.UTC().Year(); year > 9999 {
		c.fail("to", "the year %d cannot be written; use one from 1 to 9999", year)
	}
}

// neverThaws reports whether those that are weekly leave no time of the week. It
// looks at a week in winter and at one in summer, for zones change their clocks.
func neverThaws(freezes []Freeze) bool {
	weekly := newTimetable(slices.DeleteFunc(slices.Clone(freezes), func(f Freeze) bool { return f.Weekly == nil }))
	for _, month := range []time.Month{time.January, time.July} {
		begin := time.Date(2026, month, 11, 0, 0, 0, 0, time.UTC)
		if limit := begin.AddDate(0, 0, 8); weekly.thaw(begin, limit).After(limit) {
			return true
		}
	}
	return false
}
