// Package program is the built binary as tests meet it from outside: where it
// is, a server that runs as a process of its own, and what tests put into it. It
// knows the command line, the API and what is printed, and no more.
package program
