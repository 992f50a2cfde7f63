// Package cluster runs nodes of the built binary on machines of a lab: as many
// as are wanted, with certificates of an authority of their own, over real TLS.
// It can do to them what machines, networks and operators do.
package cluster
