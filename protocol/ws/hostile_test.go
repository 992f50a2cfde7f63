package ws

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/problem"
	"github.com/setpointhq/setpoint/protocol/internal/socket"
	"github.com/setpointhq/setpoint/protocol/internal/sockettest"
)

func TestMalformedMessages(t *testing.T) {
	n := start(t)
	c := n.welcomed(n.app)
	for text, want := range map[string]string{
		``:                                      `message: not JSON: it ends too early`,
		`{`:                                     `message: not JSON: it ends too early`,
		`x`:                                     `message: not JSON, at byte 1: invalid character 'x' looking for beginning of value`,
		`null`:                                  `message: want an object`,
		`[]`:                                    `message: want an object`,
		`{"type":"ping"}{}`:                     `message: not JSON, at byte 16: invalid character '{' after top-level value`,
		`{}`:                                    `message.type: say what the message is`,
		`{"Type":"ping"}`:                       `message.Type: there is no such field`,
		`{"type":1}`:                            `message.type: want text`,
		`{"type":"PING"}`:                       `message.type: there is no such message: PING`,
		`{"type":"evaluate"}`:                   `message.type: there is no such message: evaluate`,
		`{"type":"ping","type":"x"}`:            `message.type: this key is there twice`,
		`{"type":"ping","x":1}`:                 `message.x: there is no such field`,
		`{"type":"ping","ID":"x"}`:              `message.ID: there is no such field`,
		`{"type":"ping","id":1}`:                `message.id: want text, got number`,
		`{"type":"ping","id":"\ud800"}`:         `message: it is not Unicode text`,
		`{"type":"ping","id":"\u0000"}`:         `message.id: an id has at most 64 bytes and no control characters`,
		`{"type":"ping","id":"` + longID + `"}`: `message.id: an id has at most 64 bytes and no control characters`,
		`{"type":"get","path":"a/b/c/d"}`:       `message.id: give it an id, which the answers repeat`,
		`{"type":"subscribe","paths":["a"]}`:    `message.id: give it an id, which the answers repeat`,
		`{"type":"unsubscribe"}`:                `message.id: give it an id, which the answers repeat`,
		`{"type":"subscribe","paths":"a"}`:      `message.paths: want a list, got string`,
		`{"type":"subscribe","paths":[1]}`:      `message.paths[0]: want text, got number`,
		`{"type":"subscribe","content":"yes"}`:  `message.content: want true or false, got string`,
		`{"type":"ack","reports":[{"path":"a/b/c/d"},{"version":"x"}]}`: `message.reports[1].version: want a whole number, got string`,
		`{"type":"ack","reports":[{"path":"a/b/c/d","version":1.5}]}`:   `message.reports[0].version: want a whole number, got number 1.5`,
		`{"type":"ack","reports":[{"path":"a/b/c/d","x":[1]}]}`:         `message.reports[0].x: there is no such field`,
		`{"type":"hello","labels":{"a":"b","a":"c"}}`:                   `message.labels.a: this key is there twice`,
		`{"type":"` + strings.Repeat("z", 500) + `"}`:                   `message.type: there is no such message: ` + strings.Repeat("z", 100) + `…`,
		strings.Repeat(`[`, 20_000):                                     `message: not JSON, at byte 10001: invalid character '[' exceeded max depth`,
	} {
		c.Say(text)
		if got := c.next("error").Problem; got.Detail != want || got.Code != "invalid" || got.Status != http.StatusBadRequest {
			t.Errorf("%.60s: want %q, got %q (%d)", text, want, got.Detail, got.Status)
		}
	}
	c.Say(`{"type":"get","id":"mine","path":7}`)
	c.problem("mine", "invalid") // the id that could be read
	c.Say(`{"type":"ping"}`)     // nothing of it has done any harm
	c.next("pong")
}

