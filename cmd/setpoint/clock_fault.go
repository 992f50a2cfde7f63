//go:build faultclock

package main

import (
	"os"
	"strings"
	"time"
)

// clock is one for the fault tests: ahead of the machine's by the duration that
// stands in the file named by SETPOINT_FAULT_CLOCK, which is read each time, so
// that the clock can jump while the node runs.
func clock() func() time.Time {
	file := os.Getenv("SETPOINT_FAULT_CLOCK")
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
