package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"time"
)

// Hash is a SHA-256. As text it is hexadecimal.
type Hash [sha256.Size]byte

// ParseHash reads a hash from its text.
func ParseHash(s string) (Hash, error) {
	var h Hash
	if len(s) != 2*len(h) {
		return h, fmt.Errorf("a hash has %d hexadecimal digits", 2*len(h))
	}
	if _, err := hex.Decode(h[:], []byte(s)); err != nil {
		return Hash{}, fmt.Errorf("a hash has only hexadecimal digits")
	}
	return h, nil
}

// String returns the hexadecimal digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText renders the hash as String does.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (h *Hash) UnmarshalText(text []byte) (err error) {
	*h, err = ParseHash(string(text))
	return err
}

// Sealed is what a checkpoint keeps of a record: enough to find the record, and
// to tell that it is the same still.
type Sealed struct {
	Key    string // in the store
	Digest Hash   // of the value
}

// SealRecord makes what a checkpoint keeps of a record.
func SealRecord(key string, value []byte) Sealed {
	return Sealed{Key: key, Digest: sha256.Sum256(value)}
}

// Leaf is the hash that stands for the record in the chain: over its key's
// length, its key, and the digest of its value.
func (s Sealed) Leaf() Hash {
	sum := sha256.New()
	number(sum, int64(len(s.Key)))
	sum.Write([]byte(s.Key))
	sum.Write(s.Digest[:])
	return Hash(sum.Sum(nil))
}

// Root is the hash of a checkpoint's leaves, in their order.
func Root(leaves func(yield func(Hash) bool)) Hash {
	sum := sha256.New()
	sum.Write([]byte("setpoint audit records 1\n"))
	for leaf := range leaves {
		sum.Write(leaf[:])
	}
	return Hash(sum.Sum(nil))
}

// Checkpoint seals the records of a span of revisions: all that were written in
// it, ordered by revision and key. Each checkpoint holds the hash of the one
// before, so that none can be changed without changing all that follow.
type Checkpoint struct {
	// Sequence counts checkpoints from 1.
	Sequence int64 `json:"sequence"`
	// Previous is the hash of the checkpoint before; zero for the first.
	Previous Hash `json:"previous"`
	// Records is how many it covers, First and Last the store's revisions of the
	// first and last of them.
	Records int64 `json:"records"`
	First   int64 `json:"first_revision"`
	Last    int64 `json:"last_revision"`
	// Oldest and Newest are the records' own times.
	Oldest   time.Time `json:"oldest"`
	Newest   time.Time `json:"newest"`
	SealedAt time.Time `json:"sealed_at"`
	// Dropped says that the records up to and including this checkpoint's were
	// deleted on purpose, because of their age.
	Dropped int64 `json:"dropped,omitempty"`
	// Root is the hash over the records.
	Root Hash `json:"root"`
	// Hash is the checkpoint's own, over all of the above.
	Hash Hash `json:"hash"`
}

// Sum computes what Hash must be.
func (c *Checkpoint) Sum() Hash {
	sum := sha256.New()
	sum.Write([]byte("setpoint audit checkpoint 1\n"))
	for _, n := range [...]int64{
		c.Sequence, c.Records, c.First, c.Last,
		c.Oldest.UnixNano(), c.Newest.UnixNano(), c.SealedAt.UnixNano(), c.Dropped,
	} {
		number(sum, n)
	}
	sum.Write(c.Previous[:])
	sum.Write(c.Root[:])
	return Hash(sum.Sum(nil))
}

// Head is where the chain ends.
type Head struct {
	Sequence int64 `json:"sequence"` // 0 while nothing is sealed
	Hash     Hash  `json:"hash"`
	// Last is the revision up to which records are covered.
	Last     int64     `json:"last_revision"`
	SealedAt time.Time `json:"sealed_at,omitzero"`
	// Records is how many were ever sealed.
	Records int64 `json:"records"`
	// Dropped is the last checkpoint whose records were deleted on purpose.
	Dropped int64 `json:"dropped,omitempty"`
}

func number(sum hash.Hash, n int64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	sum.Write(b[:])
}
