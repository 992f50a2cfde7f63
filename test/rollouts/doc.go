// Package rollouts proves, from outside, that releases reach the right instances:
// it drives the built binary over TLS with instances by the hundred, some of which
// are real programs, and compares what each of them has with what was announced.
package rollouts
