// Package e2e proves, from outside, what Setpoint promises: it drives the built
// binary, as a process of its own, over real TLS and with data on a real disk,
// through the Go SDK and, where input is hostile, in raw bytes.
package e2e
