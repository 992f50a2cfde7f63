package hostile

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"

	"golang.org/x/net/http2"

	"github.com/setpointhq/setpoint/api/setpointv1"
	"github.com/setpointhq/setpoint/config"
)

// malformed is what is not what it should be: it is refused, or the connection is
// closed. Nothing else comes of it.
var malformed = []attack{
	{"garbage before TLS", all, beforeTLS(func() string { return garbage(4 << 10) })},
	{"a TLS record of garbage", all, beforeTLS(func() string { return "\x16\x03\x01\x02\x00" + garbage(512) })},
	{"HTTP without TLS", all, beforeTLS(func() string { return request("GET", "/v1/version", "") })},
	{"garbage after TLS", all, afterTLS(func() string { return garbage(4<<10) + "\r\n\r\n" })},
	{"HTTP of the future", http1, status(request("GET", "/v1/version HTTP/9.9\r\nX:", ""), "HTTP 505")},
	{"a header without a name", http1, status(request("GET", "/v1/version", "", ": x"), "HTTP 400")},
	{"a header with a NUL", http1, status(request("GET", "/v1/version", "", "X: a\x00b"), "HTTP 400")},
	{"two lengths", http1, status(request("PUT", draft, "{}", "Content-Length: 2", "Content-Length: 0"), "HTTP 400")},
	{"an unknown coding", http1, status(request("PUT", draft, "{}", "Transfer-Encoding: xchunked"), "HTTP 501")},
	{"no key", only("WebSocket"), upgradeRefused("HTTP 400", "Sec-WebSocket-Key: x")},
	{"an old version", only("WebSocket"), upgradeRefused("HTTP 426", "Sec-WebSocket-Version: 8")},
	{"an unmasked frame", overSocket, frames("close 1002", "", []byte{final | opText, 2, '{', '}'})},
	{"a reserved bit", overSocket, frames("close 1002", "", frame(final|0x20|opText, "{}"))},
	{"an unknown opcode", overSocket, frames("close 1002", "", frame(final|3, "{}"))},
	{"a continuation of nothing", overSocket, frames("close 1002", "", frame(final|opMore, "{}"))},
	{"a ping in parts", overSocket, frames("close 1002", "", frame(opPing, "x"))},
	{"a negative length", overSocket, frames("close 1002", "", []byte{final | opText, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4})},
	{"bytes for text", overSocket, frames("close 1003", "", frame(final|opBytes, "{}"))},
	{"no UTF-8", overSocket, frames("close 1007", "", frame(final|opText, "\"\xff\""))},
	{"half a JSON", only("WebSocket"), frames("error", "invalid", frame(final|opText, `{"type":`))},
	{"deep JSON", only("WebSocket"), frames("error", "invalid", frame(final|opText, strings.Repeat("[", 50_000)))},
	{"an unknown message", only("WebSocket"), frames("error", "invalid", frame(final|opText, `{"type":"evil"}`))},
	{"another type", only("WebSocket"), frames("error", "invalid", frame(final|opText, `{"type":"subscribe","id":"x","paths":7}`))},
	{"half a JSON", only("GraphQL over WebSocket"), frames("close 4400", "", frame(final|opText, `{"type":`))},
	{"deep JSON", only("GraphQL over WebSocket"), frames("close 4400", "", frame(final|opText, strings.Repeat("[", 50_000)))},
	{"an unknown message", only("GraphQL over WebSocket"), frames("close 4400", "", frame(final|opText, `{"type":"evil"}`))},
	{"who is there, twice", only("GraphQL over WebSocket"), frames("close 4429", "", frame(final|opText, `{"type":"connection_init"}`))},
	{"half a JSON", only("GraphQL over SSE"), document("invalid", "{")},
	{"half a document", only("GraphQL over SSE"), document("invalid", `{"query":"{"}`)},
	{"a deep document", only("GraphQL over SSE"), document("invalid", `{"query":"`+strings.Repeat("{a", 10_000)+`"}`)},
	{"a document of aliases", only("GraphQL over SSE"), document("invalid", `{"query":"{`+strings.Repeat("a:version{version} ", 1000)+`}"}`)},
	{"a fragment of itself", only("GraphQL over SSE"), document("invalid", `{"query":"query{...f} fragment f on Query{...f}"}`)},
	{"fragments of fragments", only("GraphQL over SSE"), document("too_large", `{"query":"`+bomb(25)+`"}`)},
	{"half a JSON in a body", only("SSE"), body("invalid", "HTTP 400", `{"content":`)},
	{"deep JSON in a body", only("SSE"), body("invalid", "HTTP 400", `{"content":`+strings.Repeat("[", 100_000))},
	{"no UTF-8 in a body", only("SSE"), body("invalid", "HTTP 400", "{\"content\":\"\xff\"}")},
	{"no header block", overHTTP2, inHTTP2(func(h *http2Conn) error {
		return h.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte(garbage(64)), EndHeaders: true})
	})},
	{"data on no stream", overHTTP2, inHTTP2(func(h *http2Conn) error { return h.WriteRawFrame(http2.FrameData, 0, 0, []byte("x")) })},
	{"a continuation of no headers", overHTTP2, inHTTP2(func(h *http2Conn) error { return h.WriteContinuation(1, true, []byte("x")) })},
	{"settings of half a setting", overHTTP2, inHTTP2(func(h *http2Conn) error { return h.WriteRawFrame(http2.FrameSettings, 0, 0, []byte("xyz")) })},
	{"an even stream", overHTTP2, inHTTP2(func(h *http2Conn) error {
		return h.WriteHeaders(http2.HeadersFrameParam{StreamID: 2, BlockFragment: encodeHeaders([]string{":method", "GET"}), EndHeaders: true})
	})},
	{"a window beyond all", overHTTP2, inHTTP2(func(h *http2Conn) error { return h.WriteWindowUpdate(0, 1<<31-1) })},
	{"a frame beyond all", overHTTP2, inHTTP2(func(h *http2Conn) error {
		_, err := h.conn.Write(append([]byte{0xff, 0xff, 0xff, byte(http2.FrameHeaders), 4, 0, 0, 0, 1}, garbage(1<<10)...))
		return err
	})},
	{"no protocol buffers", overHTTP2, inCall(readCall, "invalid", "status 3", "\x00\x00\x00\x00\x04\xff\xff\xff\xff")},
	{"half a message", overHTTP2, inCall(readCall, "", "", "\x00\x00\x00\x00\xff\x0a")},
	{"a text that is no UTF-8", overHTTP2, inCall(readCall, "invalid", "status 3", "\x00\x00\x00\x00\x03\x0a\x01\xff")},
	{"compressed with nothing", overHTTP2, inCall(readCall, "", "", "\x01\x00\x00\x00\x02xx")},
	{"no gRPC", overHTTP2, inCall(readCall, "", "", garbage(64))},
	{"an unknown call", overHTTP2, inCall("/setpoint.v1.DataService/Evil", "", "status 12", "\x00\x00\x00\x00\x00")},
	{"no hello", overHTTP2, inCall(watchCall, "invalid", "status 3", noHello())},
}

