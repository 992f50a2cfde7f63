package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/setpointhq/setpoint/config"
)

var errSilent = config.Errorf(config.Timeout, "", "", "the server fell silent")

// stream is an answer of any length. It is given up when nothing comes for a
// while, not when it takes long in all.
type stream struct {
	*http.Response
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	idle   time.Duration
	at     int64 // the endpoint's index
}

// open sends a request whose answer is a stream. first bounds the wait for the
// answer to begin, idle every later silence. The caller must close the stream.
func (c *Client) open(ctx context.Context, r request, first, idle time.Duration) (*stream, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	s := &stream{ctx: ctx, cancel: cancel, idle: idle}
	s.timer = time.AfterFunc(first, func() { cancel(errSilent) })
	at := c.current.Load()
	resp, err := c.send(ctx, r) //nolint:bodyclose // stream.close does
	if err != nil {
		s.timer.Stop()
		if err = s.explain(err); errors.Is(err, errSilent) {
			c.leave(at)
		}
		cancel(nil)
		return nil, err
	}
	s.Response, s.at = resp, c.current.Load()
	s.timer.Reset(idle)
	return s, nil
}

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	n, err := s.Body.Read(p)
	if n > 0 {
		s.timer.Reset(s.idle)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = unreached(s.Request.URL, s.explain(err))
	}
	return n, err
}

// explain replaces the error of a canceled request by why it was canceled.
func (s *stream) explain(err error) error {
	if errors.Is(context.Cause(s.ctx), errSilent) {
		return errSilent
	}
	return err
}

// close ends the stream.
func (s *stream) close() {
	s.timer.Stop()
	s.cancel(nil)
	_ = s.Body.Close()
}
