package bench

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

// httpSetup is what the bare handler answers: what the server answered.
type httpSetup struct {
	Header http.Header `json:"header"` // of both answers
	Body   []byte      `json:"body"`   // unless If-None-Match asks for none
}

// serveHTTPFloor is a bare net/http handler over TLS that writes ready bytes.
func serveHTTPFloor(t talk) error {
	var setup httpSetup
	if err := t.hear(&setup); err != nil {
		return err
	}
	l, conf, ready, err := listen()
	if err != nil {
		return err
	}
	s := &http.Server{
		TLSConfig: conf, ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			for name, values := range setup.Header {
				h[name] = values
			}
			if r.Header["If-None-Match"] != nil {
				delete(h, "Content-Length")
				w.WriteHeader(http.StatusNotModified)
				return
			}
			_, _ = w.Write(setup.Body) // a client that is gone needs no answer
		}),
	}
	served := make(chan error, 1)
	go func() { served <- s.ServeTLS(l, "", "") }()
	if err = t.say(ready); err == nil {
		err = t.end()
	}
	err = errors.Join(err, s.Close())
	if cause := <-served; !errors.Is(cause, http.ErrServerClosed) {
		err = errors.Join(err, cause)
	}
	return err
}

// probe asks for a resource and returns the answer as a bare handler would have
// to give it.
func (s server) probe(ctx context.Context, path, authorization string) (httpSetup, error) {
	const most = 16 << 20
	transport := &http.Transport{TLSClientConfig: s.tls.Clone(), DisableCompression: true}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+s.addr+s.base+path, nil)
	if err != nil {
		return httpSetup{}, err
	}
	r.Host = s.host
	r.Header.Set("Authorization", authorization)
	answer, err := transport.RoundTrip(r)
	if err != nil {
		return httpSetup{}, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, most))
	if err != nil {
		return httpSetup{}, err
	}
	if answer.StatusCode != http.StatusOK {
		return httpSetup{}, errors.New("the server answered " + answer.Status + " to " + path)
	}
	answer.Header.Del("Date") // net/http adds its own
	return httpSetup{Header: answer.Header, Body: body}, nil
}
