package client

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// A cache begins with a magic that ends in the version of the form, and a byte
// that says how the rest is kept:
//
//	plain   SHA-256 of the body, body
//	sealed  key id (8 bytes), nonce (12 bytes), body sealed by AES-256-GCM
//
// The body is JSON. A sealed one is bound to everything before it and to the
// cache's name, so that it cannot pass for another.
const (
	cacheMagic = "setpoint cache 1\n"
	cacheStart = len(cacheMagic) + 1

	cachePlain  = 'p'
	cacheSealed = 's'
)

// cacheBody is what a cache holds.
type cacheBody struct {
	Name     string       `json:"name"` // of the cache
	Revision config.Token `json:"revision"`
	Received time.Time    `json:"received"`
	Configs  []wireChange `json:"configs"`
}

// cacheKey seals caches.
type cacheKey struct {
	id   []byte // tells a wrong key from damage, and nothing of the key
	aead cipher.AEAD
}

const cacheKeyID = 8

// parseCacheKey reads 32 bytes in hex or base64; an empty key is nil.
func parseCacheKey(s config.Secret) (*cacheKey, error) {
	if s.Empty() {
		return nil, nil
	}
	text := strings.TrimSpace(s.Reveal())
	key, err := hex.DecodeString(text)
	if err != nil {
		plain := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
		key, err = base64.RawStdEncoding.DecodeString(plain)
	}
	if err != nil || len(key) != 32 {
		return nil, config.Errorf(config.Invalid, opOpen, "", "the cache key must be 32 random bytes, in hex or base64")
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	id := sha256.Sum256(append([]byte("setpoint cache key id\n"), key...))
	return &cacheKey{id: id[:cacheKeyID], aead: aead}, nil
}

func encodeCache(s *State, name string, key *cacheKey) ([]byte, error) {
	body := cacheBody{Name: name, Revision: s.revision, Received: s.received}
	for c := range s.All() {
		change := Change{Path: c.Path, Version: c.Version, Format: c.Format, Digest: c.Digest, Time: c.Time}
		body.Configs = append(body.Configs, wireChange{plainChange: plainChange(change), wireContent: contentOf(c.Content)})
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	out := []byte(cacheMagic)
	if key == nil {
		sum := sha256.Sum256(text)
		return append(append(append(out, cachePlain), sum[:]...), text...), nil
	}
	nonce := make([]byte, key.aead.NonceSize())
	_, _ = rand.Read(nonce) // it never fails
	out = append(append(append(out, cacheSealed), key.id...), nonce...)
	return key.aead.Seal(out, nonce, text, bound(out, name)), nil
}

// bound is what a sealed body is bound to.
func bound(header []byte, name string) []byte {
	return append(bytes.Clone(header), name...)
}

// decodeCache reads what encodeCache wrote, and proves it.
func decodeCache(data []byte, name string, key *cacheKey) (*State, error) {
	switch {
	case len(data) < cacheStart || !bytes.HasPrefix(data, []byte("setpoint cache ")):
		return nil, errors.New("it is no cache of a set, or cut off; remove it")
	case string(data[:len(cacheMagic)]) != cacheMagic:
		return nil, errors.New("it is of a version that this program does not know")
	}
	text, err := cacheText(data, name, key)
	if err != nil {
		return nil, err
	}
	var body cacheBody
	if err := json.Unmarshal(text, &body); err != nil {
		return nil, fmt.Errorf("it is damaged: %w", err)
	}
	if body.Name != name {
		return nil, errors.New("it is of other servers or other patterns")
	}
	s := &State{revision: body.Revision, received: body.Received, fromCache: true, configs: map[config.Path]Config{}}
	for _, w := range body.Configs {
		c := w.change()
		if err := c.Path.Require(config.LevelConfig); err != nil {
			return nil, fmt.Errorf("it is damaged: %w", err)
		}
		if sum := sha256.Sum256(c.Content); hex.EncodeToString(sum[:]) != c.Digest {
			return nil, fmt.Errorf("it is damaged: %s is not what its digest says", c.Path)
		}
		s.configs[c.Path] = Config{Path: c.Path, Version: c.Version, Format: c.Format, Digest: c.Digest, Time: c.Time, Content: c.Content}
	}
	return s, nil
}

// cacheText returns the body of a cache, once it is proved to be whole.
func cacheText(data []byte, name string, key *cacheKey) ([]byte, error) {
	damaged := errors.New("it is damaged: what it holds is not what was written")
	rest := data[cacheStart:]
	switch mode := data[cacheStart-1]; {
	case mode == cachePlain && key != nil:
		return nil, errors.New("it is not sealed, though a cache key is given; remove it, or leave the key out")
	case mode == cacheSealed && key == nil:
		return nil, errors.New("it is sealed; give the cache key")
	case mode == cachePlain:
		if len(rest) < sha256.Size {
			return nil, damaged
		}
		text := rest[sha256.Size:]
		if sum := sha256.Sum256(text); !bytes.Equal(sum[:], rest[:sha256.Size]) {
			return nil, damaged
		}
		return text, nil
	case mode == cacheSealed:
		header := cacheKeyID + key.aead.NonceSize()
		if len(rest) < header {
			return nil, damaged
		}
		if !bytes.Equal(rest[:cacheKeyID], key.id) {
			return nil, errors.New("it is sealed with another key than the one given")
		}
		text, err := key.aead.Open(nil, rest[cacheKeyID:header], rest[header:], bound(data[:cacheStart+header], name))
		if err != nil {
			return nil, damaged
		}
		return text, nil
	default:
		return nil, errors.New("it is kept in a way that this program does not know")
	}
}