const draft = "/v1/tenants/acme/apps/shop/envs/prod/configs/app.yaml/draft"

// garbage is random bytes, none of which ends a line.
func garbage(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.IntN(256)) | 0x10
	}
	return string(b)
}

// beforeTLS sends bytes in the place of a handshake, and wants the connection closed.
func beforeTLS(what func() string) func(*node, *dialect) error {
	return func(n *node, d *dialect) error {
		c, err := net.DialTimeout("tcp", d.addr(n), patience)
		if err != nil {
			return err
		}
		defer c.Close()
		_, _ = io.WriteString(c, what()) // it may be closed before all is sent
		_, err = closes(c)
		return err
	}
}

// afterTLS sends bytes in the place of whatever is spoken, and wants the
// connection closed.
func afterTLS(what func() string) func(*node, *dialect) error {
	return func(n *node, d *dialect) error {
		c, err := n.dial(d.addr(n), d.alpn)
		if err != nil {
			return err
		}
		defer c.Close()
		_, _ = io.WriteString(c, what())
		_, err = closes(c)
		return err
	}
}

// status sends a request which the server's HTTP library refuses.
func status(raw, want string) func(*node, *dialect) error {
	return func(n *node, d *dialect) error {
		c, err := n.dial(d.addr(n), d.alpn)
		if err != nil {
			return err
		}
		defer c.Close()
		resp, _, err := answer(c, raw)
		if err != nil {
			return err
		}
		if got := fmt.Sprint("HTTP ", resp.StatusCode); got != want {
			return fmt.Errorf("want %s, got %s", want, resp.Status)
		}
		return nil
	}
}

