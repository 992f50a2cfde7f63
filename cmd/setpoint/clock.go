//go:build !faultclock

package main

import "time"

// clock is the machine's: builds for the fault tests have one that can be set.
func clock() func() time.Time { return time.Now }
