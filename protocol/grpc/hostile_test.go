package grpc

import (
	"bytes"
	stdgzip "compress/gzip"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"

	"github.com/setpointhq/setpoint/api/setpointv1"
	"github.com/setpointhq/setpoint/plugin"
)

// besieged is a node with tight limits, and somebody on it who must notice nothing.
type besieged struct {
	*node
	token     string
	bystander *client
	watch     *watching
	count     int // of what was published
}

func besiege(t *testing.T, adjust ...func(*Settings)) *besieged {
	t.Parallel() // it waits now and then
	n := start(t, append([]func(*Settings){func(s *Settings) {
		s.MaxStreams, s.MaxMessage, s.RequestTimeout = 10, 64*plugin.KiB, 300*time.Millisecond
		s.HandshakeTimeout, s.StreamWriteTimeout = time.Second, 500*time.Millisecond
	}}, adjust...)...)
	n.publish("a.json", "1")
	b := &besieged{node: n, bystander: n.app()}
	b.token = b.bystander.caller.Token.Reveal()
	b.watch = n.watch(b.bystander, nil)
	b.watch.subscribe(patterns(1, "a.json"))
	b.watch.next()
	return b
}

// goesOn fails unless the bystander is served as ever.
func (b *besieged) goesOn() {
	b.t.Helper()
	b.count++
	b.publish("a.json", strconv.Itoa(1000+b.count))
	if got := b.watch.next().GetChanges().GetServed(); len(got) != 1 {
		b.t.Errorf("want the bystander told, got %v", got)
	}
	_, err := b.bystander.data.ReadConfig(b.ctx(), readA())
	b.must(err)
}

func readA() *setpointv1.ReadConfigRequest {
	return &setpointv1.ReadConfigRequest{Path: prod.Join("a.json").String()}
}

// onBoth runs a test against each port.
func (b *besieged) onBoth(t *testing.T, test func(t *testing.T, r *raw)) {
	for port, address := range map[string]string{"own": b.api.address.String(), "http": addressOf(t, b.Node)} {
		t.Run(port, func(t *testing.T) {
			r, err := dialRaw(address, b.TLS, b.token, rawWindow)
			if err != nil {
				t.Fatal(err)
			}
			defer r.conn.Close()
			if err := r.conn.SetDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			test(t, r)
			b.goesOn()
		})
	}
}

// wrote fails if something could not be written.
func wrote(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// cutOff fails unless the server ends the connection.
func (r *raw) cutOff(t *testing.T) {
	t.Helper()
	for {
		frame, err := r.next()
		var late net.Error
		if errors.As(err, &late) && late.Timeout() {
			t.Fatal("want the connection cut")
		}
		if _, goes := frame.(*http2.GoAwayFrame); goes || err != nil {
			return
		}
	}
}

func TestGarbageAfterThePreface(t *testing.T) {
	besiege(t).onBoth(t, func(t *testing.T, r *raw) {
		_, err := io.WriteString(r.conn, strings.Repeat("\xff\x00garbage", 100))
		wrote(t, err)
		r.cutOff(t)
	})
}

// Headers that never end are bounded.
func TestEndlessHeaders(t *testing.T) {
	besiege(t).onBoth(t, func(t *testing.T, r *raw) {
		err := r.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: r.fields(readMethod)})
		wrote(t, err)
		for range 10_000 {
			if r.fr.WriteContinuation(1, false, r.more("x", strings.Repeat("x", 1000))) != nil {
				return
			}
		}
		r.cutOff(t)
	})
}

// more encodes one more header.
func (r *raw) more(name, value string) []byte {
	r.block.Reset()
	_ = r.enc.WriteField(hpack.HeaderField{Name: name, Value: value, Sensitive: true}) // into memory
	return r.block.Bytes()
}

