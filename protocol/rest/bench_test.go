package rest

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/setpointhq/setpoint/config"
)

// sink is a ResponseWriter that keeps nothing.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) Write(b []byte) (int, error) { return len(b), nil }
func (s *sink) WriteHeader(status int)      { s.status = status }
func (s *sink) reset()                      { clear(s.header); s.status = http.StatusOK }

// benchContent is a config of one KiB.
func benchContent() string {
	return "# " + strings.Repeat("a remark ", 112) + "\na: 1\n"
}

func benchRead(b *testing.B, want int, header map[string]string) {
	s := start(b)
	set := s.publish("acme/shop/prod/app.yaml", benchContent())
	r := s.request(request{path: read, auth: s.app, header: header})
	if header["If-None-Match"] == "it" {
		r.Header.Set("If-None-Match", `"`+set.Items[0].Digest+`"`)
	}
	r.RemoteAddr = "192.0.2.1:1234"
	w := &sink{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		w.reset()
		s.api.ServeHTTP(w, r)
		if w.status != want {
			b.Fatal(w.status)
		}
	}
}

func BenchmarkRead(b *testing.B) { benchRead(b, http.StatusOK, nil) }
func BenchmarkReadZstd(b *testing.B) {
	benchRead(b, http.StatusOK, map[string]string{"Accept-Encoding": "gzip, zstd"})
}
func BenchmarkReadNotModified(b *testing.B) {
	benchRead(b, http.StatusNotModified, map[string]string{"If-None-Match": "it"})
}
func BenchmarkReadWithClient(b *testing.B) {
	benchRead(b, http.StatusOK, map[string]string{"Setpoint-Instance": "i-1", "Setpoint-Labels": "zone=eu,tier=web"})
}

// benchTLS reads over connections of a TLS server, with as many clients as CPUs.
func benchTLS(b *testing.B, h http.Handler, path, authorization string) {
	server := httptest.NewUnstartedServer(h)
	server.StartTLS()
	defer server.Close()
	client := server.Client()
	client.Transport.(*http.Transport).MaxIdleConnsPerHost = 64
	client.Transport.(*http.Transport).DisableCompression = true
	b.ResetTimer()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r, _ := http.NewRequest(http.MethodGet, server.URL+path, nil)
			r.Header.Set("Authorization", authorization)
			resp, err := client.Do(r)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	})
	client.CloseIdleConnections()
}

func BenchmarkReadTLS(b *testing.B) {
	s := start(b)
	content := benchContent()
	s.publish("acme/shop/prod/app.yaml", content)
	b.Run("setpoint", func(b *testing.B) { benchTLS(b, s.api, read, s.app) })
	b.Run("floor", func(b *testing.B) {
		body := []byte(content)
		benchTLS(b, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }), read, s.app)
	})
}

// same headers, nothing behind: what the answer's size costs.
func BenchmarkReadTLSHeaders(b *testing.B) {
	s := start(b)
	content := benchContent()
	s.publish("acme/shop/prod/app.yaml", content)
	w := httptest.NewRecorder()
	s.api.ServeHTTP(w, s.request(request{path: read, auth: s.app}))
	body := []byte(content)
	benchTLS(b, http.HandlerFunc(func(o http.ResponseWriter, _ *http.Request) {
		h := o.Header()
		for k, v := range w.Header() {
			h[k] = v
		}
		_, _ = o.Write(body)
	}), read, s.app)
}

// BenchmarkPublishDecoding compares what huma costs with the handler that is
// written by hand, with nothing behind them.
func BenchmarkPublishDecoding(b *testing.B) {
	body, err := json.Marshal(map[string]any{"content": benchContent(), "comment": "why", "expected_version": 3})
	if err != nil {
		b.Fatal(err)
	}
	set := config.ChangeSet{ID: "x", Tenant: "acme", Action: "publish", Author: "a", Items: []config.ChangeItem{{Version: 1}}}
	s := start(b)
	installErrorModel()
	run := func(b *testing.B, h http.HandlerFunc) {
		mux := http.NewServeMux()
		mux.HandleFunc("POST "+pathConfig+"/releases", h)
		w := &sink{header: http.Header{}}
		r := httptest.NewRequest(http.MethodPost, file+"/releases", nil)
		b.ReportAllocs()
		for b.Loop() {
			w.reset()
			r.Body = io.NopCloser(bytes.NewReader(body))
			r.ContentLength = int64(len(body))
			mux.ServeHTTP(w, r)
			if w.status != http.StatusCreated {
				b.Fatal(w.status)
			}
		}
	}
	b.Run("direct", func(b *testing.B) {
		route := Route{Method: "POST", Pattern: pathConfig + "/releases", body: contentBody}
		route.serve = func(_ *api, w http.ResponseWriter, r *http.Request) error {
			var body publishBody
			if err := decodeBody(w, r, publishNames, &body); err != nil {
				return err
			}
			if _, _, err := body.bytes(); err != nil {
				return err
			}
			writeJSON(w, http.StatusCreated, set)
			return nil
		}
		run(b, s.api.direct(route))
	})
	b.Run("huma", func(b *testing.B) {
		route := control(Route{Method: "POST", Pattern: pathConfig + "/releases", ID: "x", body: contentBody, status: http.StatusCreated},
			func(_ *api, _ context.Context, in *struct {
				ConfigPath
				Body publishBody
			}) (*answered[config.ChangeSet], error) {
				return &answered[config.ChangeSet]{Body: set}, nil
			})
		captured := &benchMux{}
		route.register(s.api, humago.New(captured, describedConfig()), route.operation())
		run(b, s.api.controlled(route, captured.handler))
	})
}

