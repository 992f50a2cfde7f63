package hostile

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"

	"golang.org/x/net/http2"
)

// oversized is what is more than may be sent. It is refused in the protocol's own
// way before it takes up any room.
var oversized = []attack{
	{"a body", only("SSE"), body("too_large", "HTTP 413", `{"content":"`+strings.Repeat("x", 3<<20)+`"}`)},
	{"a body that is said to be huge", only("SSE"), hugeBody},
	{"a header", http1, status(request("GET", "/v1/version", "", "X-Large: "+strings.Repeat("x", 64<<10)), "HTTP 431")},
	{"a path", http1, status(request("GET", "/v1/"+strings.Repeat("x", 64<<10), ""), "HTTP 431")},
	{"many headers", http1, status(request("GET", "/v1/version", "", strings.Repeat("X: y\r\n", 20_000)+"X: z"), "HTTP 431")},
	{"a message", overSocket, frames("close 1009", "", frame(final|opText, strings.Repeat(" ", 64<<10+1)))},
	{"a message in parts", overSocket, frames("close 1009", "", frame(opText, strings.Repeat(" ", 40<<10)), frame(opMore, strings.Repeat(" ", 40<<10)))},
	{"a message that is said to be huge", overSocket, frames("close 1009", "", []byte{final | opText, 0xff, 0x3f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4})},
	{"a ping", overSocket, frames("close 1002", "", frame(final|opPing, strings.Repeat("x", 126)))},
	{"a message", overHTTP2, inCall(readCall, "", "", "\x00\x00\x05\x00\x00"+strings.Repeat("x", 5<<16))},
	{"a message that is said to be huge", overHTTP2, inCall(readCall, "", "status 8", "\x00\xff\xff\xff\xff")},
	{"metadata", overHTTP2, largeMetadata},
	{"metadata without end", overHTTP2, endlessMetadata},
	{"paths", all, tooManyPaths},
	{"a path of a watch", all, longPath},
	{"subscriptions", except("SSE", "GraphQL over SSE"), tooManySubscriptions},
	{"calls", only("gRPC"), tooManyCalls},
}

func hugeBody(n *node, d *dialect) error {
	c, err := n.dial(d.addr(n), d.alpn)
	if err != nil {
		return err
	}
	defer c.Close()
	resp, _, err := answer(c, request("PUT", draft, "", authorization(n.token.Reveal()), "Content-Type: application/json", "Content-Length: 999999999999"))
	if err != nil {
		return err
	}
	return wantRefusal("too_large", []string{"HTTP 413"}, refused(resp))
}

// largeMetadata is over the limit, but not by so much that the connection must go.
func largeMetadata(n *node, d *dialect) error {
	c, err := n.dial(d.addr(n), d.alpn)
	if err != nil {
		return err
	}
	defer c.Close()
	h, err := beginHTTP2(c, wide)
	if err != nil {
		return err
	}
	id, err := h.call(readCall, n.token.Reveal(), "x-large", strings.Repeat("x", 64<<10))
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return nil // it was cut off while it still talked
	}
	_ = h.sendBytes(id, []byte("\x00\x00\x00\x00\x00"), true)
	if _, err := h.receive(); err == nil || errors.Is(err, io.EOF) && errors.As(err, new(*refusal)) {
		return fmt.Errorf("want it refused, got %w", err)
	}
	return nil
}

// endlessMetadata never comes to the end of a block of headers.
func endlessMetadata(n *node, d *dialect) error {
	c, err := n.dial(d.addr(n), d.alpn)
	if err != nil {
		return err
	}
	defer c.Close()
	h, err := beginHTTP2(c, wide)
	if err != nil {
		return err
	}
	block := encodeHeaders([]string{"x-endless", strings.Repeat("x", 8<<10)})
	err = h.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: encodeHeaders([]string{":method", "POST"})})
	for range 2000 {
		if err != nil {
			return nil // it was cut off
		}
		err = h.WriteContinuation(1, false, block)
	}
	_, err = closes(c)
	return err
}

// upTo opens a watch of so many paths, all the same.
func manyPaths(count int) []string {
	paths := make([]string, count)
	for i := range paths {
		paths[i] = hushed
	}
	return paths
}

// refusals are the forms in which watches are refused that could be opened
// otherwise.
var refusals = []string{"HTTP 400", "error", "subscription ended", "event error"}

func tooManyPaths(n *node, d *dialect) error {
	return refusedWatch(n, d, manyPaths(257), "invalid")
}

func longPath(n *node, d *dialect) error {
	return refusedWatch(n, d, []string{"acme/shop/" + strings.Repeat("x", 2000)}, "invalid")
}

func refusedWatch(n *node, d *dialect, paths []string, code string) error {
	c, s, err := d.open(n, wish{token: n.token.Reveal(), paths: paths})
	if err == nil {
		defer c.Close()
		_, err = current(s)
	}
	return wantRefusal(code, refusals, err)
}

func tooManySubscriptions(n *node, d *dialect) error {
	const most = 8 // besieged says so
	w := wish{token: n.token.Reveal(), paths: []string{hushed}}
	c, s, err := d.open(n, w)
	if err != nil {
		return err
	}
	defer c.Close()
	for i := range most {
		switch s := s.(type) {
		case *webSocket:
			err = s.subscribe(fmt.Sprint(i), w)
		case graphQLSocket:
			err = s.subscribe(fmt.Sprint(i), w)
		case *grpcWatch:
			err = s.subscribe(uint32(i+2), w)
		}
		if err != nil {
			return err
		}
	}
	told := 0
	for err == nil {
		var got news
		if got, err = s.next(); got.current {
			told++
		}
	}
	if err := wantRefusal("limit_exceeded", refusals, err); err != nil {
		return err
	}
	for told < most { // the others are none the worse for it
		got, err := s.next()
		if err != nil {
			return err
		}
		if got.current {
			told++
		}
	}
	return nil
}

// tooManyCalls begins more calls on a connection than it may have.
func tooManyCalls(n *node, d *dialect) error {
	const most = 100 // besieged says so
	c, err := n.dial(d.addr(n), d.alpn)
	if err != nil {
		return err
	}
	defer c.Close()
	h, err := beginHTTP2(c, wide)
	if err != nil {
		return err
	}
	for range most + 1 {
		if _, err := h.call(loginCall, ""); err != nil {
			return err
		}
	}
	_, err = h.receive()
	return wantRefusal("", []string{"reset REFUSED_STREAM"}, err)
}

// tooMany are more watches than the server has room for. Whoever has one keeps it.
var tooMany = []attack{{"watches", except("gRPC on the HTTP port"), func(n *node, d *dialect) error {
	const most = 100 // besieged says so
	w := wish{token: n.token.Reveal(), paths: []string{hushed}}
	var reading sync.WaitGroup
	defer reading.Wait()
	for range most + 1 {
		c, s, err := d.open(n, w)
		if err == nil {
			defer c.Close()
			_, err = current(s)
		}
		if err != nil {
			return wantRefusal("unavailable", []string{"HTTP 503", "status 14"}, err)
		}
		reading.Go(func() { // so that pings are answered
			for err := error(nil); err == nil; {
				_, err = s.next()
			}
		})
	}
	return fmt.Errorf("want at most %d watches, but one more was opened", most)
}}}