func TestAMegabyteOfMetadata(t *testing.T) {
	besiege(t).onBoth(t, func(t *testing.T, r *raw) {
		wrote(t, r.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: r.fields(readMethod)}))
		for i := range 64 {
			if r.fr.WriteContinuation(1, i == 63, r.more("x", strings.Repeat("x", 16_000))) != nil {
				return // it was cut off before it had said everything
			}
		}
		if s, err := r.end(1); err == nil && s.Code() == codes.OK {
			t.Errorf("want it refused, got %v", s)
		}
	})
}

// Strangers who open call after call learn that they are unknown, and nothing else.
func TestCallsWithoutEnd(t *testing.T) {
	besiege(t).onBoth(t, func(t *testing.T, r *raw) {
		r.token = "nonsense"
		for i := range uint32(500) {
			wrote(t, r.open(2*i+1, watchMethod))
			if s, err := r.end(2*i + 1); err != nil || s.Code() != codes.Unauthenticated && s.Code() != codes.ResourceExhausted {
				t.Fatalf("want it refused, got %v, %v", s, err)
			}
		}
	})
}

// Who opens calls and takes them back at once is either served or cut off.
func TestRapidReset(t *testing.T) {
	b := besiege(t)
	b.onBoth(t, func(t *testing.T, r *raw) {
		heard := make(chan struct{})
		go func() {
			defer close(heard)
			for {
				if _, err := r.fr.ReadFrame(); err != nil {
					return
				}
			}
		}()
		for i := range uint32(20_000) {
			if r.open(2*i+1, watchMethod) != nil || r.fr.WriteRSTStream(2*i+1, http2.ErrCodeCancel) != nil {
				break
			}
		}
		r.conn.Close()
		<-heard
		b.eventually("nothing to be left of it", func() bool { return len(b.api.streams.list()) == 1 })
	})
}

func TestOneCallTooMany(t *testing.T) {
	b := besiege(t)
	r, err := dialRaw(b.api.address.String(), b.TLS, b.token, rawWindow)
	b.must(err)
	defer r.conn.Close()
	for id := uint32(1); id <= 21; id += 2 { // ten, and one more
		b.must(r.greet(id, "crowd"))
	}
	var reset http2.StreamError
	if _, err := r.end(21); !errors.As(err, &reset) || reset.Code != http2.ErrCodeRefusedStream {
		t.Errorf("want the call refused, got %v", err)
	}
	if _, err := r.message(1); err != nil {
		t.Errorf("want the others served, got %v", err)
	}
	b.goesOn()
}

// A watch whose client keeps its window shut is shed; others do not wait for it.
func TestAWindowThatStaysShut(t *testing.T) {
	b := besiege(t)
	for port, address := range map[string]string{"own": b.api.address.String(), "http": addressOf(t, b.Node)} {
		t.Run(port, func(t *testing.T) {
			r, err := dialRaw(address, b.TLS, b.token, 0)
			b.must(err)
			defer r.conn.Close()
			b.must(r.greet(1, "deaf"))
			b.eventually("the watch to be there", func() bool { return len(b.api.streams.list()) == 2 })
			large := `"` + strings.Repeat("x", 40<<10) + `"`
			for i := range 4 { // more than the library keeps for a stream
				b.publish("a.json", large[:len(large)-1]+strconv.Itoa(i)+`"`)
				b.watch.next()
			}
			b.eventually("the watch to be shed", func() bool { return len(b.api.streams.list()) == 1 })
			b.goesOn()
		})
	}
}

// Connections on which nothing is said, before the handshake and after it, end.
func TestHalfOpenConnections(t *testing.T) {
	b := besiege(t)
	silent, err := net.Dial("tcp", b.api.address.String())
	b.must(err)
	defer silent.Close()
	secure := b.TLS.Clone()
	secure.NextProtos = []string{"h2"}
	known, err := tls.Dial("tcp", b.api.address.String(), secure)
	b.must(err)
	defer known.Close()
	for _, conn := range []net.Conn{silent, known} {
		b.must(conn.SetDeadline(time.Now().Add(patience)))
		_, err := io.Copy(io.Discard, conn)
		var late net.Error
		if errors.As(err, &late) && late.Timeout() {
			t.Error("want the connection to be ended")
		}
	}
	b.goesOn()
}

