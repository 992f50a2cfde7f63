package etcd_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
)

// signed adds the checksum that makes a snapshot of content.
func signed(content []byte) []byte {
	sum := sha256.Sum256(content)
	return append(bytes.Clone(content), sum[:]...)
}

func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	c := settings(t)
	s := mustOpen(t, c)
	defer s.Close()
	fill(t, s, "one")
	name, _ := snapshotOf(t, s)
	good, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	database := good[:len(good)-sha256.Size]
	random := make([]byte, 1<<16)
	rand.NewChaCha8([32]byte{}).Read(random)
	bad := map[string][]byte{
		"empty":             {},
		"text":              []byte("apiVersion: v1\n"),
		"only a checksum":   signed(nil),
		"without checksum":  database,
		"random":            random,
		"random and signed": signed(random),
		"a broken database": signed(database[:len(database)/512/2*512]),
		"another database":  signed(foreign(t)),
	}
	for n := 1; n < len(good); n += len(good)/97 + 1 {
		flipped := bytes.Clone(good)
		flipped[n] ^= 0x10
		bad[fmt.Sprint("flipped at ", n)] = flipped
		bad[fmt.Sprint("truncated at ", n)] = good[:n]
	}
	flipped := bytes.Clone(good)
	flipped[len(flipped)-1] ^= 1
	bad["flipped at the end"] = flipped
	dir := t.TempDir()
	for name, content := range bad {
		file := filepath.Join(dir, "snapshot")
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := c.Check(t.Context(), file, func(e store.Entry) error { return nil })
		if config.KindOf(err) != config.Invalid || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: error is %v, want kind invalid", name, err)
		}
	}
	if _, err := c.Check(t.Context(), dir, nil); config.KindOf(err) != config.Invalid {
		t.Errorf("a folder: error is %v, want kind invalid", err)
	}
}

// A page that is its own descendant would keep a reader busy for ever.
func TestCheckOfACycle(t *testing.T) {
	t.Parallel()
	c := settings(t)
	s := mustOpen(t, c)
	defer s.Close()
	if _, err := s.Commit(t.Context(), store.Txn{Writes: many(1000)}); err != nil {
		t.Fatal(err)
	}
	name, _ := snapshotOf(t, s)
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	content = content[:len(content)-sha256.Size]
	size, branches := os.Getpagesize(), 0
	for at := 2 * size; at < len(content); at += size {
		const header, branch = 16, 1
		if binary.NativeEndian.Uint16(content[at+8:]) == branch {
			branches++
			binary.NativeEndian.PutUint64(content[at+header+8:], uint64(at/size))
		}
	}
	if branches == 0 {
		t.Fatal("the database has no branches")
	}
	if err := os.WriteFile(name, signed(content), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = c.Check(t.Context(), name, func(store.Entry) error { return nil })
	if config.KindOf(err) != config.Invalid || !strings.Contains(err.Error(), "used twice") {
		t.Errorf("error is %v, want kind invalid", err)
	}
}

// many are writes of as many keys.
func many(n int) []store.Write {
	writes := make([]store.Write, n)
	for i := range writes {
		writes[i] = store.Write{Key: fmt.Sprint("many/", i), Value: []byte("v")}
	}
	return writes
}

// foreign is a database that has nothing to do with etcd.
func foreign(t *testing.T) []byte {
	t.Helper()
	name := filepath.Join(t.TempDir(), "foreign")
	db, err := bolt.Open(name, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucket([]byte("key"))
		if err != nil {
			return err
		}
		return b.Put([]byte("some"), []byte("thing"))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// Whoever looks at the entries can end it, and reading does not change the file.
func TestCheckIsOnlyLooking(t *testing.T) {
	t.Parallel()
	c := settings(t)
	s := mustOpen(t, c)
	defer s.Close()
	fill(t, s, "one")
	name, _ := snapshotOf(t, s)
	before, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, 0o400); err != nil {
		t.Fatal(err)
	}
	enough, seen := errors.New("enough"), 0
	_, err = c.Check(t.Context(), name, func(store.Entry) error {
		if seen++; seen == 3 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || config.KindOf(err) != config.Internal || seen != 3 {
		t.Errorf("after %d entries the error is %v, want that of who looks", seen, err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Check(canceled, name, func(store.Entry) error { return nil }); config.KindOf(err) != config.Canceled {
		t.Errorf("error with a ctx that has ended is %v, want kind canceled", err)
	}
	checked(t, c, name)
	after, err := os.ReadFile(name)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the snapshot has changed: %v", err)
	}
}

// Whatever is in the file: an error or entries, never a panic. Signed, it gets as
// far as the database.
func FuzzCheck(f *testing.F) {
	c := settings(f)
	s := mustOpen(f, c)
	if _, err := s.Commit(f.Context(), store.Txn{Writes: []store.Write{{Key: "k", Value: []byte("v")}}}); err != nil {
		f.Fatal(err)
	}
	name, _ := snapshotOf(f, s)
	if err := s.Close(); err != nil {
		f.Fatal(err)
	}
	good, err := os.ReadFile(name)
	if err != nil {
		f.Fatal(err)
	}
	database := good[:len(good)-sha256.Size]
	f.Add(good, false)
	f.Add(database, true)
	f.Add(good[:len(good)/2], false)
	f.Add([]byte{}, false)
	f.Add([]byte{}, true)
	for n := 7; n < len(database); n += len(database) / 64 {
		flipped := bytes.Clone(database)
		flipped[n] ^= 0x81
		f.Add(flipped, true)
		f.Add(signed(flipped)[:len(good)-n%3], false)
	}
	f.Fuzz(func(t *testing.T, content []byte, sign bool) {
		if sign {
			content = signed(content)
		}
		file := filepath.Join(t.TempDir(), "snapshot")
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		revision, err := c.Check(t.Context(), file, func(store.Entry) error { return nil })
		if (err == nil && revision <= 0) || (err != nil && config.KindOf(err) != config.Invalid) {
			t.Errorf("revision %d, error %v", revision, err)
		}
	})
}