func TestBadFrames(t *testing.T) {
	n := start(t)
	ping := []byte(`{"type":"ping"}`)
	huge := func(length uint64) []byte {
		b := []byte{socket.Final | socket.OpText, 0x80 | 127, byte(length >> 56), byte(length >> 48), byte(length >> 40), byte(length >> 32), byte(length >> 24), byte(length >> 16), byte(length >> 8), byte(length)}
		return append(b, 1, 2, 3, 4)
	}
	for name, c := range map[string]struct {
		send func(c *client)
		want socket.CloseCode
	}{
		"binary":    {func(c *client) { c.Frame(socket.Final|2, ping) }, socket.Unsupported},
		"unmasked":  {func(c *client) { c.Unmasked(socket.Final|socket.OpText, ping) }, socket.ProtocolError},
		"no UTF-8":  {func(c *client) { c.Frame(socket.Final|socket.OpText, []byte{'"', 0xff, '"'}) }, 1007},
		"too large": {func(c *client) { c.Frame(socket.Final|socket.OpText, bytes.Repeat([]byte(" "), 64<<10+1)) }, 1009},
		"too large in parts": {func(c *client) {
			_ = c.TryFrame(socket.OpText, bytes.Repeat([]byte(" "), 40<<10))
			_ = c.TryFrame(socket.OpContinue, bytes.Repeat([]byte(" "), 40<<10))
		}, 1009},
		"huge":               {func(c *client) { _, _ = c.Conn.Write(huge(1 << 62)) }, 1009},
		"a negative length":  {func(c *client) { _, _ = c.Conn.Write(huge(1<<63 | 5)) }, socket.ProtocolError},
		"minus one":          {func(c *client) { _, _ = c.Conn.Write(huge(1<<64 - 1)) }, socket.ProtocolError},
		"an unknown opcode":  {func(c *client) { c.Frame(socket.Final|3, nil) }, socket.ProtocolError},
		"a reserved bit":     {func(c *client) { c.Frame(socket.Final|0x20|socket.OpText, ping) }, socket.ProtocolError},
		"compressed unasked": {func(c *client) { c.Frame(socket.Final|socket.Deflated|socket.OpText, ping) }, socket.ProtocolError},
		"nothing to go on":   {func(c *client) { c.Frame(socket.Final|socket.OpContinue, ping) }, socket.ProtocolError},
		"a start in between": {func(c *client) { c.Frame(socket.OpText, ping); c.Frame(socket.Final|socket.OpText, ping) }, socket.ProtocolError},
		"a ping in parts":    {func(c *client) { c.Frame(socket.OpPing, nil) }, socket.ProtocolError},
		"a large ping":       {func(c *client) { c.Frame(socket.Final|socket.OpPing, make([]byte, 126)) }, socket.ProtocolError},
		"a close":            {func(c *client) { c.Frame(socket.Final|8, []byte{3, 232}) }, 1000},
	} {
		t.Run(name, func(t *testing.T) {
			conn := n.welcomed(n.app)
			c.send(conn)
			conn.end(c.want)
		})
	}
	n.until("no connection left", func() bool { return n.gateway.opened() == 0 })
}

func TestGoodFrames(t *testing.T) {
	n := start(t)
	c := n.welcomed(n.app)
	c.Frame(socket.OpText, []byte(`{"type":`))
	c.Frame(socket.Final|socket.OpPing, []byte("between"))
	first, payload, err := c.ReadFrame()
	if err != nil || first != socket.Final|socket.OpPong || string(payload) != "between" {
		t.Errorf("want a pong, got %x %q %v", first, payload, err)
	}
	c.Frame(socket.OpContinue, nil)
	c.Frame(socket.Final|socket.OpContinue, []byte(`"ping"}`))
	c.next("pong")
	c.Frame(socket.Final|socket.OpPong, []byte("unasked"))
	c.Say(`{"type":"ping"}`)
	c.next("pong")
}

// A bomb is not inflated beyond what a message may have.
func TestCompressedTooLarge(t *testing.T) {
	n := start(t)
	c := n.connect(dial{Auth: "Bearer " + n.app, Header: http.Header{"Sec-Websocket-Extensions": {"permessage-deflate"}}})
	c.next("welcome")
	var d socket.Deflaters
	bomb := d.Deflate(bytes.Repeat([]byte(" "), 8<<20))
	if len(bomb) > 64<<10 {
		t.Fatalf("the bomb has %d bytes", len(bomb))
	}
	c.Frame(socket.Final|socket.Deflated|socket.OpText, bomb)
	c.end(socket.InternalError)
	c = n.connect(dial{Auth: "Bearer " + n.app, Header: http.Header{"Sec-Websocket-Extensions": {"permessage-deflate"}}})
	c.next("welcome")
	c.Frame(socket.Final|socket.Deflated|socket.OpText, []byte{0xff, 0xff, 0xff})
	c.end(socket.InternalError)
}

