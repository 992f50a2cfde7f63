// Package setpointv1 is the gRPC interface of Setpoint in Go: the messages of
// setpoint.v1, its clients, and the interfaces that a server implements. All but
// this file is generated from api/proto by `make proto`, and comes with the
// description's own comments. An example of a client is that of protocol/grpc.
package setpointv1