// body sends the body of a draft.
func body(code, native, content string, headers ...string) func(*node, *dialect) error {
	return func(n *node, d *dialect) error {
		c, err := n.dial(d.addr(n), d.alpn)
		if err != nil {
			return err
		}
		defer c.Close()
		headers := append([]string{authorization(n.token.Reveal()), "Content-Type: application/json", fmt.Sprint("Content-Length: ", len(content))}, headers...)
		resp, _, err := answer(c, request("PUT", draft, content, headers...))
		if err != nil {
			return err
		}
		return wantRefusal(code, []string{native}, refused(resp))
	}
}

// upgradeRefused asks for a WebSocket connection with a header that replaces the
// right one.
func upgradeRefused(native, header string) func(*node, *dialect) error {
	return func(n *node, d *dialect) error {
		c, err := n.dial(d.addr(n), d.alpn)
		if err != nil {
			return err
		}
		defer c.Close()
		name, _, _ := strings.Cut(header, ":")
		lines := []string{"Connection: Upgrade", "Upgrade: websocket", authorization(n.token.Reveal()), header}
		for _, line := range []string{"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg=="} {
			if !strings.HasPrefix(line, name) {
				lines = append(lines, line)
			}
		}
		resp, _, err := answer(c, request("GET", "/v1/ws", "", lines...))
		if err != nil {
			return err
		}
		return wantRefusal("invalid", []string{native}, refused(resp))
	}
}

// frames sends frames on a connection that is welcome, and wants them refused.
func frames(native, code string, raw ...[]byte) func(*node, *dialect) error {
	return func(n *node, d *dialect) error {
		c, err := n.dial(d.addr(n), d.alpn)
		if err != nil {
			return err
		}
		defer c.Close()
		s, err := d.socket(c, n.token.Reveal())
		if err != nil {
			return err
		}
		for _, b := range raw {
			_, _ = c.Write(b) // it may be closed before all is sent
		}
		_, err = s.message()
		return wantRefusal(code, []string{native}, err)
	}
}

// inHTTP2 does something in HTTP/2 after which the connection must be closed.
func inHTTP2(do func(*http2Conn) error) func(*node, *dialect) error {
	return func(n *node, d *dialect) error {
		c, err := n.dial(d.addr(n), d.alpn)
		if err != nil {
			return err
		}
		defer c.Close()
		h, err := beginHTTP2(c, wide)
		if err != nil {
			return err
		}
		_ = do(h) // it may be closed before all is sent
		_, err = closes(c)
		return err
	}
}

// inCall sends bytes as all that a call has to say. An empty code or native form
// stands for any.
func inCall(method, code, native, bytes string) func(*node, *dialect) error {
	return func(n *node, d *dialect) error {
		c, err := n.dial(d.addr(n), d.alpn)
		if err != nil {
			return err
		}
		defer c.Close()
		h, err := beginHTTP2(c, wide)
		if err != nil {
			return err
		}
		id, err := h.call(method, n.token.Reveal())
		if err = errors.Join(err, h.sendBytes(id, []byte(bytes), true)); err != nil {
			return err
		}
		_, err = h.receive()
		var got *refusal
		if !errors.As(err, &got) || code != "" && got.code != code || native != "" && got.native != native {
			return fmt.Errorf("want %s %s, got %w", native, code, err)
		}
		return nil
	}
}