type benchMux struct {
	*http.ServeMux
	handler func(http.ResponseWriter, *http.Request)
}

func (m *benchMux) HandleFunc(_ string, h func(http.ResponseWriter, *http.Request)) { m.handler = h }

func BenchmarkPublish(b *testing.B) {
	s := start(b)
	var n atomic.Int64
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		w := &sink{header: http.Header{}}
		path := fmt.Sprintf("%s/configs/f%d.yaml/releases", prod, n.Add(1))
		r := s.request(request{method: "POST", path: path, auth: s.admin})
		r.RemoteAddr = "192.0.2.1:1234"
		r.Header.Set("Content-Type", "application/json")
		body, _ := json.Marshal(map[string]any{"content": benchContent()})
		for pb.Next() {
			w.reset()
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			s.api.ServeHTTP(w, r)
			if w.status != http.StatusCreated {
				b.Error(w.status)
				return
			}
		}
	})
}

// streamSink is a ResponseWriter in the place of one subscriber's connection.
type streamSink struct {
	header http.Header
	seen   *sync.WaitGroup
	want   []byte
}

func (s *streamSink) Header() http.Header { return s.header }
func (s *streamSink) WriteHeader(int)     {}
func (s *streamSink) FlushError() error   { return nil }
func (s *streamSink) Write(b []byte) (int, error) {
	if bytes.Contains(b, s.want) || bytes.Contains(b, []byte("event: current")) {
		s.seen.Done()
	}
	return len(b), nil
}

// BenchmarkFanOut measures one publish until the last of so many subscribers
// has been written to, without connections.
func BenchmarkFanOut(b *testing.B) {
	for _, subscribers := range []int{1, 100, 5000} {
		b.Run(fmt.Sprint(subscribers), func(b *testing.B) {
			s := start(b)
			s.publish("acme/shop/prod/app.yaml", benchContent())
			ctx, cancel := context.WithCancel(context.Background())
			var seen, running sync.WaitGroup
			defer running.Wait()
			defer cancel()
			seen.Add(subscribers)
			for range subscribers {
				r := s.request(request{path: "/v1/watch?path=acme/shop/prod", auth: s.app, header: map[string]string{"Accept": "text/event-stream"}}).WithContext(ctx)
				r.RemoteAddr = "192.0.2.1:1234"
				w := &streamSink{header: http.Header{}, seen: &seen, want: []byte(`"reset":false`)}
				running.Go(func() { s.api.ServeHTTP(w, r) })
			}
			seen.Wait() // all are current
			b.ReportAllocs()
			for b.Loop() {
				seen.Add(subscribers)
				s.publish("acme/shop/prod/app.yaml", benchContent())
				seen.Wait()
			}
		})
	}
}

// BenchmarkIdleStream reports the memory of one idle subscriber over TLS, beside
// that of a bare handler that holds a connection just as open. Both include the
// client's bare connection, which is in the same process.
func BenchmarkIdleStream(b *testing.B) {
	s := start(b)
	s.publish("acme/shop/prod/app.yaml", benchContent())
	b.Run("setpoint", func(b *testing.B) { benchIdle(b, s.api, s.app) })
	b.Run("bare", func(b *testing.B) {
		benchIdle(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "event: current\n\n")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}), s.app)
	})
}

func benchIdle(b *testing.B, h http.Handler, authorization string) {
	const streams = 500
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "https://")
	for b.Loop() {
		before := inUse()
		connections := make([]*tls.Conn, streams)
		buf := make([]byte, 4096)
		for i := range connections {
			conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
			if err != nil {
				b.Fatal(err)
			}
			connections[i] = conn
			fmt.Fprintf(conn, "GET /v1/watch?path=acme/shop/prod HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nAuthorization: %s\r\n\r\n", authorization)
			for text := ""; !strings.Contains(text, "event: current"); {
				n, err := conn.Read(buf)
				if err != nil {
					b.Fatal(err)
				}
				text += string(buf[:n])
			}
		}
		b.ReportMetric(float64(inUse()-before)/streams/1024, "KiB/stream")
		for _, c := range connections {
			c.Close()
		}
	}
}

func inUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
