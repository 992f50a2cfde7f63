// Package digest names secrets in memory without keeping them: by SHA-256 with a
// random key in front, which is made at the start and never leaves the process.
// As nobody ever sees a digest, that serves as well as HMAC, with less to compute.
package digest

import (
	"crypto/rand"
	"crypto/sha256"
	"sync"
)

// Digest stands for a text in this process only.
type Digest [sha256.Size]byte

// Maker makes digests with a key of its own. It is safe for concurrent use.
type Maker struct {
	rooms sync.Pool // of *[]byte, each with the key in front
}

const (
	keySize = sha256.BlockSize
	// keptRoom is what a room may hold on to, in bytes; longer texts are rare.
	keptRoom = 32 << 10
)

// New makes a Maker with a random key.
func New() *Maker {
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // never fails: it would end the program
	m := &Maker{}
	m.rooms.New = func() any {
		room := make([]byte, keySize, keySize+2048)
		copy(room, key)
		return &room
	}
	return m
}

// Of returns the digest of a text.
func (m *Maker) Of(text string) Digest {
	room := m.rooms.Get().(*[]byte) //nolint:errcheck // the pool holds nothing else
	*room = append((*room)[:keySize], text...)
	d := Digest(sha256.Sum256(*room))
	clear((*room)[keySize:])
	if cap(*room) <= keptRoom {
		m.rooms.Put(room)
	}
	return d
}
