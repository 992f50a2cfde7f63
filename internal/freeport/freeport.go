// Package freeport finds ports on loopback for servers that tests and benchmarks
// start: ones that must be known before the server listens, or that it must come
// back to.
package freeport

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// Ports lie below those that systems give to outgoing connections: while a server
// is down, a client that dials it again and again would otherwise get that very
// port for itself one day.
const lowest, highest = 20_000, 32_000

// given are the ports that this process has got. None is given twice: the first
// need not be listened at yet when the second is looked for.
var given sync.Map //nolint:gochecknoglobals // of int; a process has one set of ports

// Addr returns an address on loopback, "127.0.0.1:20123", where nobody listens.
// Another process could take it before it is used; the ports are chosen at random,
// so that this is rare.
func Addr() (string, error) {
	const tries = 1000
	for range tries {
		port := lowest + rand.IntN(highest-lowest) //nolint:gosec // spreads tests, guards nothing
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if _, before := given.LoadOrStore(port, true); !before && free(addr) {
			return addr, nil
		}
	}
	return "", fmt.Errorf("no free port from %d to %d was found", lowest, highest)
}

func free(addr string) bool {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// Failer is what a test fails with.
type Failer interface {
	Helper()
	Fatal(args ...any)
}

// For is Addr for a test, which fails if there is none.
func For(tb Failer) string {
	tb.Helper()
	addr, err := Addr()
	if err != nil {
		tb.Fatal(err)
	}
	return addr
}
