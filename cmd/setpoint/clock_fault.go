//go:build faultclock

package main

import (
	"os"
	"strings"
	"time"
)

// clock is one for the fault tests: ahead of the machine's by the duration that
// stands in the file named by FAULT_CLOCK, which is read each time, so that the
// clock can jump while the node runs. It is no setting: other builds know nothing
// of it, and refuse variables of theirs that they do not know.
func clock() func() time.Time {
	file := os.Getenv("FAULT_CLOCK")
	return func() time.Time {
		now := time.Now()
		content, err := os.ReadFile(file)
		if err != nil {
			return now // no file: no jump yet
		}
		offset, err := time.ParseDuration(strings.TrimSpace(string(content)))
		if err != nil {
			return now
		}
		return now.Add(offset)
	}
}
