package grpc

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/gzip"

	"github.com/setpointhq/setpoint/api/setpointv1"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/plugin"
)

// FuzzHTTPMessages reads messages out of whatever comes as the body of a request.
func FuzzHTTPMessages(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x02\x0a\x00"), false)
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\xff"), false)
	f.Add([]byte("\x01\x00\x00\x00\x08nonsense"), true)
	f.Add([]byte("\x00\xff\xff\xff\xff"), true)
	f.Add(append(prefix(0, 70<<10), make([]byte, 70<<10)...), false)
	var zipped bytes.Buffer
	into, err := encoding.GetCompressor(gzip.Name).Compress(&zipped)
	if err != nil {
		f.Fatal(err)
	}
	if err := errors.Join(func() error { _, err := into.Write([]byte("\x0a\x01a")); return err }(), into.Close()); err != nil {
		f.Fatal(err)
	}
	f.Add(append(prefix(1, zipped.Len()), zipped.Bytes()...), true)
	n := start(f, func(s *Settings) { s.MaxMessage = 100 * plugin.KiB })
	f.Fuzz(func(t *testing.T, body []byte, packs bool) {
		s := &httpStream{api: n.api, body: bytes.NewReader(body), origin: origin{Context: t.Context(), http: true}}
		if packs {
			s.unpack = encoding.GetCompressor(gzip.Name)
		}
		for {
			in := incoming{message: &setpointv1.ReadConfigRequest{}}
			err := s.RecvMsg(&in)
			if errors.Is(err, io.EOF) {
				return
			}
			if kind := kindOf(err); err != nil && kind != config.Invalid && kind != config.TooLarge {
				t.Errorf("want it to be the client's mistake, got %v", err)
			}
			if err != nil {
				return
			}
		}
	})
}

func FuzzStatusText(f *testing.F) {
	for _, text := range []string{"", "plain", "100 %", "größe\n", "\x00\x7f\xff", strings.Repeat("é", 100)} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := escaped(text)
		if back, err := url.PathUnescape(got); err != nil || back != text {
			t.Errorf("want %q back, got %q, %v", text, back, err)
		}
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(c rune) bool { return c < ' ' || c > '~' }) {
			t.Errorf("want nothing but what headers may hold, got %q", got)
		}
	})
}

// What a call over HTTP is and what not is told before anybody is asked for.
func TestWhatIsACall(t *testing.T) {
	for name, c := range map[string]struct {
		method, media string
		major, want   int
	}{
		"a call":             {http.MethodPost, "application/grpc", 2, http.StatusOK},
		"with the messages":  {http.MethodPost, "application/grpc+proto", 2, http.StatusOK},
		"with a parameter":   {http.MethodPost, "application/grpc; charset=utf-8", 2, http.StatusOK},
		"of another type":    {http.MethodPost, "application/grpc-web", 2, http.StatusUnsupportedMediaType},
		"that asks for less": {http.MethodGet, "application/grpc", 2, http.StatusMethodNotAllowed},
		"over HTTP/1.1":      {http.MethodPost, "application/grpc", 1, http.StatusHTTPVersionNotSupported},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), c.method, "/", http.NoBody)
			r.Header.Set("Content-Type", c.media)
			r.ProtoMajor = c.major
			if _, got := mediaOf(r); got != c.want {
				t.Errorf("want %d, got %d", c.want, got)
			}
		})
	}
}

// Calls that are none of ours, and answers that cannot be given, have a status.
func TestCallsOverHTTPThatAreNone(t *testing.T) {
	n := start(t)
	for name, c := range map[string]struct {
		path, key, value string
		want             codes.Code
	}{
		"unknown":            {"/setpoint.v1.DataService/Nothing", "te", "trailers", codes.Unimplemented},
		"compressed somehow": {readMethod, "grpc-encoding", "snappy", codes.Unimplemented},
		"for no time":        {readMethod, "grpc-timeout", "soon", codes.InvalidArgument},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, c.path, http.NoBody)
			r.ProtoMajor = 2
			r.Header.Set("Content-Type", mediaType)
			r.Header.Set(c.key, c.value)
			n.api.serveHTTP(w, r)
			answer := w.Result()
			defer answer.Body.Close()
			held := map[string]string{}
			for k, v := range answer.Trailer {
				held[strings.ToLower(k)] = v[0]
			}
			s, err := statusFrom(held)
			n.must(err)
			refused(t, name, c.want, s.Err())
			if held["grpc-message"] != escaped(s.Message()) {
				t.Errorf("want the message %q, got %q", s.Message(), held["grpc-message"])
			}
		})
	}
}
