package grpc

import (
	"context"
	"errors"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/setpointhq/setpoint/api/setpointv1"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/problem"
)

// domain is that of ErrorInfo.
const domain = "setpoint.dev"

// rendering is how a kind of error looks in gRPC.
type rendering struct {
	code codes.Code
	kind setpointv1.ErrorKind
}

// kindCodes has one line for every kind of error.
var kindCodes = map[config.ErrorKind]rendering{
	config.Internal:        {codes.Internal, setpointv1.ErrorKind_ERROR_KIND_INTERNAL},
	config.Invalid:         {codes.InvalidArgument, setpointv1.ErrorKind_ERROR_KIND_INVALID},
	config.Unauthenticated: {codes.Unauthenticated, setpointv1.ErrorKind_ERROR_KIND_UNAUTHENTICATED},
	config.Denied:          {codes.PermissionDenied, setpointv1.ErrorKind_ERROR_KIND_DENIED},
	config.NotFound:        {codes.NotFound, setpointv1.ErrorKind_ERROR_KIND_NOT_FOUND},
	config.Exists:          {codes.AlreadyExists, setpointv1.ErrorKind_ERROR_KIND_ALREADY_EXISTS},
	config.Conflict:        {codes.Aborted, setpointv1.ErrorKind_ERROR_KIND_CONFLICT},
	config.TooLarge:        {codes.ResourceExhausted, setpointv1.ErrorKind_ERROR_KIND_TOO_LARGE},
	config.Exhausted:       {codes.ResourceExhausted, setpointv1.ErrorKind_ERROR_KIND_LIMIT_EXCEEDED},
	config.Throttled:       {codes.ResourceExhausted, setpointv1.ErrorKind_ERROR_KIND_THROTTLED},
	config.Unsupported:     {codes.Unimplemented, setpointv1.ErrorKind_ERROR_KIND_UNSUPPORTED},
	config.Compacted:       {codes.OutOfRange, setpointv1.ErrorKind_ERROR_KIND_COMPACTED},
	config.Unavailable:     {codes.Unavailable, setpointv1.ErrorKind_ERROR_KIND_UNAVAILABLE},
	config.Timeout:         {codes.DeadlineExceeded, setpointv1.ErrorKind_ERROR_KIND_TIMEOUT},
	config.Canceled:        {codes.Canceled, setpointv1.ErrorKind_ERROR_KIND_CANCELED},
}

// The bounds of what an error takes, in bytes. A status goes in trailers, for
// which many clients have room for 8 KiB; in a message there is more.
const (
	statusRoom  = 4 << 10
	messageRoom = 64 << 10
)

// malformed is a request whose form is wrong: where names the field, and may be
// empty.
func malformed(where, message string) error { return problem.Malformed(where, message) }

// errGoing is the error of a node that shuts down.
func errGoing(op string) error {
	return config.Errorf(config.Unavailable, op, "", "this node is shutting down; try another")
}

// kindOf is config.KindOf, which knows the library's own errors, too: those of a
// message that did not arrive.
func kindOf(err error) config.ErrorKind {
	var ours *config.Error
	if errors.As(err, &ours) {
		return ours.Kind
	}
	if s, is := status.FromError(err); is {
		switch s.Code() {
		case codes.Canceled:
			return config.Canceled
		case codes.DeadlineExceeded:
			return config.Timeout
		case codes.ResourceExhausted:
			return config.TooLarge
		case codes.Unavailable:
			return config.Unavailable
		case codes.InvalidArgument, codes.Internal: // of the framing, not of ours
			return config.Invalid
		case codes.Unimplemented:
			return config.Unsupported
		}
	}
	return config.KindOf(err)
}

// fail renders an error for the client, and notes in the log what the client is
// not told.
func (a *api) fail(ctx context.Context, op, requestID string, err error) error {
	if _, native := err.(interface{ GRPCStatus() *status.Status }); native {
		err = &config.Error{Kind: kindOf(err), Op: op, Err: errors.New(status.Convert(err).Message())}
	}
	if config.KindOf(err) == config.Internal {
		a.log.ErrorContext(ctx, "call failed", "request_id", requestID, "op", op, "error", err)
	}
	return statusOf(err, requestID).Err()
}

// statusOf renders an error. It never carries the cause of an Internal one.
func statusOf(err error, requestID string) *status.Status {
	kind := config.KindOf(err)
	detail := detailOf(err, requestID, statusRoom)
	s := &rpcstatus.Status{Code: int32(kindCodes[kind].code), Message: detail.GetMessage()}
	details := []proto.Message{&errdetails.ErrorInfo{Reason: kind.String(), Domain: domain}, detail}
	if wait := problem.RetryAfter(err); wait > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(wait)})
	}
	for _, d := range details {
		// What is left out for an error here is detail of an error there.
		if b, err := marshal(d); err == nil {
			s.Details = append(s.Details, &anypb.Any{TypeUrl: "type.googleapis.com/" + string(d.ProtoReflect().Descriptor().FullName()), Value: b})
		}
	}
	return status.FromProto(s)
}

// detailOf renders an error in at most about so many bytes: of very many problems
// those that fit, in their order.
func detailOf(err error, requestID string, room int) *setpointv1.ErrorDetail {
	e := config.AsError(err)
	d := &setpointv1.ErrorDetail{
		Kind: kindCodes[e.Kind].kind, Op: e.Op, Path: problem.ClipTo(valid(e.Path), problem.LongestDetail),
		Message: problem.ClipTo(valid(e.Detail()), problem.LongestDetail), RequestId: requestID,
	}
	if e.Kind == config.Conflict && e.Current > 0 {
		d.CurrentVersion = proto.Int64(e.Current)
	}
	room -= proto.Size(d)
	for i, p := range e.Problems {
		found := problemOf(p)
		if room -= proto.Size(found) + 4; room < 0 {
			d.ProblemsOmitted = int32(len(e.Problems) - i)
			break
		}
		d.Problems = append(d.Problems, found)
	}
	return d
}

// jittered is a time to wait that is another for each client.
func jittered(least time.Duration, random func(int64) int64) *durationpb.Duration {
	return durationpb.New(least + time.Duration(random(int64(least)+1)))
}
