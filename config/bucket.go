package config

import (
	"math/bits"
	"strconv"
	"strings"
)

// Share is a part of all instances in hundredths of a percent: 1 is 0.01 %,
// 10,000 is all of them. No fraction is ever rounded.
type Share int32

// FullShare is every instance.
const FullShare Share = 10_000

// String returns the share as a percentage, "12.5%".
func (s Share) String() string {
	whole, sign := int64(s), ""
	if whole < 0 {
		whole, sign = -whole, "-"
	}
	text := sign + strconv.FormatInt(whole/100, 10)
	if rest := whole % 100; rest != 0 {
		text += strings.TrimRight("."+strconv.FormatInt(100+rest, 10)[1:], "0")
	}
	return text + "%"
}

// Bucket places an instance, by its id, in one of 10,000 buckets, 0 to 9,999. A
// share claims the instances in the buckets below it: what raises the share
// adds instances and never takes one away.
//
// The seed is the salt of a strategy or, if it has none, the path of the config
// as Path.String writes it. So two configs are independent of each other, as
// are two canaries with salts of their own; configs that are to move together
// are given one salt.
//
// Clients in other languages may want to know their bucket, so this is part of
// the contract and never changes:
//
//	h      = XXH64(bytes of id, seed: XXH64(bytes of seed, seed: 0))
//	bucket = ((h >> 32) * 10000) >> 32
//
// all unsigned, 64 bits wide. XXH64 is xxHash's 64-bit variant as its
// specification has it (github.com/Cyan4973/xxHash, doc/xxhash_spec.md). It was
// taken because it is uniform on short and similar ids, such as pod-1 and
// pod-2, where simpler hashes need a further mixing step; because every
// language has it; and because it costs a few nanoseconds. It guards against
// nothing: who chooses its own id chooses its own bucket. The tests have
// vectors to check another implementation with.
func Bucket(seed, id string) int { return bucket(xxh64(seed, 0), id) }

func bucket(seed uint64, id string) int {
	return int((xxh64(id, seed) >> 32) * uint64(FullShare) >> 32)
}

// seedOf hashes p.String() without allocating it.
func seedOf(p *Path) uint64 {
	const usual = 64
	if len(p.Tenant)+len(p.App)+len(p.Env)+len(p.Name)+3 <= usual {
		var buf [usual]byte // clearing room for the longest takes longer than hashing
		return xxh64(p.appendTo(buf[:0]), 0)
	}
	var buf [3*maxLabelLength + MaxNameLength + 3]byte
	return xxh64(p.appendTo(buf[:0]), 0)
}

// appendTo appends what String returns for the path of a config.
func (p *Path) appendTo(b []byte) []byte {
	b = append(append(b, p.Tenant...), '/')
	b = append(append(b, p.App...), '/')
	b = append(append(b, p.Env...), '/')
	return append(b, p.Name...)
}

// The primes of XXH64.
const (
	prime1 uint64 = 0x9E3779B185EBCA87
	prime2 uint64 = 0xC2B2AE3D27D4EB4F
	prime3 uint64 = 0x165667B19E3779F9
	prime4 uint64 = 0x85EBCA77C2B2AE63
	prime5 uint64 = 0x27D4EB2F165667C5
)

// xxh64 is XXH64 over a text that is there whole.
func xxh64[T ~string | ~[]byte](data T, seed uint64) uint64 {
	i, n := 0, len(data)
	h := seed + prime5
	if n >= 32 {
		v1, v2, v3, v4 := seed+prime1+prime2, seed+prime2, seed, seed-prime1
		for ; n-i >= 32; i += 32 {
			v1 = round(v1, word(data, i))
			v2 = round(v2, word(data, i+8))
			v3 = round(v3, word(data, i+16))
			v4 = round(v4, word(data, i+24))
		}
		h = bits.RotateLeft64(v1, 1) + bits.RotateLeft64(v2, 7) + bits.RotateLeft64(v3, 12) + bits.RotateLeft64(v4, 18)
		h = (h^round(0, v1))*prime1 + prime4
		h = (h^round(0, v2))*prime1 + prime4
		h = (h^round(0, v3))*prime1 + prime4
		h = (h^round(0, v4))*prime1 + prime4
	}
	h += uint64(n)
	for ; n-i >= 8; i += 8 {
		h = bits.RotateLeft64(h^round(0, word(data, i)), 27)*prime1 + prime4
	}
	if n-i >= 4 {
		h = bits.RotateLeft64(h^uint64(halfWord(data, i))*prime1, 23)*prime2 + prime3
		i += 4
	}
	for ; i < n; i++ {
		h = bits.RotateLeft64(h^uint64(data[i])*prime5, 11) * prime1
	}
	h = (h ^ h>>33) * prime2
	h = (h ^ h>>29) * prime3
	return h ^ h>>32
}

func round(acc, input uint64) uint64 {
	return bits.RotateLeft64(acc+input*prime2, 31) * prime1
}

func word[T ~string | ~[]byte](data T, i int) uint64 {
	return uint64(data[i]) | uint64(data[i+1])<<8 | uint64(data[i+2])<<16 | uint64(data[i+3])<<24 |
		uint64(data[i+4])<<32 | uint64(data[i+5])<<40 | uint64(data[i+6])<<48 | uint64(data[i+7])<<56
}

func halfWord[T ~string | ~[]byte](data T, i int) uint32 {
	return uint32(data[i]) | uint32(data[i+1])<<8 | uint32(data[i+2])<<16 | uint32(data[i+3])<<24
}
