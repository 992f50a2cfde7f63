// Package client speaks to a Setpoint server over its REST interface: reading
// and watching configuration as applications do, and everything that people and
// pipelines do with it.
//
// An application makes a Client with New, opens a Set of the configs that it
// needs with Client.Open, and binds them to its own types with Bind. The Set is
// one consistent state that follows the servers, survives them, in a cache on
// disk even across restarts, and tells them which versions were applied and
// which refused. What is smaller is there, too: Client.Get reads one config,
// Client.Snapshot an env, Client.Watch yields what changes; WatchFunc and
// WatchChan are the same as a callback and a channel. Package clienttest is a
// server for an application's tests.
//
// Every failure is a *config.Error whose Kind says what sort it is, with the
// current version of a conflict and the problems found in content. Of calls,
// only reads are retried. A Client and a Set are safe for concurrent use.
//
// The package imports package config and the standard library only, so that its
// users inherit nothing else.
package client
