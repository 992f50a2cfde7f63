package store

import (
	"regexp"

	"github.com/setpointhq/setpoint/config"
)

// officeNames is what offices may be called.
var officeNames = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)

// maxCandidate is the longest name of a candidate, in bytes.
const maxCandidate = 256

// CheckCampaign refuses a Campaign that no driver may accept.
func CheckCampaign(office, candidate string) error {
	switch {
	case !officeNames.MatchString(office):
		return config.Errorf(config.Invalid, "campaign", "", "%.100q is no name of an office; it must have 1 to 63 lower-case letters, digits and hyphens", office)
	case candidate == "" || len(candidate) > maxCandidate:
		return config.Errorf(config.Invalid, "campaign", office, "the candidate's name must have 1 to %d bytes, has %d", maxCandidate, len(candidate))
	}
	return nil
}

// OfficeKey returns the key whose value names the holder of an office, and which
// the Fence of the term is a condition on. It is there during a term alone. The
// keys of offices have a section of their own in internal/record.
func OfficeKey(office string) string { return "l/" + office }