// bomb is a compressed message of so many bytes.
func bomb(t *testing.T, size int) []byte {
	var b bytes.Buffer
	into := stdgzip.NewWriter(&b)
	_, err := into.Write(make([]byte, size))
	wrote(t, err, into.Close())
	return append(prefix(1, b.Len()), b.Bytes()...)
}

// What a client sends that is no message is refused, and told why in detail; but of
// what the library refuses on the own port there is only its own status.
func TestMessagesThatAreNone(t *testing.T) {
	b := besiege(t)
	zipped := hpack.HeaderField{Name: "grpc-encoding", Value: "gzip"}
	const (
		tooLarge = setpointv1.ErrorKind_ERROR_KIND_TOO_LARGE
		invalid  = setpointv1.ErrorKind_ERROR_KIND_INVALID
		timeout  = setpointv1.ErrorKind_ERROR_KIND_TIMEOUT
	)
	for name, c := range map[string]struct {
		data   []byte
		fields []hpack.HeaderField
		open   bool // the client says more, some time
		want   codes.Code
		kind   setpointv1.ErrorKind
		own    codes.Code // of the library
	}{
		"too large": {
			data: append(prefix(0, 64<<10+1), make([]byte, 64)...), open: true,
			want: codes.ResourceExhausted, kind: tooLarge, own: codes.ResourceExhausted,
		},
		"of four gigabytes": {
			data: []byte("\x00\xff\xff\xff\xff"), open: true,
			want: codes.ResourceExhausted, kind: tooLarge, own: codes.ResourceExhausted,
		},
		"too large once it is decompressed": {
			data: bomb(t, 10<<20), fields: []hpack.HeaderField{zipped},
			want: codes.ResourceExhausted, kind: tooLarge, own: codes.ResourceExhausted,
		},
		"compressed by nothing": {
			data: bomb(t, 10), want: codes.InvalidArgument, kind: invalid, own: codes.Internal,
		},
		"not compressed as it says": {
			data: append(prefix(1, 8), "nonsense"...), fields: []hpack.HeaderField{zipped},
			want: codes.InvalidArgument, kind: invalid, own: codes.Internal,
		},
		"cut short": {
			data: append(prefix(0, 30), "abc"...), want: codes.InvalidArgument, kind: invalid, own: codes.Internal,
		},
		"no protobuf": {data: append(prefix(0, 3), "\xff\xff\xff"...), want: codes.InvalidArgument, kind: invalid},
		"slow":        {data: append(prefix(0, 30), "abc"...), open: true, want: codes.DeadlineExceeded, kind: timeout},
		"never there": {open: true, want: codes.DeadlineExceeded, kind: timeout},
	} {
		t.Run(name, func(t *testing.T) {
			b.onBoth(t, func(t *testing.T, r *raw) {
				wrote(t, r.open(1, readMethod, c.fields...))
				if c.data != nil {
					wrote(t, r.fr.WriteData(1, !c.open, c.data))
				}
				s, err := r.end(1)
				wrote(t, err)
				if strings.HasSuffix(t.Name(), "/own") && c.own != codes.OK {
					if s.Code() != c.own || len(s.Details()) > 0 {
						t.Errorf("want the library's %s, got %v", c.own, s)
					}
					return
				}
				if detail := refused(t, name, c.want, s.Err()); detail.GetKind() != c.kind || detail.GetMessage() == "" {
					t.Errorf("want %s, got %v", c.kind, detail)
				}
			})
		})
	}
}

// A message that never arrives holds no call of who asks nobody who is calling.
func TestStrangersThatAreSlow(t *testing.T) {
	besiege(t).onBoth(t, func(t *testing.T, r *raw) {
		wrote(t, r.open(1, "/grpc.health.v1.Health/Check"))
		s, err := r.end(1)
		wrote(t, err)
		refused(t, "a question that never came", codes.DeadlineExceeded, s.Err())
	})
}
