package line

import (
	"bytes"
	"net/http"
	"time"
)

// EventType is the content type of a stream of Server-Sent Events.
const EventType = "text/event-stream"

// EventHeaders sets the headers of an answer that is a stream of events.
func EventHeaders(h http.Header) {
	h.Set("Content-Type", EventType)
	h.Set("X-Accel-Buffering", "no") // proxies would hold events back
}

// EventHead renders the beginning of such an answer for a connection that was taken
// over, with the headers that were set before; what follows is sent in chunks. The
// connection is of no use for another request afterwards.
func EventHead(h http.Header) []byte {
	EventHeaders(h)
	h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	h.Set("Transfer-Encoding", "chunked")
	h.Set("Connection", "close")
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 200 OK\r\n")
	_ = h.Write(&b) // memory takes everything
	b.WriteString("\r\n")
	return b.Bytes()
}

// Left returns once the client has left, and ends the connection. Whoever says
// anything on a stream has not understood what it is, and is let go too.
func (l *Line) Left() {
	var said [1]byte
	_, _ = l.Read(said[:])
	l.Abort()
}
