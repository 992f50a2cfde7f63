package grpc

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/caller"
)

const mediaType = "application/grpc"

// lastWords is how long a client that takes nothing in may take to take in the end
// of a call.
const lastWords = time.Second

// httpStream is a call that came to the HTTP port: gRPC as one request and answer
// of net/http. The library can do so, too, for four goroutines and 16 KiB a call, and
// takes in whatever a client sends before anybody asks for it.
type httpStream struct {
	origin
	cancel  context.CancelFunc
	api     *api
	w       http.ResponseWriter
	control *http.ResponseController
	body    io.Reader
	media   string
	unpack  encoding.Compressor // nil if the client compresses nothing
	prefix  [5]byte             // of the message that is read

	mu       sync.Mutex // of what is written
	headed   bool
	over     bool
	extended time.Time // when the deadline of writes was last moved

	life   sync.Mutex
	ended  bool
	result error // once it has ended
}

// serveHTTP serves a call that came to the HTTP port.
func (a *api) serveHTTP(w http.ResponseWriter, r *http.Request) {
	media, code := mediaOf(r)
	if code != http.StatusOK {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "this is for gRPC: POST, HTTP/2, and the content type "+mediaType, code)
		return
	}
	s := &httpStream{
		api: a, w: w, control: http.NewResponseController(w), body: r.Body, media: media,
		origin: origin{Context: r.Context(), header: r.Header, http: true, address: r.RemoteAddr, shown: caller.Certificates(r)},
		cancel: func() {}, // which a call that is none keeps
	}
	s.finish(s.serve(r))
}

// mediaOf returns the content type of a request, and the HTTP status of one that is
// no call.
func mediaOf(r *http.Request) (media string, code int) {
	media = r.Header.Get("Content-Type")
	rest, is := strings.CutPrefix(media, mediaType)
	switch {
	case r.Method != http.MethodPost:
		return "", http.StatusMethodNotAllowed
	case !is || rest != "" && rest[0] != '+' && rest[0] != ';':
		return "", http.StatusUnsupportedMediaType
	case r.ProtoMajor != 2:
		return "", http.StatusHTTPVersionNotSupported
	}
	return media, http.StatusOK
}

func (s *httpStream) serve(r *http.Request) error {
	within, limited, err := timeoutOf(r.Header.Get("Grpc-Timeout"))
	if err != nil {
		return statusOf(err, "").Err()
	}
	if limited {
		s.origin.Context, s.cancel = context.WithTimeout(r.Context(), within)
		defer context.AfterFunc(s.origin.Context, func() { s.end(status.FromContextError(s.origin.Err()).Err()) })()
	} else {
		s.origin.Context, s.cancel = context.WithCancel(r.Context())
	}
	if s.api.stopped.Load() {
		return statusOf(errGoing(""), "").Err()
	}
	if packing := r.Header.Get("Grpc-Encoding"); packing == gzip.Name {
		s.unpack = encoding.GetCompressor(packing)
	} else if packing != "" && packing != encoding.Identity {
		s.w.Header().Set("Grpc-Accept-Encoding", gzip.Name)
		return statusOf(config.Errorf(config.Unsupported, "", "", "messages are compressed by %q; this server knows gzip", valid(packing)), "").Err()
	}
	handler, found := s.api.services.handlers[r.URL.Path]
	if !found {
		return statusOf(config.Errorf(config.Unsupported, "", "", "there is no such call"), "").Err()
	}
	return handler(s)
}

// timeoutOf reads how long a call may last: "100m" is 100 milliseconds.
func timeoutOf(text string) (within time.Duration, limited bool, err error) {
	if text == "" {
		return 0, false, nil
	}
	units := map[byte]time.Duration{
		'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond,
	}
	const mostDigits = 8
	last := len(text) - 1
	unit, known := units[text[last]]
	n, err := strconv.ParseUint(text[:last], 10, 32)
	if err != nil || !known || last > mostDigits {
		return 0, false, malformed("grpc-timeout", "want up to 8 digits and one of H, M, S, m, u and n")
	}
	const most = 1 << 62 / time.Nanosecond
	if time.Duration(n) > most/unit {
		return most, true, nil
	}
	return time.Duration(n) * unit, true, nil
}

