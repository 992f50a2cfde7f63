// Package agent holds the command agent, which keeps files on a machine in step
// with configs, so that any program, in whatever language, can be a client.
//
// Files that belong together are a group. A group's files are rendered as a
// whole, put in their places, checked by a command of the user's, and made known
// to the program by another. Where a step fails, what was there before is put
// back, and the server is told that the release was refused, and why.
//
// The package stands on the SDK's Set and knows no other way to a server.
package agent
