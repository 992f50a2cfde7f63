package etcd

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"google.golang.org/protobuf/proto"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
)

const (
	// sector is what the size of a database is a multiple of: by what is left over,
	// etcd too knows that there is a checksum behind it.
	sector = 512
	// lockPatience bounds the wait for somebody who has the snapshot open for writing.
	lockPatience = 5 * time.Second
	// heedEach is how many rows are read between two looks at ctx.
	heedEach = 1024
)

// Check implements store.Restorer. The file is not changed.
func (c *Settings) Check(ctx context.Context, snapshot string, see func(store.Entry) error) (int64, error) {
	return checkSnapshot(ctx, c.Prefix, snapshot, see)
}

// checkSnapshot reads a snapshot of entries that lie under a prefix.
func checkSnapshot(ctx context.Context, prefix, name string, see func(store.Entry) error) (int64, error) {
	if err := checkSum(ctx, name); err != nil {
		return 0, refuse(name, err)
	}
	r := &reading{ctx: ctx, store: &Store{data: prefix + "data/"}, prefix: prefix, see: see}
	err := r.open(name)
	switch {
	case r.refused != nil:
		return 0, r.refused
	case err != nil:
		return 0, refuse(name, err)
	}
	return r.revision, nil
}

// refuse says which snapshot is wrong and why. Without a kind of its own, an
// error means that the snapshot is no good.
func refuse(name string, err error) error {
	const op = "check the snapshot"
	switch kind := config.KindOf(err); {
	case errors.Is(err, os.ErrNotExist):
		return &config.Error{Op: op, Kind: config.NotFound, Path: name, Err: errors.New("there is no such file")}
	case kind == config.Internal:
		return &config.Error{Op: op, Kind: config.Invalid, Path: name, Err: err}
	default:
		return err
	}
}

// checkSum reads the whole file and compares it with the checksum at its end.
func checkSum(ctx context.Context, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return unreadable(err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return unreadable(err)
	}
	size := info.Size()
	switch {
	case !info.Mode().IsRegular():
		return errors.New("it is not a file")
	case size == 0:
		return errors.New("it is empty")
	case size%sector != sha256.Size:
		return fmt.Errorf("it is no snapshot, or not a whole one: %d bytes and no checksum at the end", size)
	}
	sum := sha256.New()
	if _, err := io.CopyN(sum, &heedful{ctx, f}, size-sha256.Size); err != nil {
		return unreadable(err)
	}
	written := make([]byte, sha256.Size)
	if _, err := io.ReadFull(f, written); err != nil {
		return unreadable(err)
	}
	if !bytes.Equal(sum.Sum(nil), written) {
		return errors.New("it is damaged: its checksum does not match; take another backup")
	}
	return nil
}

// unreadable is the error of a file that could not be read, whatever is in it.
func unreadable(err error) error {
	if kind := config.KindOf(err); kind != config.Internal {
		return &config.Error{Op: "check the snapshot", Kind: kind, Err: err}
	}
	return &config.Error{Op: "check the snapshot", Kind: config.Unavailable, Err: err}
}

// heedful is a reader that ends with ctx.
type heedful struct {
	ctx context.Context
	io.Reader
}

func (r *heedful) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

// reading is one pass over a snapshot.
type reading struct {
	ctx    context.Context
	store  *Store // knows how entries lie in etcd, and nothing else
	prefix string
	see    func(store.Entry) error

	revision int64
	refused  error // by see
}

// open reads the database, of which is known only that it is as it was written.
// bbolt trusts what it reads: a wrong page may take it anywhere.
func (r *reading) open(name string) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it is no database, or a broken one: %v", p)
		}
	}()
	db, err := bolt.Open(name, 0o400, &bolt.Options{ReadOnly: true, Timeout: lockPatience})
	if err != nil {
		return fmt.Errorf("it is no database: %w", err)
	}
	defer func() { _ = db.Close() }()
	file, err := os.Open(name)
	if err != nil {
		return unreadable(err)
	}
	defer func() { _ = file.Close() }()
	return db.View(func(tx *bolt.Tx) error {
		if err := r.walkPages(tx, file); err != nil {
			return err
		}
		return r.read(tx)
	})
}

// read gives the live entries to see, in key order. The database holds all
// versions of all keys by revision, so the order is made first.
func (r *reading) read(tx *bolt.Tx) error {
	revision, err := lastRevision(tx)
	if err != nil {
		return err
	}
	r.revision = revision
	rows := tx.Bucket(schema.Key.Name())
	live, err := r.live(rows)
	if err != nil {
		return err
	}
	if len(live) == 0 {
		return fmt.Errorf("it holds nothing below %s: it is of another store, or of one with another prefix (store.etcd.prefix)", r.prefix)
	}
	keys := make([]string, 0, len(live))
	for key := range live {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for i, key := range keys {
		if err := r.heed(i); err != nil {
			return err
		}
		var kv mvccpb.KeyValue
		if err := proto.Unmarshal(rows.Get([]byte(live[key])), &kv); err != nil {
			return fmt.Errorf("it has an entry that cannot be read: %w", err)
		}
		switch {
		case string(kv.Key) != key:
			return errors.New("its entries are not in order")
		case !strings.HasPrefix(key, r.store.data):
			continue
		}
		if r.refused = r.see(r.store.entry(&kv)); r.refused != nil {
			return r.refused
		}
	}
	return nil
}

// live returns the row of the last version of each key under the prefix that was
// not deleted.
func (r *reading) live(rows *bolt.Bucket) (map[string]string, error) {
	live := map[string]string{}
	var before mvcc.Revision
	n := 0
	err := rows.ForEach(func(row, value []byte) error {
		n++
		if err := r.heed(n); err != nil {
			return err
		}
		rev, err := parseRevision(row)
		if err != nil {
			return err
		}
		if !rev.GreaterThan(before) {
			return errors.New("its revisions are not in order")
		}
		before = rev
		var kv mvccpb.KeyValue
		if err := proto.Unmarshal(value, &kv); err != nil {
			return fmt.Errorf("it has an entry that cannot be read: %w", err)
		}
		switch {
		case !bytes.HasPrefix(kv.Key, []byte(r.prefix)):
		case mvcc.IsTombstone(row):
			delete(live, string(kv.Key))
		default:
			live[string(kv.Key)] = string(row)
		}
		return nil
	})
	return live, err
}

// heed looks at ctx now and then.
func (r *reading) heed(n int) error {
	if n%heedEach != 0 || r.ctx.Err() == nil {
		return nil
	}
	return unreadable(r.ctx.Err())
}
