package bench

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/config"
)

func TestTheFloorIsHeardOverEveryProtocol(t *testing.T) {
	for _, protocol := range Protocols() {
		t.Run(protocol, func(t *testing.T) {
			fan, send, _ := openFanoutFor(t, gathering{n: 5, speech: speechOf(protocol)})
			for range 3 {
				took, err := fan.send(t.Context(), send.next(), send.send)
				if err != nil {
					t.Fatal(err)
				}
				if len(took) != 5 || slices.Min(took) <= 0 {
					t.Fatalf("want a time for each of 5 subscribers, got %v", took)
				}
			}
		})
	}
}

func TestWhatIsCurrentIsTold(t *testing.T) {
	response := func(changes ...byte) string { return string(appendBytes(nil, responseChanges, changes)) }
	for _, tt := range []struct {
		speech  speech
		message string
		want    bool
	}{
		{sse{}, "event: current\nid: 1", true},
		{sse{}, "event: changes\ndata: event: current\n", false},
		{webSocket{}, `{"type":"changes","id":"1","revision":"x","reset":true,"current":true,"changes":[]}`, true},
		{webSocket{}, `{"type":"current","id":"1"}`, true},
		{webSocket{}, `{"type":"changes","changes":[{"content":"\"current\":true"}]}`, false},
		{grpc{}, response(changesCurrent<<3, 1), true},
		{grpc{}, response(changesCurrent<<3, 0), false},
		{grpc{}, response(1<<3|2, 1, 'x', changesCurrent<<3, 1), true},
		{grpc{}, string(appendBytes(nil, 2, []byte{changesCurrent << 3, 1})), false},
		{grpc{}, "\xff", false},
		{graphQL{}, `{"id":"1","type":"next","payload":{"data":{"watch":{"current":true}}}}`, true},
		{graphQL{}, `{"id":"1","type":"next","payload":{"data":{"watch":{"current":false}}}}`, false},
	} {
		if got := tt.speech.isCurrent([]byte(tt.message)); got != tt.want {
			t.Errorf("%T: %q: want %v, got %v", tt.speech, tt.message, tt.want, got)
		}
	}
}

func TestTellsWhyASubscriberIsNotLetIn(t *testing.T) {
	node, stop, err := startNode()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	s, err := serverOf(*node.options())
	if err != nil {
		t.Fatal(err)
	}
	known := &target{server: s, grpc: server{addr: node.GRPC, host: node.GRPC, tls: s.tls}}
	path := config.Path{Tenant: "a", App: "b", Env: "c", Name: "d"}
	for protocol, want := range map[string]string{
		overSSE: "401", overWS: "401", overGRPC: "ended the call", overGRPCHTTP: "ended the call", overGraphQL: "401",
	} {
		v := known.over(protocol)
		request := v.speech.subscription(v.server, "Bearer wrong", path)
		_, err := gather(t.Context(), v.server, alike(1, v.speech, request))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: want an error with %q, got %v", protocol, want, err)
		}
	}
}

// framesOf reads all messages of a text, and the error that ends them.
func framesOf(src io.Reader) (got []string, _ error) {
	c := &conn{Conn: deaf{}, in: newReader(src)}
	err := c.messages(func(message []byte) error {
		got = append(got, string(message))
		return nil
	})
	return got, err
}

// deaf is a connection that takes what is written.
type deaf struct{ net.Conn }

func (deaf) Write(p []byte) (int, error) { return len(p), nil }

func TestReadsWebSocketMessages(t *testing.T) {
	long := strings.Repeat("x", 1<<16)
	closing := append(frameHeadOf(frameClose, 0, 5), 0x03, 0xe9, 'b', 'y', 'e')
	var text []byte
	for _, message := range []string{"", "short", strings.Repeat("y", 200), long} {
		text = append(text, webSocket{}.frame([]byte(message))...)
	}
	text = append(text, frameText, 2, 'i', 'n')
	text = append(text, frameHeadOf(framePinged, 0, 0)...) // which may come between
	text = append(text, frameFinal|frameMore, 2, ' ', '2')
	got, err := framesOf(bytes.NewReader(append(text, closing...)))
	if diff := cmp.Diff([]string{"", "short", strings.Repeat("y", 200), long, "in 2"}, got); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	if err == nil || !strings.Contains(err.Error(), `1001 "bye"`) {
		t.Errorf("want the reason that the server gives, got %v", err)
	}
	for name, text := range map[string][]byte{
		"masked": masked(frameText, []byte("x")), "compressed": {0xc1, 0}, "too large": frameHeadOf(frameText, 0, largestEvent+1),
		"reserved": {frameFinal | 3, 0}, "closed without reason": frameHeadOf(frameClose, 0, 0), "cut short": {frameFinal},
	} {
		if got, err := framesOf(bytes.NewReader(text)); err == nil || len(got) > 0 {
			t.Errorf("%s: want an error alone, got %q, %v", name, got, err)
		}
	}
}

