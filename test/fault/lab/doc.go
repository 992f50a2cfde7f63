// Package lab is a small world to break things in: a network of machines that
// can be cut from each other and slowed down, and disks that can be small, full
// or slow. All of it lies in namespaces of the test's own, so that it cannot
// collide with anything and is gone when the test ends, however it ends.
package lab
