package jwt

import (
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/auth/internal/recent"
)

// proof is whom a token proved, until when, and by which state of the keys.
type proof struct {
	identity   auth.Identity
	until      time.Time
	generation uint64
}

// digest stands for a token in this process only.
type digest [sha256.Size]byte

// memory remembers what tokens proved. It holds no token: the digest's key never
// leaves it. SHA-256 with the key in front will do for what nobody ever sees.
type memory struct {
	proofs *recent.Map[digest, proof]
	rooms  sync.Pool // of *[]byte, each with the key in front
}

const keySize = sha256.BlockSize

func newMemory(most int, life time.Duration, now func() time.Time) *memory {
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // never fails: it would end the program
	m := &memory{proofs: recent.New[digest, proof](most, life, now)}
	m.rooms.New = func() any {
		room := make([]byte, keySize, keySize+2048)
		copy(room, key)
		return &room
	}
	return m
}

func (m *memory) digest(text string) digest {
	room := m.rooms.Get().(*[]byte) //nolint:errcheck // the pool holds nothing else
	*room = append((*room)[:keySize], text...)
	d := digest(sha256.Sum256(*room))
	clear((*room)[keySize:])
	m.rooms.Put(room) // of bounded size, as tokens are
	return d
}

func (m *memory) get(d digest) (proof, bool) { return m.proofs.Get(d) }

func (m *memory) put(d digest, p proof) { m.proofs.Put(d, p) }
