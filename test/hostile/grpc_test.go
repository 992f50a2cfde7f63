package hostile

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/setpointhq/setpoint/api/setpointv1"
	"github.com/setpointhq/setpoint/config"
)

// The calls that are made by hand.
const (
	watchCall = "/setpoint.v1.DataService/Watch"
	readCall  = "/setpoint.v1.DataService/ReadConfig"
	loginCall = "/setpoint.v1.IdentityService/Login"
)

// http2Conn is a client's end of an HTTP/2 connection, with one call of interest
// on it.
type http2Conn struct {
	*http2.Framer
	conn  net.Conn
	last  uint32 // the stream of the latest call
	next  uint32 // and of the one after it
	inbox []byte // of the call, not read yet
}

// wide is a window that these tests do not fill.
const wide = 1 << 30

// beginHTTP2 sends what every connection begins with. window is how much the
// server may send of a stream.
func beginHTTP2(c net.Conn, window uint32) (*http2Conn, error) {
	h := &http2Conn{Framer: http2.NewFramer(c, c), conn: c, next: 1}
	h.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	h.SetMaxReadFrameSize(1 << 20)
	_, err := io.WriteString(c, http2.ClientPreface)
	return h, errors.Join(err,
		h.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window}),
		h.WriteWindowUpdate(0, wide))
}

// call begins a call. headers are name, value, name, value …
func (h *http2Conn) call(method, token string, headers ...string) (uint32, error) {
	headers = append([]string{
		":method", "POST", ":scheme", "https", ":path", method, ":authority", "setpoint.test",
		"content-type", "application/grpc", "te", "trailers",
	}, headers...)
	if token != "" {
		headers = append(headers, "authorization", "Bearer "+token)
	}
	block := encodeHeaders(headers)
	h.last = h.next
	h.next += 2
	const most = 16 << 10
	rest := block[min(most, len(block)):]
	err := h.WriteHeaders(http2.HeadersFrameParam{StreamID: h.last, BlockFragment: block[:len(block)-len(rest)], EndHeaders: len(rest) == 0})
	for err == nil && len(rest) > 0 {
		part := rest[:min(most, len(rest))]
		rest = rest[len(part):]
		err = h.WriteContinuation(h.last, len(rest) == 0, part)
	}
	return h.last, err
}

// encodeHeaders is apart from any connection: it indexes nothing, so that the
// blocks of one need no state.
func encodeHeaders(headers []string) []byte {
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for i := 0; i+1 < len(headers); i += 2 {
		// Writing to memory does not fail.
		_ = enc.WriteField(hpack.HeaderField{Name: headers[i], Value: headers[i+1], Sensitive: true})
	}
	return block.Bytes()
}

// message is a message of gRPC, as it goes over the wire.
func message(m proto.Message) ([]byte, error) {
	b, err := proto.Marshal(m)
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(b))), b...), err
}

// send sends a message of a call.
func (h *http2Conn) send(id uint32, m proto.Message, end bool) error {
	b, err := message(m)
	if err != nil {
		return err
	}
	return h.sendBytes(id, b, end)
}

func (h *http2Conn) sendBytes(id uint32, b []byte, end bool) error {
	const most = 16 << 10
	for len(b) > most {
		if err := h.WriteData(id, false, b[:most]); err != nil {
			return err
		}
		b = b[most:]
	}
	return h.WriteData(id, end, b)
}

// receive reads the next message of the latest call. Once the call has ended, the
// error is a *refusal, or io.EOF if nothing went wrong.
func (h *http2Conn) receive() ([]byte, error) {
	for {
		if len(h.inbox) >= 5 {
			if n := 5 + int(binary.BigEndian.Uint32(h.inbox[1:])); len(h.inbox) >= n {
				m := h.inbox[5:n:n]
				h.inbox = h.inbox[n:]
				return m, nil
			}
		}
		if err := h.step(); err != nil {
			return nil, err
		}
	}
}

