package client

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/config"
)

const cacheName = "set-test"

func stateOf(contents map[string]string) *State {
	s := &State{revision: "r7", received: time.Unix(1_800_000_000, 5).UTC(), configs: map[config.Path]Config{}}
	for name, content := range contents {
		p := config.Path{Tenant: "acme", App: "shop", Env: "prod", Name: name}
		sum := sha256.Sum256([]byte(content))
		s.configs[p] = Config{Path: p, Version: 3, Format: "json", Digest: hex.EncodeToString(sum[:]), Time: time.Unix(1, 0).UTC(), Content: []byte(content)}
	}
	return s
}

func keyOf(t testing.TB, b byte) *cacheKey {
	t.Helper()
	key, err := parseCacheKey(config.NewSecret(hex.EncodeToString(bytes.Repeat([]byte{b}, 32))))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestCachesComeBackAsTheyWere(t *testing.T) {
	for _, contents := range []map[string]string{{}, {"a": ""}, {"a": "text é", "b": "\xff\x00 no text", "c": strings.Repeat("x", 1<<12)}} {
		for _, key := range []*cacheKey{nil, keyOf(t, 1)} {
			want := stateOf(contents)
			data, err := encodeCache(want, cacheName, key)
			if err != nil {
				t.Fatal(err)
			}
			got, err := decodeCache(data, cacheName, key)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(slices.Collect(want.All()), slices.Collect(got.All())); diff != "" {
				t.Errorf("configs (-want +got):\n%s", diff)
			}
			if got.revision != want.revision || !got.received.Equal(want.received) || !got.FromCache() {
				t.Errorf("want %s of %v from a cache, got %s of %v, %v", want.revision, want.received, got.revision, got.received, got.FromCache())
			}
		}
	}
}

func TestDamagedCachesAreRefused(t *testing.T) {
	for name, key := range map[string]*cacheKey{"plain": nil, "sealed": keyOf(t, 1)} {
		data, err := encodeCache(stateOf(map[string]string{"a": "content"}), cacheName, key)
		if err != nil {
			t.Fatal(err)
		}
		for i := range data {
			flipped := bytes.Clone(data)
			flipped[i] ^= 4
			if _, err := decodeCache(flipped, cacheName, key); err == nil {
				t.Errorf("%s: byte %d of %d may be changed unseen", name, i, len(data))
			}
			if _, err := decodeCache(data[:i], cacheName, key); err == nil {
				t.Errorf("%s: %d of %d bytes are taken for all", name, i, len(data))
			}
		}
		if _, err := decodeCache(append(bytes.Clone(data), ' '), cacheName, key); err == nil {
			t.Errorf("%s: more than was written is taken", name)
		}
	}
}

func TestForeignCachesAreToldApart(t *testing.T) {
	encode := func(key *cacheKey) []byte {
		data, err := encodeCache(stateOf(map[string]string{"a": "1"}), cacheName, key)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	one, two := keyOf(t, 1), keyOf(t, 2)
	lying := stateOf(map[string]string{"a": "1"})
	for p, c := range lying.configs {
		c.Content = []byte("2")
		lying.configs[p] = c
	}
	lie, err := encodeCache(lying, cacheName, nil)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		data []byte
		as   string
		key  *cacheKey
		want string
	}{
		{"another key", encode(one), cacheName, two, "another key"},
		{"no key", encode(one), cacheName, nil, "give the cache key"},
		{"a key for nothing", encode(nil), cacheName, one, "not sealed"},
		{"another set", encode(nil), "set-other", nil, "other servers or other patterns"},
		{"another set, sealed", encode(one), "set-other", one, "damaged"},
		{"a later form", []byte("setpoint cache 2\nx"), cacheName, nil, "does not know"},
		{"another mode", []byte(cacheMagic + "x"), cacheName, nil, "does not know"},
		{"no cache", []byte("root:x:0:0:root:/root:/bin/bash\n"), cacheName, nil, "no cache"},
		{"nothing", nil, cacheName, nil, "no cache"},
		{"content that is not its digest's", lie, cacheName, nil, "not what its digest says"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := decodeCache(tt.data, tt.as, tt.key); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("want an error with %q, got %v", tt.want, err)
			}
		})
	}
}

