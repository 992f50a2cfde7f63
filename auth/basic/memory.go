package basic

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"
	"time"

	"github.com/setpointhq/setpoint/auth/internal/recent"
)

// digest stands for a user name and password in this process only.
type digest [sha256.Size]byte

// memory remembers which credentials were right, each with the stored hash that
// it was right for. It holds no password: the digest's key never leaves it.
type memory struct {
	right *recent.Map[digest, string]
	macs  sync.Pool // of *mac
}

// mac is a keyed hash with its room, kept for reuse because it is on the path
// of every call.
type mac struct {
	hash.Hash
	room []byte
}

// keptRoom in bytes is what a mac may hold on to; longer credentials are rare.
const keptRoom = 512

func newMemory(most int, life time.Duration, now func() time.Time) *memory {
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // never fails: it would end the program
	m := &memory{right: recent.New[digest, string](most, life, now)}
	m.macs.New = func() any { return &mac{Hash: hmac.New(sha256.New, key)} }
	return m
}

// digest computes HMAC-SHA256 over both, the name with its length in front so
// that no other pair reads the same.
func (m *memory) digest(user, password string) (d digest) {
	h := m.macs.Get().(*mac) //nolint:errcheck // the pool holds nothing else
	h.Reset()
	h.room = binary.AppendUvarint(h.room[:0], uint64(len(user)))
	h.room = append(append(h.room, user...), password...)
	_, _ = h.Write(h.room)
	clear(h.room)
	h.room = h.Sum(h.room[:0])
	copy(d[:], h.room)
	if cap(h.room) <= keptRoom {
		m.macs.Put(h)
	}
	return d
}

func (m *memory) get(d digest) (phc string, ok bool) { return m.right.Get(d) }

func (m *memory) put(d digest, phc string) { m.right.Put(d, phc) }
