// Package client speaks to a Setpoint server over its REST interface: reading
// and watching configuration as applications do, and everything that people and
// pipelines do with it.
//
// Every failure is a *config.Error whose Kind says what sort it is, with the
// current version of a conflict and the problems found in content. Only reads
// are retried. A Client is safe for concurrent use.
//
// The package imports package config and the standard library only, so that its
// users inherit nothing else.
package client
