// Package clusters proves, from outside, what Setpoint promises of clusters:
// nodes of the built binary, each a process of its own, that meet over real TLS
// on loopback. It tells how they start and how they refuse to, and how a cluster
// lives; what faults do to one is package fault's.
package clusters