// Context implements rpc.ServerStream.
func (s *httpStream) Context() context.Context { return &s.origin }

func (s *httpStream) came() *origin { return &s.origin }

func (s *httpStream) end(err error) {
	s.life.Lock()
	defer s.life.Unlock()
	if s.ended {
		return
	}
	s.ended, s.result = true, err
	s.cancel()
	_ = s.control.SetReadDeadline(time.Unix(1, 0)) // long ago; not every connection has deadlines
}

// SetHeader implements rpc.ServerStream.
func (s *httpStream) SetHeader(md metadata.MD) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.setHeader(md)
}

func (s *httpStream) setHeader(md metadata.MD) error {
	if s.headed || s.over {
		return errors.New("the headers are sent already")
	}
	h := s.w.Header()
	for k, values := range md {
		h[http.CanonicalHeaderKey(k)] = values
	}
	return nil
}

// SendHeader implements rpc.ServerStream. What it takes goes with the first message.
func (s *httpStream) SendHeader(md metadata.MD) error { return s.SetHeader(md) }

// SetTrailer implements rpc.ServerStream. No call has trailers but the status.
func (s *httpStream) SetTrailer(metadata.MD) {}

// head writes the headers, once. The lock is held.
func (s *httpStream) head() {
	if s.headed {
		return
	}
	s.headed = true
	h := s.w.Header()
	h["Content-Type"] = []string{s.media}
	h["Date"] = nil
	if s.unpack != nil {
		h["Grpc-Encoding"] = []string{gzip.Name} // answers are as their questions were
	}
	s.w.WriteHeader(http.StatusOK)
}

// extend moves the deadline of writes, which only sheds the dead and so need not
// be exact.
func (s *httpStream) extend() {
	patience := s.api.settings.StreamWriteTimeout
	if now := time.Now(); now.Sub(s.extended) > patience/8 {
		s.extended = now
		_ = s.control.SetWriteDeadline(now.Add(patience)) // not every connection has deadlines
	}
}

// finish ends the call with its status, when the handler has returned.
func (s *httpStream) finish(err error) {
	s.end(err)
	s.life.Lock()
	err = s.result
	s.life.Unlock()
	if !s.mu.TryLock() { // somebody waits for the client to take something in
		_ = s.control.SetWriteDeadline(time.Now().Add(lastWords))
		s.mu.Lock()
	}
	defer s.mu.Unlock()
	s.over = true
	s.extend()
	first := !s.headed
	s.head()
	if first {
		_ = s.control.Flush() // so that what follows is no part of the headers
	}
	st := status.Convert(err)
	h := s.w.Header()
	h[http.TrailerPrefix+"Grpc-Status"] = []string{strconv.Itoa(int(st.Code()))}
	if st.Message() != "" {
		h[http.TrailerPrefix+"Grpc-Message"] = []string{escaped(st.Message())}
	}
	if p := st.Proto(); len(p.GetDetails()) > 0 {
		if b, err := proto.Marshal(p); err == nil {
			h[http.TrailerPrefix+"Grpc-Status-Details-Bin"] = []string{base64.RawStdEncoding.EncodeToString(b)}
		}
	}
}

// escaped is a text as grpc-message has it.
func escaped(text string) string {
	const hex = "0123456789ABCDEF"
	plain := func(c byte) bool { return c >= ' ' && c <= '~' && c != '%' }
	i := 0
	for i < len(text) && plain(text[i]) {
		i++
	}
	if i == len(text) {
		return text
	}
	b := append(make([]byte, 0, len(text)+16), text[:i]...)
	for ; i < len(text); i++ {
		if c := text[i]; plain(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}

// broken is the error of a client that stopped in the midst of a message.
func (s *httpStream) broken(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return malformed("", "the message ends before its length")
	}
	if ended := s.Err(); ended != nil {
		return status.FromContextError(ended).Err()
	}
	return status.Error(codes.Canceled, "the client is gone")
}
