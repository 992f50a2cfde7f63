// Package interop proves that clients which know nothing of Setpoint's code
// work with it as they are: it drives the built binary over TLS with curl, with
// what gRPC reflection alone tells, with libraries of Node.js, and with pages in
// a browser. A tool that is missing fails the tests; tools/install-test-deps and
// `make node-libs` install them.
package interop
