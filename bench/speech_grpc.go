package bench

import (
	"encoding/binary"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/setpointhq/setpoint/config"
)

// grpc is the call Watch, one stream on a connection. Its windows are so wide that
// they hardly ever need to be opened, unless a gate has to do with that.
type grpc struct{ gate *gate }

const (
	watchCall = "/setpoint.v1.DataService/Watch"
	// onlyStream is the first stream of a connection.
	onlyStream = 1
	// lengthPrefix is how many bytes gRPC puts before each message.
	lengthPrefix = 5
)

// The fields of the messages of Watch, as api/proto numbers them.
const (
	requestHello      = 1 // WatchRequest
	requestSubscribe  = 2
	subscribePatterns = 2 // WatchSubscribe
	responseChanges   = 3 // WatchResponse
	responseEnded     = 4
	responseGoingAway = 7
	changesCurrent    = 3 // WatchChanges
)

func (grpc) alpn() string { return alpnHTTP2 }

func (g grpc) subscription(s server, authorization string, paths ...config.Path) [][]byte {
	var patterns []byte
	for _, p := range paths {
		patterns = appendBytes(patterns, subscribePatterns, []byte(p.String()))
	}
	hello := helloHTTP2(wholeWindow)
	if g.gate != nil {
		hello = helloHTTP2(firstWindow)
	}
	b := append(hello, appendFrame(nil, frameHeaders, flagEndHeaders, onlyStream, s.callBlock(watchCall, authorization))...)
	for _, message := range [][]byte{
		appendBytes(nil, requestHello, nil), appendBytes(nil, requestSubscribe, patterns),
	} {
		b = appendFrame(b, frameData, 0, onlyStream, prefixedLength(message))
	}
	return [][]byte{b}
}

func (grpc) isCurrent(message []byte) bool {
	changes, found := protoField(message, responseChanges)
	if !found {
		return false
	}
	value, found := protoField(changes, changesCurrent)
	return found && len(value) == 1 && value[0] == 1
}

func (g grpc) welcome() []byte {
	const status200 = 0x88 // in HPACK's static table
	b := appendFrame(nil, frameSettings, 0, 0, nil)
	b = appendFrame(b, frameHeaders, flagEndHeaders, onlyStream, []byte{status200})
	isCurrent := protowire.AppendVarint(protowire.AppendTag(nil, changesCurrent, protowire.VarintType), 1)
	return append(b, g.frame(appendBytes(nil, responseChanges, isCurrent))...)
}

func (grpc) frame(message []byte) []byte {
	return appendFrame(nil, frameData, 0, onlyStream, prefixedLength(message))
}

func (g grpc) listen(c *conn, parts [][]byte, heard func([]byte) error) error {
	two := &conn2{conn: c, stream: onlyStream}
	took := two.took
	if g.gate != nil {
		took = g.gate.window(c).took
	}
	if _, err := c.Write(parts[0]); err != nil {
		return err
	}
	var messages grpcMessages
	for {
		f, err := c.in.frame()
		if err != nil {
			return err
		}
		switch {
		case f.stream == 0:
			err = two.manage(f)
		case f.kind == frameHeaders && f.flags&flagEndStream != 0:
			return errors.New("the server ended the call; its status is in the trailers, which the load generator does not read")
		case f.kind == frameReset:
			return errors.New("the server reset the stream")
		case f.kind == frameData:
			if err = took(len(f.payload)); err == nil {
				err = messages.take(f.payload, unlessEnded(heard))
			}
		}
		if err != nil {
			return err
		}
	}
}

// unlessEnded makes an error of a message that ends the watch.
func unlessEnded(heard func([]byte) error) func([]byte) error {
	return func(message []byte) error {
		for _, last := range []protowire.Number{responseEnded, responseGoingAway} {
			if said, found := protoField(message, last); found {
				return fmt.Errorf("the server ends the watch: %.*q", excerpt, said)
			}
		}
		return heard(message)
	}
}

// grpcMessages puts messages together from the frames that carry them.
type grpcMessages struct {
	part []byte // of a message that has no end yet
}

func (g *grpcMessages) take(piece []byte, heard func([]byte) error) error {
	text := piece
	if len(g.part) > 0 {
		g.part = append(g.part, piece...)
		text = g.part
	}
	for len(text) >= lengthPrefix {
		length := binary.BigEndian.Uint32(text[1:])
		if text[0] != 0 || length > largestEvent {
			return fmt.Errorf("a message of %d bytes, compressed %d", length, text[0])
		}
		end := lengthPrefix + int(length)
		if end > len(text) {
			break
		}
		if err := heard(text[lengthPrefix:end]); err != nil {
			return err
		}
		text = text[end:]
	}
	g.part = append(g.part[:0], text...)
	return nil
}

// prefixedLength puts before a message what gRPC does: that it is not compressed,
// and its length.
func prefixedLength(message []byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))
	return append(b, message...)
}

// appendBytes adds a field of a message that is a text or a message.
func appendBytes(b []byte, number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), value)
}

// protoField returns the first field of that number: of a text or message, what
// is in it.
func protoField(message []byte, number protowire.Number) ([]byte, bool) {
	for len(message) > 0 {
		found, kind, tag := protowire.ConsumeTag(message)
		if tag < 0 {
			return nil, false
		}
		size := protowire.ConsumeFieldValue(found, kind, message[tag:])
		if size < 0 {
			return nil, false
		}
		value := message[tag : tag+size]
		if found == number {
			if kind == protowire.BytesType {
				value, _ = protowire.ConsumeBytes(value)
			}
			return value, true
		}
		message = message[tag+size:]
	}
	return nil, false
}

// callBlock renders the header block of a call.
func (s server) callBlock(path, authorization string) []byte {
	const methodPost, schemeHTTPS = 0x83, 0x87 // whole fields of the static table
	const authority, pathName, authorize, contentType, userAgent = 1, 4, 23, 31, 58
	b := []byte{methodPost, schemeHTTPS}
	b = appendField(b, authority, s.host)
	b = appendField(b, pathName, path)
	if authorization != "" {
		b = appendField(b, authorize, authorization)
	}
	b = appendField(b, contentType, "application/grpc")
	b = appendField(b, userAgent, agent)
	b = appendInt(append(b, 0), 7, len("te")) // a name that is not in the table
	b = append(b, "te"...)
	b = appendInt(b, 7, len("trailers"))
	return append(b, "trailers"...)
}
