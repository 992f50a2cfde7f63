// Package config holds Setpoint's domain nouns: paths, configs, drafts,
// releases, rollouts, change sets, and the one error type with its closed set
// of kinds.
//
// In this code base "config" always means the managed data; Setpoint's own
// options are "settings". The package imports the standard library only, does
// no I/O, and decides nothing: the verbs live in package center.
package config
