package config

import (
	"cmp"
	"strings"
)

// compareVersions orders two versions by the precedence of Semantic Versioning
// 2.0.0; false if either is none. A version may begin with "v" and have one to
// four numbers, of which those that are missing are 0: "v1.4" equals "1.4.0",
// and "8" is a version too. Numbers may be of any size. Nothing is allocated.
func compareVersions(a, b string) (int, bool) {
	coreA, preA, okA := splitVersion(a)
	coreB, preB, okB := splitVersion(b)
	if !okA || !okB {
		return 0, false
	}
	for coreA != "" || coreB != "" {
		var x, y string
		x, coreA, _ = strings.Cut(coreA, ".")
		y, coreB, _ = strings.Cut(coreB, ".")
		if c := compareNumbers(x, y); c != 0 {
			return c, true
		}
	}
	return comparePreReleases(preA, preB), true
}

// splitVersion separates "1.2.3" from "rc.1"; false if s is no version.
func splitVersion(s string) (core, pre string, ok bool) {
	s = strings.TrimPrefix(s, "v")
	s, build, hasBuild := strings.Cut(s, "+")
	core, pre, hasPre := strings.Cut(s, "-")
	ok = strings.Count(core, ".") < 4 && identifiers(core, isNumber) &&
		(!hasPre || identifiers(pre, isIdentifier)) && (!hasBuild || identifiers(build, isIdentifier))
	return core, pre, ok
}

// identifiers reports whether every part between dots is one.
func identifiers(s string, is func(string) bool) bool {
	for {
		part, rest, more := strings.Cut(s, ".")
		if !is(part) {
			return false
		}
		if !more {
			return true
		}
		s = rest
	}
}

func isNumber(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

func isIdentifier(s string) bool {
	for i := range len(s) {
		if !isAlphanumeric(s[i]) && s[i] != '-' {
			return false
		}
	}
	return s != ""
}

// comparePreReleases puts "rc.1" before "rc.2", and both before no text at all.
func comparePreReleases(a, b string) int {
	if a == "" || b == "" {
		return cmp.Compare(len(b), len(a)) // one of them is 0
	}
	for a != "" && b != "" {
		var x, y string
		x, a, _ = strings.Cut(a, ".")
		y, b, _ = strings.Cut(b, ".")
		if c := compareIdentifiers(x, y); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b)) // the one with more parts is later
}

func compareIdentifiers(a, b string) int {
	switch numA, numB := isNumber(a), isNumber(b); {
	case numA && numB:
		return compareNumbers(a, b)
	case numA:
		return -1
	case numB:
		return 1
	default:
		return strings.Compare(a, b)
	}
}

// compareNumbers compares decimal digits of any length; "" is 0.
func compareNumbers(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if c := cmp.Compare(len(a), len(b)); c != 0 {
		return c
	}
	return strings.Compare(a, b)
}
