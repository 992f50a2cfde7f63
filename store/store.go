// Package store defines the Store, the durable and ordered home of everything
// that Setpoint knows, as a small key-value interface. Drivers live below it
// (memory, etcd, …) and all pass the conformance suite in storetest.
//
// The package knows keys and bytes, not configs; the layout of keys is
// internal/record's.
package store

import (
	"context"
	"errors"
	"iter"

	"github.com/setpointhq/setpoint/config"
)

// Store is an ordered map of keys with one total order of changes.
//
// Revisions are positive. A Commit's is higher than that of every Commit that
// returned before it was called; those under way together may share one, so a
// revision is a position and not the identity of a change. All methods are safe
// for concurrent use. Errors are *config.Error: Unavailable when the engine
// cannot be reached or has no quorum, Timeout and Canceled from ctx, ErrClosed
// after Close.
type Store interface {
	// Range returns entries in key order. It is linearizable unless the query
	// says otherwise: it sees every Commit that returned before it was called.
	Range(ctx context.Context, q Query) (Page, error)

	// Commit applies the writes if every condition holds, atomically, and
	// returns the revision that all of them carry. It must not return before
	// the change is durable (fsynced by a majority). If a condition does not
	// hold, nothing is written and the error Is ErrConflict. A key may be
	// written once in a Txn; writing it twice, or writing nothing, is Invalid.
	// An error of kind Unavailable or Timeout leaves open whether it happened.
	Commit(ctx context.Context, txn Txn) (revision int64, err error)

	// Watch yields every change to keys with the prefix after the given
	// revision, in order, each revision as one Batch, without gaps or
	// repetition, and goes on until ctx ends or the caller breaks. A Batch with
	// no events is a bookmark: everything up to its revision was delivered.
	// The last pair yielded carries the error that ended it: Compacted
	// (errors.Is ErrCompacted) if after is older than what the engine keeps;
	// then a Range at a newer revision must take its place.
	// Watch survives passing faults of the engine by itself.
	Watch(ctx context.Context, prefix string, after int64) iter.Seq2[Batch, error]

	// Close stops the engine and waits for it. Watches end with ErrClosed.
	Close() error
}

// Query selects entries.
type Query struct {
	// Key is the one key asked for or, with Prefix, what keys begin with.
	Key    string
	Prefix bool
	// After continues a listing: only keys strictly after it (before it, if
	// Reverse) are returned.
	After string
	// Limit is the largest number of entries; 0 means all.
	Limit int
	// Reverse returns the last keys first.
	Reverse bool
	// KeysOnly leaves the values out.
	KeysOnly bool
	// Revision reads the past: the state as of that revision, 0 the present.
	// ErrCompacted if it is no longer kept.
	Revision int64
	// Stale allows an answer from this node alone, which may lag.
	Stale bool
}

// Page is a Range's answer.
type Page struct {
	Entries []Entry
	// Revision is the position that the answer is true of. For a linearizable
	// Range of the present it is at least that of every finished Commit.
	Revision int64
	// More says that Limit cut the answer off.
	More bool
}

// Entry is one key with its value. The value must not be modified.
type Entry struct {
	Key      string
	Value    []byte
	Revision int64 // of the last write
	Created  int64 // of the write that created the key
}

// Txn is a conditional set of writes.
type Txn struct {
	Conds  []Cond
	Writes []Write
	// Once, if not empty, is the key of one of the Writes, which no other Txn ever
	// writes: an id made for this one. It makes the Txn happen at most once, however
	// often it is committed: if the key is there already, Commit returns the revision
	// of that write and changes nothing. So a driver whose engine gave no answer
	// can send the Txn again, and mostly learns what became of it.
	Once string
}

// Cond holds if the key's last write has this revision; 0 means that the key
// must not exist.
type Cond struct {
	Key      string
	Revision int64
}

// Write puts a value or deletes a key. Deleting what is not there is not an error.
// The value must not be modified once it was handed to Commit, whatever becomes
// of that.
type Write struct {
	Key    string
	Value  []byte
	Delete bool
}

// Batch is everything that one revision changed under the watched prefix, in
// the order of its writes.
type Batch struct {
	Revision int64
	Events   []Event
}

// Event is one change of one key.
type Event struct {
	Entry
	// Deleted events carry the key and revision, no value.
	Deleted bool
}

// Errors that drivers wrap.
var (
	ErrConflict  = &config.Error{Kind: config.Conflict, Err: errors.New("a condition of the transaction did not hold")}
	ErrCompacted = &config.Error{Kind: config.Compacted, Err: errors.New("the revision is older than the history that the store keeps")}
	ErrClosed    = &config.Error{Kind: config.Unavailable, Err: errors.New("the store is closed")}
)

// Compacter is implemented by stores that can drop history on request.
type Compacter interface {
	// Compact drops history before the revision: Range and Watch of it fail
	// with ErrCompacted afterwards. The present is never touched.
	Compact(ctx context.Context, revision int64) error
}

// Sizer is implemented by stores that know how much they hold on disk.
type Sizer interface {
	// Size returns the bytes that the engine takes up on disk and the bytes in use.
	Size(ctx context.Context) (total, inUse int64, err error)
}
