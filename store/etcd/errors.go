package etcd

import (
	"context"
	"errors"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
)

// fail turns what an etcd call returned into an error of the store. ctx is the
// call's own, from bind.
func (s *Store) fail(ctx context.Context, op string, err error) error {
	switch {
	case s.life.Err() != nil:
		return context.Cause(s.life)
	case ctx.Err() != nil:
		return ended(ctx, op)
	}
	return translate(op, err)
}

// ended says why a ctx from bind is over: by its caller, or by the store's end.
func ended(ctx context.Context, op string) error {
	cause := context.Cause(ctx)
	if _, ours := errors.AsType[*config.Error](cause); ours {
		return cause
	}
	return &config.Error{Op: op, Kind: config.KindOf(ctx.Err()), Err: ctx.Err()}
}

// noAnswer is an error of kind Unavailable.
func noAnswer(format string, args ...any) error {
	return config.Errorf(config.Unavailable, "", "", format, args...)
}

// errOpen is in an error after which nobody can tell what became of a transaction.
var errOpen = errors.New("whether this was written is not known: look before you try again")

// isOpen reports whether what a transaction failed with leaves open what became
// of it. All does that is not a refusal.
func isOpen(err error) bool {
	if _, ours := errors.AsType[*config.Error](err); ours {
		return errors.Is(err, errOpen)
	}
	switch code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.Unknown, codes.Internal:
		return true
	}
	return false
}

// translateWrite is translate for what a transaction failed with that was sent.
// What leaves open whether it happened must have one of the kinds that say so.
func translateWrite(op string, err error) error {
	if _, ours := errors.AsType[*config.Error](err); !ours && isOpen(err) {
		return config.Errorf(config.Unavailable, op, "", "etcd cannot be reached or has no quorum; %w: %w", errOpen, err)
	}
	return translate(op, err)
}

// translate gives an error of etcd's its kind, and a text that helps.
func translate(op string, err error) error {
	if e, ours := errors.AsType[*config.Error](err); ours { // from a link
		if e.Op == "" {
			e = &config.Error{Op: op, Kind: e.Kind, Path: e.Path, Err: e.Err}
		}
		return e
	}
	switch {
	case errors.Is(err, rpctypes.ErrCompacted):
		return store.ErrCompacted
	case errors.Is(err, rpctypes.ErrFutureRev):
		return config.Errorf(config.Invalid, op, "", "the revision is in the future: %w", err)
	case errors.Is(err, rpctypes.ErrNoSpace):
		return config.Errorf(config.Exhausted, op, "", "nothing can be written, because a member of the cluster has no room left, or has used up its quota; the cluster's status says which: free space on its disk, or raise the quota (embedded: store.etcd.quota) and start it again: %w", err)
	case errors.Is(err, rpctypes.ErrRequestTooLarge):
		return config.Errorf(config.TooLarge, op, "", "the transaction is larger than etcd takes (max_request_bytes); split it: %w", err)
	case errors.Is(err, rpctypes.ErrTooManyOps):
		return config.Errorf(config.TooLarge, op, "", "the transaction has more writes than etcd takes (max_txn_ops); split it: %w", err)
	case errors.Is(err, rpctypes.ErrTooManyRequests):
		return config.Errorf(config.Throttled, op, "", "etcd has too many requests to apply; try again: %w", err)
	}
	switch code(err) {
	case codes.ResourceExhausted: // gRPC's own limit on messages
		return config.Errorf(config.TooLarge, op, "", "the transaction is larger than a message to etcd may be (max_request_bytes): %w", err)
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		return config.Errorf(config.Unavailable, op, "", "etcd cannot be reached or has no quorum: %w", err)
	case codes.Unauthenticated, codes.PermissionDenied:
		return config.Errorf(config.Unavailable, op, "", "etcd refuses this node's user, certificate or permissions: %w", err)
	}
	return &config.Error{Op: op, Kind: config.Internal, Err: err}
}

// code returns the gRPC code of an error, whichever way etcd's client dressed it.
func code(err error) codes.Code {
	if e, ok := errors.AsType[rpctypes.EtcdError](err); ok {
		switch e {
		case rpctypes.ErrAuthFailed, rpctypes.ErrUserEmpty, rpctypes.ErrAuthOldRevision:
			return codes.Unauthenticated
		}
		return e.Code()
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return codes.DeadlineExceeded
	case errors.Is(err, context.Canceled):
		return codes.Canceled
	}
	return status.Code(err)
}

// passing reports whether an error of a watch may go away by itself.
func passing(err error) bool {
	switch code(err) {
	case codes.Unauthenticated, codes.PermissionDenied, codes.InvalidArgument, codes.OutOfRange, codes.Unimplemented, codes.DataLoss:
		return false
	}
	return true
}