// One that stops in the middle of a message, or answers no pings, is taken for gone.
func TestSilentClients(t *testing.T) {
	for name, send := range map[string]func(*client){
		"half a frame":     func(c *client) { _, _ = c.Conn.Write([]byte{socket.Final | socket.OpText, 0x80 | 126, 0x10}) },
		"half a message":   func(c *client) { c.Frame(socket.OpText, []byte(`{"type"`)) },
		"answers no pings": func(c *client) {},
	} {
		t.Run(name, func(t *testing.T) {
			n := start(t, func(s *Settings) { s.PingInterval = 20 * time.Millisecond })
			c := n.welcomed(n.app)
			c.Quiet = true
			send(c)
			for {
				_, _, err := c.ReadFrame()
				if err == nil {
					continue
				}
				var end *sockettest.Closed
				if errors.As(err, &end) || errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("want it cut, got %v", err)
				}
				break
			}
			n.until("no connection left", func() bool { return n.gateway.opened() == 0 })
		})
	}
}

func TestClientsThatAnswerPingsStay(t *testing.T) {
	n := start(t, func(s *Settings) { s.PingInterval = 20 * time.Millisecond })
	c := n.welcomed(n.app)
	for range 12 {
		if first, _, err := c.ReadFrame(); err != nil || first != socket.Final|socket.OpPing {
			t.Fatalf("want a ping, got %x %v", first, err)
		}
	}
}

// large publishes more than sockets hold.
func (n *node) large() {
	n.t.Helper()
	for i := range 7 {
		n.publish(fmt.Sprintf("acme/shop/prod/large%d.yaml", i), "# "+strings.Repeat("x", 900_000)+"\n")
	}
}

// fill has clients that do not read hold up as many who send to them.
func (n *node) fill(clients ...*client) {
	n.t.Helper()
	for _, c := range clients {
		n.must(c.Conn.NetConn().(*net.TCPConn).SetReadBuffer(4 << 10))
		c.Say(`{"type":"subscribe","id":"s","paths":["acme/shop/prod"]}`)
	}
	n.until("everybody held up", func() bool { return n.gateway.hub.HeldUp(20*time.Millisecond) >= len(clients) })
}

// Clients that read nothing are no concern of others, and are cut in the end.
func TestClientsThatDoNotRead(t *testing.T) {
	n := start(t, func(s *Settings) { s.WriteTimeout = 2 * time.Second })
	n.large()
	idle := make([]*client, 4*runtime.GOMAXPROCS(0)+2) // more than there are hands
	for i := range idle {
		idle[i] = n.welcomed(n.app)
	}
	c := n.welcomed(n.app)
	c.Say(`{"type":"subscribe","id":"s","paths":["` + pathA + `"]}`)
	c.want("s", true)
	n.fill(idle...)
	for i := 1; i <= 20; i++ {
		n.publish(pathA, fmt.Sprintf("a: %d\n", i))
		c.want("s", false, fmt.Sprintf("%s@%d=a: %d\n", pathA, i, i))
	}
	if got := n.gateway.opened(); got != len(idle)+1 {
		t.Errorf("want all still open, got %d", got)
	}
	n.until("only the reader left", func() bool { return n.gateway.opened() == 1 })
}

// A client that takes nothing in for longer than pings may go unanswered, while
// something waits for it, is not dropped for being slow.
func TestSlowClientIsNotTakenForGone(t *testing.T) {
	n := start(t, func(s *Settings) { s.PingInterval = 50 * time.Millisecond })
	n.large()
	c := n.welcomed(n.app)
	n.fill(c)
	turn := n.gateway.hub.Turn()
	n.until("many turns", func() bool { return n.gateway.hub.Turn() > turn+6 })
	n.publish(pathA, "n: last\n")
	n.must(c.Conn.NetConn().(*net.TCPConn).SetReadBuffer(4 << 20))
	for { // frame by frame, so that pings are answered
		_, payload, err := c.ReadFrame()
		n.must(err)
		if bytes.Contains(payload, []byte("n: last")) {
			break
		}
	}
	turn = n.gateway.hub.Turn()
	for n.gateway.hub.Turn() < turn+6 { // and answers pings again
		_, _, err := c.ReadFrame()
		n.must(err)
	}
}

// Who asks and asks, and reads no answer, is not read from any more.
func TestQuestionsWithoutReading(t *testing.T) {
	n := start(t, func(s *Settings) { s.WriteTimeout = 200 * time.Millisecond })
	n.publish(pathA, "# "+strings.Repeat("x", 500_000)+"\n")
	c := n.welcomed(n.app)
	n.must(c.Conn.NetConn().(*net.TCPConn).SetReadBuffer(4 << 10))
	var err error
	for i := 0; err == nil; i++ {
		err = c.TryFrame(socket.Final|socket.OpText, []byte(`{"type":"get","id":"g","path":"`+pathA+`"}`))
	}
	n.until("no connection left", func() bool { return n.gateway.opened() == 0 })
}

