package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/setpointhq/setpoint/config"
)

// cacheFile is where a Set keeps what it holds.
type cacheFile struct {
	dir  string
	name string // stands for the servers and what is held of them
	key  *cacheKey
}

func newCacheFile(c *Client, o SetOptions) (cacheFile, error) {
	key, err := parseCacheKey(o.CacheKey)
	if err != nil {
		return cacheFile{}, err
	}
	if err := os.MkdirAll(o.CacheDir, 0o700); err != nil {
		return cacheFile{}, config.Errorf(config.Invalid, opOpen, "", "cache dir: %w", err)
	}
	of := slices.Concat(slices.Sorted(slices.Values(c.endpointNames())), []string{""}, slices.Sorted(slices.Values(o.Patterns)))
	sum := sha256.Sum256([]byte(strings.Join(of, "\n")))
	return cacheFile{dir: o.CacheDir, name: "set-" + hex.EncodeToString(sum[:12]), key: key}, nil
}

func (c *Client) endpointNames() []string {
	var names []string
	for _, u := range c.endpoints {
		names = append(names, u.String())
	}
	return names
}

func (f cacheFile) path() string { return filepath.Join(f.dir, f.name+".cache") }

// load reads the state that was kept. The error is NotFound if there is none.
func (f cacheFile) load() (*State, error) {
	const op = "read cache"
	file, err := os.Open(f.path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, config.Errorf(config.NotFound, op, f.path(), "nothing was kept there yet")
	}
	if err != nil {
		return nil, config.Errorf(config.Unavailable, op, f.path(), "%w", err)
	}
	defer func() { _ = file.Close() }()
	data, err := readAll(io.Reader(file), maxAnswer)
	if err != nil {
		return nil, config.Errorf(config.Unavailable, op, f.path(), "%w", err)
	}
	state, err := decodeCache(data, f.name, f.key)
	if err != nil {
		return nil, config.Errorf(config.Invalid, op, f.path(), "%w", err)
	}
	return state, nil
}

// save writes a state: after a crash in between, the one before is still there.
func (f cacheFile) save(s *State) error {
	data, err := encodeCache(s, f.name, f.key)
	if err != nil {
		return err
	}
	return replaceFile(f.path(), data)
}

// replaceFile writes a file that only this user may read, as a whole or not.
func replaceFile(path string, data []byte) (err error) {
	next := path + ".tmp"
	file, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = file.Close()
			_ = os.Remove(next)
		}
	}()
	if _, err := file.Write(data); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	if err := os.Rename(next, path); err != nil {
		return err
	}
	if dir, err := os.Open(filepath.Dir(path)); err == nil {
		_ = dir.Sync() // not every system can; then the file before may come back after a power cut
		_ = dir.Close()
	}
	return nil
}

// saver keeps the newest state, soon and beside everything else.
type saver struct {
	file cacheFile
	log  *slog.Logger
	wake chan struct{} // room for one

	mu   sync.Mutex
	next *State // nil if there is nothing to keep
}

// saveDelay gathers changes that come close upon each other, and gives bindings
// the time to refuse the first state.
const saveDelay = time.Second

func newSaver(f cacheFile, log *slog.Logger) *saver {
	return &saver{file: f, log: log, wake: make(chan struct{}, 1)}
}

func (v *saver) save(s *State) {
	v.mu.Lock()
	v.next = s
	v.mu.Unlock()
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

// drop has what waits not be kept.
func (v *saver) drop() { v.take() }

func (v *saver) take() *State {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.next
	v.next = nil
	return s
}

// run keeps states until ctx ends; the last one, too.
func (v *saver) run(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-v.wake:
			_ = sleep(ctx, saveDelay) // if ctx ends, there is no time to lose
		case <-ctx.Done():
		}
		s := v.take()
		if s == nil {
			continue
		}
		if err := v.file.save(s); err != nil {
			v.log.Warn("the local cache cannot be written: a restart without servers would find an old one or none", "error", err)
		}
	}
}