// document sends what is to be a document, and wants it refused.
func document(code, body string) func(*node, *dialect) error {
	return func(n *node, d *dialect) error {
		c, err := n.dial(d.addr(n), d.alpn)
		if err != nil {
			return err
		}
		defer c.Close()
		resp, _, err := answer(c, ask(body, n.token.Reveal()))
		if err != nil {
			return err
		}
		return wantRefusal(code, []string{"HTTP 200", "HTTP 400", "HTTP 413"}, refused(resp))
	}
}

// bomb is a document that is twice as large after each of its fragments.
func bomb(fragments int) string {
	var b strings.Builder
	b.WriteString("query{...f0}")
	for i := range fragments {
		fmt.Fprintf(&b, " fragment f%d on Query{...f%d ...f%d}", i, i+1, i+1)
	}
	fmt.Fprintf(&b, " fragment f%d on Query{version{version}}", fragments)
	return b.String()
}

// noHello is a watch that begins with something else.
func noHello() string {
	b, err := message(&setpointv1.WatchRequest{Act: &setpointv1.WatchRequest_Unsubscribe{Unsubscribe: &setpointv1.WatchUnsubscribe{Id: 1}}})
	if err != nil {
		panic(err) // it holds nothing that could not be encoded
	}
	return string(b)
}

// tokens are places to resume from that nobody was ever given: each is refused, or
// answered with everything as it is now. None takes anybody back.
var tokens = []attack{
	{"of no form", all, resume("garbage")},
	{"empty but for the dot", all, resume(".")},
	{"negative", all, resume("-1.x")},
	{"signed", all, resume("+1.x")},
	{"beyond numbers", all, resume("zzzzzzzzzzzzzzzzzzzzzzz.x")},
	{"with a NUL", all, resume("1\x00.x")},
	{"with a line break", all, resume("1.x\r\nevent: evil")},
	{"overlong", all, resume(strings.Repeat("1", 4000) + ".x")},
	{"not in this alphabet", all, resume("一.二")},
	{"of another cluster", all, resume("1.0123456789abcdef")},
	{"of the beginning", all, resumeAs(func(cluster string) string { return "0." + cluster })},
	{"of the past", all, resumeAs(func(cluster string) string { return "1." + cluster })},
	{"of a future", all, resumeAs(func(cluster string) string { return "zzzzzz." + cluster })},
	{"of the end of time", all, resumeAs(func(cluster string) string { return "1y2p0ij32e8e7." + cluster })},
	{"with a cluster and more", all, resumeAs(func(cluster string) string { return "1." + cluster + ".x" })},
}

func resume(token string) func(*node, *dialect) error {
	return resumeAs(func(string) string { return token })
}

// resumeAs resumes with a token that is made of the cluster's name.
func resumeAs(forge func(cluster string) string) func(*node, *dialect) error {
	return func(n *node, d *dialect) error {
		ask := func(after string) (news, error) {
			c, s, err := d.open(n, wish{token: n.token.Reveal(), paths: []string{hushed}, after: config.Token(after)})
			if err != nil {
				return news{}, err
			}
			defer c.Close()
			return current(s)
		}
		now, err := ask("")
		if err != nil {
			return err
		}
		_, cluster, _ := strings.Cut(string(now.revision), ".")
		got, err := ask(forge(cluster))
		var no *refusal
		switch {
		case errors.As(err, &no):
			return wantRefusal("invalid", refusals, err)
		case err != nil:
			return err
		case got.versions[hushed] != now.versions[hushed]:
			return fmt.Errorf("want what is served now, %v, got %v", now, got)
		}
		return nil
	}
}