func FuzzWebSocketMessages(f *testing.F) {
	f.Add(webSocket{}.frame([]byte("text")))
	f.Add([]byte{frameText, 1, 'a', frameFinal, 1, 'b', frameFinal | frameClose, 0})
	f.Add(frameHeadOf(frameText, 0, 1<<20))
	f.Fuzz(func(t *testing.T, text []byte) {
		whole, err := framesOf(bytes.NewReader(text))
		slow, errAgain := framesOf(iotest.OneByteReader(bytes.NewReader(text)))
		if diff := cmp.Diff(whole, slow); diff != "" || err.Error() != errAgain.Error() {
			t.Fatalf("whole and byte by byte differ: %v, %v\n%s", err, errAgain, diff)
		}
	})
}

func FuzzGRPCMessages(f *testing.F) {
	f.Add(append(prefixedLength([]byte("one")), prefixedLength(nil)...), 2)
	f.Add([]byte{0, 0, 0, 0, 9, 1}, 1)
	f.Add([]byte{1, 0, 0, 0, 0}, 5)
	f.Fuzz(func(t *testing.T, text []byte, size int) {
		if size < 1 || len(text) == 0 {
			return
		}
		all := func(size int) (got [][]byte, err error) {
			var messages grpcMessages
			for piece := range slices.Chunk(text, size) {
				err = messages.take(piece, func(message []byte) error {
					_ = grpc{}.isCurrent(message) // must not panic
					got = append(got, bytes.Clone(message))
					return nil
				})
				if err != nil {
					break
				}
			}
			return got, err
		}
		whole, err := all(len(text))
		pieces, errAgain := all(size)
		if diff := cmp.Diff(whole, pieces); diff != "" || (err == nil) != (errAgain == nil) {
			t.Fatalf("whole and in pieces differ: %v, %v\n%s", err, errAgain, diff)
		}
	})
}

// written keeps what is written to a connection.
type written struct {
	net.Conn
	bytes.Buffer
}

func (w *written) Write(p []byte) (int, error) { return w.Buffer.Write(p) }
func (w *written) Read([]byte) (int, error)    { return 0, io.EOF }

func TestAGateKeepsWindowsShut(t *testing.T) {
	out := &written{}
	g := newGate()
	w := g.window(&conn{Conn: out})
	frames := func() []byte {
		text := bytes.Clone(out.Bytes())
		out.Reset()
		return text
	}
	update := func(n uint32) []byte {
		by := binary.BigEndian.AppendUint32(nil, n)
		return appendFrame(appendFrame(nil, frameWindowUpdate, 0, 0, by), frameWindowUpdate, 0, onlyStream, by)
	}
	for i, step := range []struct {
		act  func() error
		want []byte
	}{
		{func() error { return w.took(7) }, update(7)},
		{func() error { g.shut(); return w.took(3) }, nil},
		{func() error { return w.took(4) }, nil},
		{func() error { g.open(); return nil }, update(7)},
		{func() error { g.open(); return w.took(1) }, update(1)},
	} {
		if err := step.act(); err != nil {
			t.Fatal(err)
		}
		if got := frames(); !bytes.Equal(step.want, got) {
			t.Errorf("step %d: want %x, got %x", i, step.want, got)
		}
	}
}

func TestAGateKeepsReadersWaiting(t *testing.T) {
	g := newGate()
	c := &conn{Conn: &written{}}
	g.guard(c)
	g.shut()
	ended := make(chan error, 1)
	go func() { _, err := c.in.take(1); ended <- err }()
	select {
	case err := <-ended:
		t.Fatalf("want the reader to wait, it ended with %v", err)
	default:
	}
	g.open()
	if err := <-ended; !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("want the connection's end once the gate is open, got %v", err)
	}
}

func TestTellsWhatAServerHolds(t *testing.T) {
	metrics := "# HELP\ngo_memstats_heap_alloc_bytes 1.5e+06\ngo_memstats_stack_inuse_bytes 500\n"
	collected := false
	admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.String() {
		case "/debug/pprof/heap?gc=1":
			collected = true
		case "/metrics":
			_, _ = io.WriteString(w, metrics)
		default:
			http.NotFound(w, r)
		}
	}))
	defer admin.Close()
	known := &target{admin: admin.URL}
	if got, err := known.held(t.Context()); err != nil || got != 1_500_500 || !collected {
		t.Errorf("want 1500500 bytes after a collection of garbage, got %d, %v, collected %v", got, err, collected)
	}
	metrics = "go_goroutines 3\n"
	if _, err := known.held(t.Context()); err == nil {
		t.Error("want an error where the metrics do not tell")
	}
	if got, err := (&target{}).held(t.Context()); got != 0 || err != nil {
		t.Errorf("want nothing where there is no admin port, got %d, %v", got, err)
	}
}
