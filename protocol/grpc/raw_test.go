package grpc

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/setpointhq/setpoint/api/setpointv1"
)

const (
	watchMethod = setpointv1.DataService_Watch_FullMethodName
	readMethod  = setpointv1.DataService_ReadConfig_FullMethodName
)

// raw is a client that writes its own frames: it costs little, and can do what the
// library's would not.
type raw struct {
	conn  *tls.Conn
	fr    *http2.Framer
	token string

	block bytes.Buffer // of headers
	enc   *hpack.Encoder
	got   map[uint32][]byte // data of streams that is no whole message yet
	taken uint32            // bytes of data that the server was not told of
}

// rawWindow is how much a raw client lets the server send before it reads.
const rawWindow = 1 << 20

func dialRaw(address string, secure *tls.Config, token string, window uint32) (*raw, error) {
	secure = secure.Clone()
	secure.NextProtos = []string{"h2"}
	conn, err := tls.Dial("tcp", address, secure)
	if err != nil {
		return nil, err
	}
	r := &raw{conn: conn, fr: http2.NewFramer(conn, conn), token: token, got: map[uint32][]byte{}}
	r.fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	r.enc = hpack.NewEncoder(&r.block)
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		return nil, err
	}
	if err := r.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window}); err != nil {
		return nil, err
	}
	return r, r.fr.WriteWindowUpdate(0, rawWindow)
}

// open opens a stream.
func (r *raw) open(id uint32, method string, more ...hpack.HeaderField) error {
	return r.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: r.fields(method, more...), EndHeaders: true})
}

// fields encodes the headers of a call.
func (r *raw) fields(method string, more ...hpack.HeaderField) []byte {
	r.block.Reset()
	for _, f := range append([]hpack.HeaderField{
		{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "https"}, {Name: ":path", Value: method}, {Name: ":authority", Value: "x"},
		{Name: "content-type", Value: "application/grpc"}, {Name: "te", Value: "trailers"}, {Name: "authorization", Value: "Bearer " + r.token},
	}, more...) {
		_ = r.enc.WriteField(f) // into memory
	}
	return r.block.Bytes()
}

// send sends a message on a stream.
func (r *raw) send(id uint32, end bool, m proto.Message) error {
	b, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	return r.fr.WriteData(id, end, append(prefix(0, len(b)), b...))
}

// prefix is what stands before a message of so many bytes.
func prefix(compressed byte, size int) []byte {
	return binary.BigEndian.AppendUint32([]byte{compressed}, uint32(size))
}

// next reads a frame, and answers what the protocol wants answered.
func (r *raw) next() (http2.Frame, error) {
	frame, err := r.fr.ReadFrame()
	if err != nil {
		return nil, err
	}
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			err = r.fr.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			err = r.fr.WritePing(true, f.Data)
		}
	case *http2.DataFrame:
		r.got[f.StreamID] = append(r.got[f.StreamID], f.Data()...)
		if r.taken += f.Length; r.taken > rawWindow/4 && !f.StreamEnded() {
			_ = r.fr.WriteWindowUpdate(0, r.taken)
			err = r.fr.WriteWindowUpdate(f.StreamID, r.taken)
			r.taken = 0
		}
	}
	return frame, err
}

// message returns the next whole message of a stream.
func (r *raw) message(id uint32) ([]byte, error) {
	for {
		if b := r.got[id]; len(b) >= 5 {
			if size := 5 + int(binary.BigEndian.Uint32(b[1:])); len(b) >= size {
				r.got[id] = b[size:]
				return b[5:size], nil
			}
		}
		frame, err := r.next()
		if err != nil {
			return nil, err
		}
		if h, is := frame.(*http2.MetaHeadersFrame); is && h.StreamID == id && h.StreamEnded() {
			return nil, io.EOF
		}
		if reset, is := frame.(*http2.RSTStreamFrame); is && reset.StreamID == id {
			return nil, http2.StreamError{StreamID: id, Code: reset.ErrCode}
		}
	}
}

// greet opens a watch with one subscription to all of prod.
func (r *raw) greet(id uint32, name string) error {
	if err := r.open(id, watchMethod); err != nil {
		return err
	}
	hello := &setpointv1.WatchHello{Client: &setpointv1.ClientIdentity{Id: name}}
	if err := r.send(id, false, &setpointv1.WatchRequest{Act: &setpointv1.WatchRequest_Hello{Hello: hello}}); err != nil {
		return err
	}
	return r.send(id, false, &setpointv1.WatchRequest{Act: &setpointv1.WatchRequest_Subscribe{
		Subscribe: &setpointv1.WatchSubscribe{Id: 1, Patterns: []string{prod.String()}},
	}})
}

// end reads until a stream ends, and returns its status.
func (r *raw) end(id uint32) (*status.Status, error) {
	for {
		frame, err := r.next()
		if err != nil {
			return nil, err
		}
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			if f.StreamID == id && f.StreamEnded() {
				return statusIn(f)
			}
		case *http2.RSTStreamFrame:
			if f.StreamID == id {
				return nil, http2.StreamError{StreamID: id, Code: f.ErrCode}
			}
		case *http2.GoAwayFrame:
			return nil, fmt.Errorf("the server goes away: %s %s", f.ErrCode, f.DebugData())
		}
	}
}

// statusIn reads the status that trailers hold.
func statusIn(f *http2.MetaHeadersFrame) (*status.Status, error) {
	held := map[string]string{}
	for _, field := range f.Fields {
		held[field.Name] = field.Value
	}
	return statusFrom(held)
}

func statusFrom(held map[string]string) (*status.Status, error) {
	if details, found := held["grpc-status-details-bin"]; found {
		b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(details, "="))
		s := &rpcstatus.Status{}
		if err == nil {
			err = proto.Unmarshal(b, s)
		}
		return status.FromProto(s), err
	}
	code, err := strconv.Atoi(held["grpc-status"])
	if err != nil {
		return nil, fmt.Errorf("no status in %v", held)
	}
	return status.New(codes.Code(code), held["grpc-message"]), nil
}
