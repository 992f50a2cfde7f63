package grpc

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/protocol/internal/caller"
)

// ok is the code of calls that succeeded, in measurements.
const ok = "ok"

// call is one call under way: its stream, with the caller in the context.
type call struct {
	wire
	api     *api
	ctx     context.Context
	id      []string // of the request
	address string   // of the client
	op      string
	began   time.Time
	noted   bool // in the measurements
	single  bool // the client sends one message
	headed  bool // the headers of the answer are sent
}

// operation is what measurements and logs call a call: "DataService.ReadConfig".
func operation(service, method string) string {
	return service[strings.LastIndexByte(service, '.')+1:] + "." + method
}

// Context implements rpc.ServerStream.
func (c *call) Context() context.Context { return c.ctx }

// end ends the call from elsewhere. Its status is that of err; nil is success.
func (c *call) end(err error) {
	if err != nil {
		err = c.api.fail(c.ctx, c.op, c.id[0], err)
	}
	c.wire.end(err)
}

// SendMsg implements rpc.ServerStream.
func (c *call) SendMsg(m any) error {
	if !c.headed {
		c.headed = true
		if err := c.SendHeader(metadata.MD{"x-request-id": c.id}); err != nil {
			return err
		}
	}
	return c.wire.SendMsg(m)
}

// RecvMsg implements rpc.ServerStream. A message that is none of its type is the
// caller's mistake; the library would call it an internal error.
func (c *call) RecvMsg(m any) error {
	message, known := m.(proto.Message)
	if !known {
		return c.wire.RecvMsg(m)
	}
	in := incoming{message: message}
	var err error
	if c.single {
		err = receive(c.wire, &in, c.api.settings.RequestTimeout)
	} else {
		err = c.wire.RecvMsg(&in)
	}
	if err != nil {
		return err
	}
	if in.err != nil {
		return malformed("", "the message is no "+string(message.ProtoReflect().Descriptor().FullName())+" in the binary form of protocol buffers")
	}
	return nil
}

// call serves one call: it finds out who is calling, and turns what do returns
// into the status. No message was read before.
func (a *api) call(s wire, m method, do func(*call) error) error {
	from := s.came()
	c := &call{wire: s, api: a, id: protocol.RequestIDFrom(from.values("x-request-id")), op: "-", began: time.Now(), single: m.single}
	request := auth.Request{ID: c.id[0], Address: a.proxies.AddressOf(from.peer(), from.values("x-forwarded-for"))}
	if agent := from.values("user-agent"); len(agent) > 0 {
		request.Agent = agent[0]
	}
	c.address = request.Address
	c.ctx = auth.WithRequest(s.Context(), request)
	err := a.guarded(c.ctx, func() error {
		if err := a.admit(c, m.op); err != nil {
			return err
		}
		c.op = m.op
		return do(c)
	})
	if err == nil {
		c.note(ok)
		return nil
	}
	if !c.headed {
		// It fails only if the headers are sent already, which they are not.
		_ = s.SetHeader(metadata.MD{"x-request-id": c.id})
	}
	c.note(kindOf(err).String())
	return a.fail(c.ctx, m.op, request.ID, err)
}

var errPanic = errors.New("a defect: the call panicked")

// guarded does something and takes a panic for a defect in that alone.
func (a *api) guarded(ctx context.Context, do func() error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			a.log.ErrorContext(ctx, "call panicked", "request_id", auth.RequestFrom(ctx).ID,
				"panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
			err = &config.Error{Kind: config.Internal, Err: errPanic}
		}
	}()
	return do()
}

// note has the call measured, once.
func (c *call) note(code string) {
	if !c.noted {
		c.noted = true
		c.api.observer.ObserveRequest(Name, c.op, code, time.Since(c.began))
	}
}

// public is the one call that needs no identity.
const public = "IdentityService.Login"

// admit lets a call in whose sender is known. Nothing is looked up before.
func (a *api) admit(c *call, op string) error {
	if !a.started.Load() {
		if !a.ready() {
			return config.Errorf(config.Unavailable, "", "", "the node is starting; try again in a moment")
		}
		a.started.Store(true)
	}
	if op == public {
		return nil
	}
	identity, err := c.identify()
	if err != nil {
		return err
	}
	c.ctx = auth.WithIdentity(c.ctx, identity)
	return nil
}

// identify proves who is calling.
func (c *call) identify() (auth.Identity, error) {
	given, err := caller.ParseCredentials(c.came().values("authorization"), c.address)
	if err != nil {
		return auth.Identity{}, err
	}
	given.Certificates = c.came().certificates()
	identity, err := c.api.auth.Authenticate(c.ctx, given)
	if err != nil {
		c.api.noteFailure(c.ctx, given.Username, err)
	}
	return identity, err
}

// noteFailure has it recorded that someone claimed to be who it could not prove
// to be.
func (a *api) noteFailure(ctx context.Context, name string, err error) {
	if kind := config.KindOf(err); name != "" && (kind == config.Unauthenticated || kind == config.Throttled) {
		a.center.LoginFailed(ctx, name)
	}
}