// A storm of clients that connect, subscribe and go leaves nothing behind.
func TestStormOfReconnects(t *testing.T) {
	n := start(t)
	n.publish(pathA, "a: 1\n")
	const clients, rounds = 20, 10
	storm := func() {
		var running sync.WaitGroup
		for i := range clients {
			running.Go(func() {
				for round := range rounds {
					c, err := dialNode(t, n.Node, dial{Auth: "Bearer " + n.app})
					if err != nil {
						t.Error(err)
						return
					}
					if i%4 > 0 {
						c.Say(`{"type":"subscribe","id":"s","paths":["acme/shop/prod"]}`)
					}
					if (i+round)%3 == 0 {
						_, _, _ = c.read()
					}
					if i%2 == 0 {
						_ = c.TryFrame(socket.Final|8, []byte{3, 233})
					}
					c.Conn.Close()
				}
			})
		}
		running.Wait()
		n.until("no connection left", func() bool { return n.gateway.opened() == 0 })
	}
	storm()
	goroutines, heap := runtime.NumGoroutine(), heapInUse()
	for range 4 {
		storm()
	}
	if got := n.Center.Self(t.Context()).Watchers; got != 0 {
		t.Errorf("want no watch open, got %d", got)
	}
	if got := runtime.NumGoroutine(); got > goroutines+5 {
		t.Errorf("want %d goroutines, got %d", goroutines, got)
	}
	if grown := int64(heapInUse()) - int64(heap); grown > 1<<20 {
		t.Errorf("the heap grew by %d KiB", grown>>10)
	}
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestEveryKindOfErrorHasAForm(t *testing.T) {
	g := &gateway{log: slog.New(slog.DiscardHandler)}
	ctx := auth.WithRequest(t.Context(), auth.Request{ID: "r"})
	seen := map[string]bool{}
	for _, kind := range config.ErrorKinds() {
		var m incoming
		if err := json.Unmarshal(g.errorMessage(ctx, "x", config.Errorf(kind, "op", "path", "why")), &m); err != nil {
			t.Fatal(err)
		}
		if m.Type != "error" || m.ID != "x" || m.Problem.Code != kind.String() || m.Problem.Status < 400 || m.Problem.Title == "" || seen[m.Problem.Code] {
			t.Errorf("%s: got %+v", kind, m)
		}
		seen[m.Problem.Code] = true
	}
	if got := g.errorMessage(ctx, "", errors.New("secret")); strings.Contains(string(got), "secret") {
		t.Errorf("the cause is told: %s", got)
	}
}

// What is read of a message is all of it, and what is refused is said to be.
func FuzzDecode(f *testing.F) {
	seeds, err := filepath.Glob("testdata/messages/*")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range seeds {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	for kind := range messageTypes {
		f.Add([]byte(`{"type":"` + kind + `","id":"1"}`))
	}
	for _, s := range []string{
		`{"type":"hello","token":"t","basic":{"username":"u","password":"p"},"instance":"i","labels":{"a":"b"},"slot":"s"}`,
		`{"type":"subscribe","id":"1","paths":["a/b/c","a/*/c/*"],"after":"1.x","content":false}`,
		`{"type":"ack","reports":[{"path":"a/b/c/d","version":1,"state":"applied","why":""}]}`,
		`{"type":"get","id":"1","path":"a/b/c/d","if_digest":"x","min_revision":"1.x","consistency":"strong"}`,
		`{"type":"read_env","id":"\u00e9","env":"a/b/c"}`,
		`{"type":"\ud800"}`, `{"type":"ping","type":"ping"}`, `[]`, `{"type":{}}`, "\xff", `{"type":null}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, h, err := decode(data)
		if err != nil {
			if config.KindOf(err) != config.Invalid || problem.Status(err) != http.StatusBadRequest || len(err.Error()) > 1000 {
				t.Errorf("want it malformed in few words, got %v", err)
			}
			return
		}
		if _, known := messageTypes[h.Type]; !known || !fitID(h.ID) || !json.Valid(data) {
			t.Errorf("took %q", data)
		}
		if _, isHello := m.(*hello); isHello {
			return // its secrets are not written
		}
		again, _, err := decode(encode(m))
		if diff := cmp.Diff(m, again, cmp.AllowUnexported(subscribe{}, unsubscribe{}, ack{}, get{}, readEnv{}, ping{})); err != nil || diff != "" {
			t.Errorf("not the same when written again: %v %s", err, diff)
		}
	})
}
