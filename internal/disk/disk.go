// Package disk tells how much room a file system has. It knows nothing of what
// is kept there.
package disk