func TestCacheKeys(t *testing.T) {
	key := bytes.Repeat([]byte{0xfb, 0xff}, 16)
	want := keyOf(t, 0).id
	for name, tt := range map[string]struct {
		text string
		ok   bool
	}{
		"hex":             {hex.EncodeToString(key), true},
		"hex, upper case": {strings.ToUpper(hex.EncodeToString(key)) + "\n", true},
		"base64":          {base64.StdEncoding.EncodeToString(key), true},
		"base64 for urls": {base64.RawURLEncoding.EncodeToString(key), true},
		"too short":       {hex.EncodeToString(key[1:]), false},
		"too long":        {base64.StdEncoding.EncodeToString(append(key, 1)), false},
		"a passphrase":    {"correct horse battery staple", false},
	} {
		got, err := parseCacheKey(config.NewSecret(tt.text))
		if tt.ok != (err == nil) {
			t.Errorf("%s: want it taken %v, got %v", name, tt.ok, err)
			continue
		}
		if tt.ok {
			if bytes.Equal(want, got.id) {
				t.Errorf("%s: another key has the same id", name)
			}
		} else if config.KindOf(err) != config.Invalid || strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: want invalid without the key in it, got %v", name, err)
		}
	}
}

func TestCacheFilesAreReplacedWhole(t *testing.T) {
	dir := t.TempDir()
	f := cacheFile{dir: dir, name: cacheName}
	if _, err := f.load(); config.KindOf(err) != config.NotFound {
		t.Errorf("want not found, got %v", err)
	}
	// A crash left half of a file behind.
	if err := os.WriteFile(f.path()+".tmp", bytes.Repeat([]byte("x"), 1<<16), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, content := range []string{"1", "2"} {
		if err := f.save(stateOf(map[string]string{"a": content})); err != nil {
			t.Fatal(err)
		}
		got, err := f.load()
		if err != nil || got.Len() != 1 {
			t.Fatalf("want a state, got %v, %v", got, err)
		}
		for c := range got.All() {
			if string(c.Content) != content {
				t.Errorf("want %s, got %s", content, c.Content)
			}
		}
	}
	if _, err := os.Stat(f.path() + ".tmp"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("want nothing left behind, got %v", err)
	}
	// A folder in the place of the file: the old one cannot be replaced.
	f.name = "taken"
	if err := os.MkdirAll(filepath.Join(f.path(), "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := f.save(stateOf(nil)); err == nil {
		t.Error("want an error")
	}
	if _, err := os.Stat(f.path() + ".tmp"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("want nothing left behind after an error, got %v", err)
	}
}

func TestKeptNames(t *testing.T) {
	dir := t.TempDir()
	c := &Client{}
	first := c.keptName(dir)
	if second := c.keptName(dir); first != second || len(first) > maxInstance || len(first) < 14 {
		t.Errorf("want one name and the same again, got %q and %q", first, second)
	}
	for _, bad := range []string{"", "two\nlines", "täglich", strings.Repeat("x", maxInstance+1), strings.Repeat("x", 1<<20)} {
		if err := os.WriteFile(filepath.Join(dir, "instance"), []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := c.keptName(dir); got == strings.TrimSpace(bad) || got == first {
			t.Errorf("%.20q: want a new name, got %q", bad, got)
		}
	}
}

func FuzzDecodeCache(f *testing.F) {
	key := keyOf(f, 1)
	for _, k := range []*cacheKey{nil, key} {
		data, err := encodeCache(stateOf(map[string]string{"a": "1", "b": "\xff"}), cacheName, k)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"name":"set-test","configs":[{"path":"acme/shop/prod/a","content_base64":"/w=="}]}`))
	f.Add([]byte(cacheMagic + "s"))
	f.Fuzz(func(t *testing.T, data []byte) {
		// As it is, and as a body that is signed, so that what is behind is reached.
		sum := sha256.Sum256(data)
		signed := slices.Concat([]byte(cacheMagic), []byte{cachePlain}, sum[:], data)
		for _, in := range [][]byte{data, signed} {
			for _, k := range []*cacheKey{nil, key} {
				s, err := decodeCache(in, cacheName, k)
				if err != nil {
					continue
				}
				for c := range s.All() {
					if sum := sha256.Sum256(c.Content); c.Digest != hex.EncodeToString(sum[:]) || c.Path.Require(config.LevelConfig) != nil {
						t.Errorf("took in %+v", c)
					}
				}
			}
		}
	})
}
