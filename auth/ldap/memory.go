package ldap

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/internal/recent"
)

// digest stands for a user name and password in this process only.
type digest [sha256.Size]byte

// memory remembers which credentials were right, each with whom it proved. It
// holds no password: the digest's key never leaves it.
type memory struct {
	right *recent.Map[digest, auth.Identity]
	macs  sync.Pool // of hash.Hash, kept for reuse on the path of every call
}

func newMemory(most int, life time.Duration, now func() time.Time) *memory {
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // never fails: it would end the program
	m := &memory{right: recent.New[digest, auth.Identity](most, life, now)}
	m.macs.New = func() any { return hmac.New(sha256.New, key) }
	return m
}

// digest computes HMAC-SHA256 over both, the name with its length in front so
// that no other pair reads the same.
func (m *memory) digest(name, password string) (d digest) {
	h := m.macs.Get().(hash.Hash) //nolint:errcheck // the pool holds nothing else
	defer m.macs.Put(h)
	h.Reset()
	room := make([]byte, 0, 128)
	room = binary.AppendUvarint(room, uint64(len(name)))
	room = append(append(room, name...), password...)
	_, _ = h.Write(room)
	clear(room)
	h.Sum(d[:0])
	return d
}
