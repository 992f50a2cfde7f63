package rest

import (
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/crew"
	"github.com/setpointhq/setpoint/protocol/internal/line"
)

// parked is a stream whose connection was taken over from the HTTP server, which
// HTTP/1.1 allows. Only a goroutine with a small stack waits on it, for the client to
// leave; the crew sends, and the wheel says when a heartbeat is due. So an idle
// stream costs little more than its connection.
type parked struct {
	stream
	line *line.Line
	over bool // nothing is sent any more; the crew knows
	crew.Seat
	tasks crew.Tasks
}

// The tasks of the crew.
const (
	tellNews uint32 = 1 << iota
	tellBeat
	tellBye
	letGo // the client has left
)

// park makes a stream of a request. Once its connection is taken over there is no
// error. The place that the watch takes is given back once it ends.
func (a *api) park(w http.ResponseWriter, r *http.Request, s stream, request center.WatchRequest) error {
	p := &parked{stream: s}
	p.carrier = p
	// What is kept of the request must not keep all of it.
	request.Patterns, request.Client = cloneAll(request.Patterns), cloneClient(request.Client)
	asked := auth.RequestFrom(r.Context())
	asked.Agent = strings.Clone(asked.Agent)
	p.ctx = auth.WithIdentity(auth.WithRequest(a.life, asked), auth.FromContext(r.Context()))
	p.tasks.Hold() // until there is something to send on
	var err error
	if p.watch, err = a.center.Watch(r.Context(), request, p.notify); err != nil {
		a.leave()
		return err
	}
	head := line.EventHead(w.Header())
	if p.line, err = line.Take(w, a.settings.StreamWriteTimeout); p.line == nil {
		p.watch.Close()
		a.leave()
		return err
	}
	a.wheel.Add(p)
	if p.begin(head); a.isEnding() {
		p.kick(tellBye)
	}
	p.tasks.Release(tellNews, a.crew, p)
	go p.run()
	return nil
}

// begin sends the beginning and what every client is told first.
func (s *parked) begin(head []byte) {
	if _, err := s.line.Write(head); err != nil || !s.send(s.hello) {
		s.end()
	}
}

// run waits for the client to leave.
func (s *parked) run() {
	s.line.Left()
	s.kick(letGo)
}

// notify is called from the view's loop.
func (s *parked) notify() { s.kick(tellNews) }

// visit is called by the wheel.
func (s *parked) visit(uint32) { s.kick(tellBeat) }

func (s *parked) kick(tasks uint32) { s.tasks.Add(tasks, s.api.crew, s) }

// Work implements crew.Job.
func (s *parked) Work() { s.tasks.Do(s.api.crew, s, s.perform) }

func (s *parked) perform(tasks uint32) {
	defer s.recovered()
	switch {
	case tasks&letGo != 0:
		s.over = true
		s.api.wheel.Remove(s)
		s.watch.Close()
		s.api.leave()
	case s.over:
	case tasks&tellBye != 0:
		s.send(goodbye)
		s.end()
	case tasks&tellBeat != 0 && (!s.isProven() || !s.beat()), !s.pass():
		s.end()
	}
}

// end says that there is nothing more to come, and closes this side.
func (s *parked) end() {
	s.over = true
	// Whether the client still hears that or not, it is over.
	if _, err := s.line.Write([]byte("0\r\n\r\n")); err != nil || s.line.Close() != nil {
		s.line.Abort()
	}
}

// recovered ends a stream at whose delivery something panicked.
func (s *parked) recovered() {
	if cause := recover(); cause != nil {
		s.over = true
		s.api.log.ErrorContext(s.ctx, "stream panicked", "request_id", auth.RequestFrom(s.ctx).ID, "panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
		s.line.Abort()
	}
}

// output implements carrier.
func (s *parked) output() *output { return s.api.chunkedOutput(s.line) }

// share implements carrier.
func (s *parked) share(e bulletin) (int, error) { return s.line.Write(e.chunk) }

// flush implements carrier.
func (s *parked) flush() error { return nil }

func cloneAll(all []string) []string {
	clones := make([]string, len(all))
	for i, s := range all {
		clones[i] = strings.Clone(s)
	}
	return clones
}

func cloneClient(c config.Client) config.Client {
	c.ID, c.Slot = strings.Clone(c.ID), strings.Clone(c.Slot)
	return c
}

var (
	_ carrier  = (*parked)(nil)
	_ crew.Job = (*parked)(nil)
)
