package grpc

import (
	"context"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/setpointhq/setpoint/api/setpointv1"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/caller"
)

// asked reads what a message asks for. It keeps the first mistake, so that a call
// reads all fields and then looks once; where names a field.
type asked struct{ err error }

func (q *asked) refuse(where, message string) {
	if q.err == nil {
		q.err = malformed(where, message)
	}
}

// path reads a path of whatever level; what level is wanted the center knows.
func (q *asked) path(where, text string) config.Path {
	p, err := config.ParsePath(text)
	if err != nil && q.err == nil {
		e := config.AsError(err)
		q.err = malformed(where, e.Detail())
	}
	return p
}

func (q *asked) paths(where string, texts []string) []config.Path {
	var all []config.Path
	for i, text := range texts {
		all = append(all, q.path(index(where, i), text))
	}
	return all
}

// time reads a moment; left out, the zero time.
func (q *asked) time(where string, t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	if !t.IsValid() {
		q.refuse(where, "want a time from the year 1 to 9999")
		return time.Time{}
	}
	return t.AsTime()
}

// span reads how long something lasts; left out, 0.
func (q *asked) span(where string, d *durationpb.Duration) time.Duration {
	if d == nil {
		return 0
	}
	if !d.IsValid() || d.GetSeconds() < 0 || d.GetNanos() < 0 {
		q.refuse(where, "want a time span that is not negative")
		return 0
	}
	return d.AsDuration()
}

// seconds is span for what the domain counts in seconds.
func (q *asked) seconds(where string, d *durationpb.Duration) config.Seconds {
	q.span(where, d)
	return config.Seconds(float64(d.GetSeconds()) + float64(d.GetNanos())/1e9)
}

// version reads the version that must be the latest; nil expects none.
func (q *asked) version(where string, v *int64) *int64 {
	if v != nil && *v < 0 {
		q.refuse(where, "want 0 or more")
	}
	return v
}

// mostOnPage is the largest page that can be asked for.
const mostOnPage = 1000

func (q *asked) page(size int32, token string) center.PageRequest {
	if size < 0 || size > mostOnPage {
		q.refuse("page_size", "want 0 to "+strconv.Itoa(mostOnPage))
	}
	return center.PageRequest{Limit: int(size), After: token}
}

// client reads who a client says that it is, from the message or, if that does
// not say, from the metadata.
func (q *asked) client(ctx context.Context, in *setpointv1.ClientIdentity) config.Client {
	var c config.Client
	var err error
	if in != nil {
		c = config.Client{ID: in.GetId(), Labels: in.GetLabels(), Slot: in.GetSlot()}
		err = caller.Check(c)
	} else {
		c, err = caller.ParseClaim(value(ctx, "setpoint-instance"), value(ctx, "setpoint-labels"), value(ctx, "setpoint-slot"))
	}
	if err != nil && q.err == nil {
		q.err = err
	}
	c.Address = auth.RequestFrom(ctx).Address
	return c
}

func index(where string, i int) string { return where + "[" + strconv.Itoa(i) + "]" }

// timeOf renders a time; the zero time is left out.
func timeOf(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// spanOf renders a number of seconds; 0 is left out.
func spanOf(s config.Seconds) *durationpb.Duration {
	if s == 0 {
		return nil
	}
	whole := int64(s)
	return &durationpb.Duration{Seconds: whole, Nanos: int32((float64(s) - float64(whole)) * 1e9)}
}

// all renders each of a list.
func all[T, M any](list []T, one func(T) M) []M {
	if len(list) == 0 {
		return nil
	}
	made := make([]M, len(list))
	for i, v := range list {
		made[i] = one(v)
	}
	return made
}

// at reads a path of a level, for what needs its parts.
func (q *asked) at(where, text string, level config.Level) config.Path {
	p := q.path(where, text)
	if err := p.Require(level); err != nil && q.err == nil {
		q.refuse(where, config.AsError(err).Detail())
	}
	return p
}