// step reads a frame.
func (h *http2Conn) step() error {
	f, err := h.ReadFrame()
	if err != nil {
		return err
	}
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			return h.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			return h.WritePing(true, f.Data)
		}
	case *http2.DataFrame:
		if f.StreamID == h.last {
			h.inbox = append(h.inbox, f.Data()...)
		}
	case *http2.MetaHeadersFrame:
		if f.StreamID == h.last {
			return statusOf(f)
		}
	case *http2.RSTStreamFrame:
		if f.StreamID == h.last {
			return &refusal{native: "reset " + f.ErrCode.String()}
		}
	case *http2.GoAwayFrame:
		// What is under way may still end well, unless this is an accusation.
		if f.ErrCode != http2.ErrCodeNo {
			return &refusal{native: "go away " + f.ErrCode.String(), detail: string(f.DebugData())}
		}
	}
	return nil
}

// statusOf is how headers say that a call ended; nil if they do not.
func statusOf(f *http2.MetaHeadersFrame) error {
	fields := map[string]string{}
	for _, field := range f.Fields {
		fields[field.Name] = field.Value
	}
	code, ended := fields["grpc-status"]
	switch {
	case !ended && fields[":status"] != "200" && fields[":status"] != "":
		return &refusal{native: "HTTP " + fields[":status"]}
	case !ended:
		return nil
	case code == "0":
		return io.EOF
	}
	r := &refusal{native: "status " + code, detail: fields["grpc-message"]}
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(fields["grpc-status-details-bin"], "="))
	var s rpcstatus.Status
	if err = errors.Join(err, proto.Unmarshal(raw, &s)); err != nil {
		return fmt.Errorf("the details of status %s: %w", code, err)
	}
	for _, detail := range s.GetDetails() {
		var info errdetails.ErrorInfo
		if detail.MessageIs(&info) {
			if err := detail.UnmarshalTo(&info); err != nil {
				return err
			}
			r.code = info.GetReason()
		}
	}
	return r
}

// grpcWatch is a watch over gRPC.
type grpcWatch struct {
	*http2Conn
	id uint32 // of the call
}

func watchGRPC(c net.Conn, w wish) (stream, error) { return watchHTTP2(c, w, wide) }

func watchHTTP2(c net.Conn, w wish, window uint32) (*grpcWatch, error) {
	h, err := beginHTTP2(c, window)
	if err != nil {
		return nil, err
	}
	id, err := h.call(watchCall, w.token)
	s := &grpcWatch{http2Conn: h, id: id}
	return s, errors.Join(err, s.ask(&setpointv1.WatchRequest{Act: &setpointv1.WatchRequest_Hello{Hello: &setpointv1.WatchHello{}}}), s.subscribe(1, w))
}

func (s *grpcWatch) ask(m *setpointv1.WatchRequest) error { return s.send(s.id, m, false) }

func (s *grpcWatch) subscribe(id uint32, w wish) error {
	return s.ask(&setpointv1.WatchRequest{Act: &setpointv1.WatchRequest_Subscribe{
		Subscribe: &setpointv1.WatchSubscribe{Id: id, Patterns: w.paths, After: string(w.after)},
	}})
}

func (s *grpcWatch) next() (n news, err error) {
	raw, err := s.receive()
	if err != nil {
		return n, err
	}
	var m setpointv1.WatchResponse
	if err := proto.Unmarshal(raw, &m); err != nil {
		return n, err
	}
	switch event := m.GetEvent().(type) {
	case *setpointv1.WatchResponse_Welcome:
		n.hint = event.Welcome.GetRetryAfter().AsDuration()
	case *setpointv1.WatchResponse_GoingAway:
		n.bye, n.hint = true, event.GoingAway.GetRetryAfter().AsDuration()
	case *setpointv1.WatchResponse_SubscriptionEnded:
		ended := event.SubscriptionEnded.GetError()
		return n, &refusal{native: "subscription ended", code: codeOf(ended.GetKind()), detail: ended.GetMessage()}
	case *setpointv1.WatchResponse_Changes:
		n.revision, n.reset, n.current = config.Token(event.Changes.GetRevision()), event.Changes.GetReset_(), event.Changes.GetCurrent()
		n.versions = map[string]int64{}
		for _, served := range event.Changes.GetServed() {
			n.versions[served.GetPath()] = served.GetVersion()
		}
	}
	return n, nil
}

// codeOf is the code of a kind, "limit_exceeded".
func codeOf(kind setpointv1.ErrorKind) string {
	return strings.ToLower(strings.TrimPrefix(kind.String(), "ERROR_KIND_"))
}

// deadline gives a connection time again.
func deadline(c net.Conn) error { return c.SetDeadline(time.Now().Add(patience)) }
