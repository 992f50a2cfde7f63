package view

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// mapCache is a cache that forgets nothing.
type mapCache struct {
	mu sync.Mutex
	m  map[string][]byte
}

func (c *mapCache) Get(_ context.Context, key string) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	content, ok := c.m[key]
	return content, ok
}

func (c *mapCache) Put(key string, content []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil {
		c.m = map[string][]byte{}
	}
	c.m[key] = content
}

func (c *mapCache) Close() error { return nil }

func TestContentIsExactlyWhatWasPublished(t *testing.T) {
	const path = "acme/shop/prod/a"
	for _, tc := range []struct{ name, content string }{
		{"empty", ""},
		{"small", "a: 1\r\n\x00"},
		{"the last that is inline", strings.Repeat("x", record.InlineContent)},
		{"large", strings.Repeat("y", record.InlineContent+1)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := &faultyStore{Store: newStore(t)}
			held := &mapCache{}
			commit(t, s, publishOf(path, 1, tc.content)...)
			v := start(t, s, func(v *View) { v.cache = held })
			c, _ := v.Snapshot().Config(mustPath(path))
			for _, from := range []string{"store", "cache"} {
				got, err := v.Content(t.Context(), c.Rollout.Stable)
				if err != nil || string(got) != tc.content {
					t.Fatalf("from the %s: got %d bytes, %v", from, len(got), err)
				}
			}
			// What comes with the log needs no read at all.
			s.set(func(s *faultyStore) { s.fail = errors.New("no read was expected") })
			snap := waitFor(t, v, commit(t, s, publishOf(path, 2, tc.content+"2")...))
			c, _ = snap.Config(mustPath(path))
			if got, err := v.Content(t.Context(), c.Rollout.Stable); err != nil || string(got) != tc.content+"2" {
				t.Errorf("want the content in the cache with the log, got %d bytes, %v", len(got), err)
			}
		})
	}
}

func TestContentFailsLoudly(t *testing.T) {
	const path = "acme/shop/prod/a"
	good := releaseOf(path, 1, "content")
	value, _ := record.EncodeRelease(*good, []byte("CONTENT"))
	for _, tc := range []struct {
		name    string
		writes  []store.Write
		release *config.Release
		want    config.ErrorKind
	}{
		{"not there", []store.Write{put("a/_/1", nil)}, good, config.NotFound},
		{"nothing asked for", []store.Write{put("a/_/1", nil)}, nil, config.NotFound},
		{"other bytes", []store.Write{put(record.ReleaseKey(good.Path, 1), value)}, good, config.Internal},
		{"not a release", []store.Write{put(record.ReleaseKey(good.Path, 1), []byte{0xff})}, good, config.Internal},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStore(t)
			held := &mapCache{}
			commit(t, s, tc.writes...)
			v := New(Options{Store: s, Cache: held, Log: quiet()})
			if _, err := v.Content(t.Context(), tc.release); config.KindOf(err) != tc.want {
				t.Errorf("want %v, got %v", tc.want, err)
			}
			if len(held.m) != 0 {
				t.Error("want nothing in the cache")
			}
		})
	}
}

func TestContentFromTheLogIsNotTrustedBlindly(t *testing.T) {
	const path = "acme/shop/prod/a"
	s := newStore(t)
	held := &mapCache{}
	v := start(t, s, func(v *View) { v.cache = held })
	r := rolloutOf(path, 1, "content")
	forged, _ := record.EncodeRelease(*r.Stable, []byte("forged!"))
	unserved, _ := record.EncodeRelease(*releaseOf(path, 2, "unserved"), []byte("unserved"))
	waitFor(t, v, commit(t, s, put(rolloutKey(path), record.Encode(r)),
		put(record.ReleaseKey(r.Path, 1), forged), put(record.ReleaseKey(r.Path, 2), unserved)))
	if len(held.m) != 0 {
		t.Errorf("want neither forged nor unserved content in the cache, got %v", held.m)
	}
}

func TestConcurrentReadsOfOneContentAreOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f fetches
		gate := make(chan struct{})
		runs := 0
		leaderCtx, leave := context.WithCancel(t.Context())
		results := make(chan error, 12)
		go func() {
			_, err := f.do(leaderCtx, "k", func() ([]byte, error) {
				<-leaderCtx.Done()
				return nil, config.Errorf(config.Canceled, "", "", "gone")
			})
			results <- err
		}()
		synctest.Wait()
		impatient, giveUp := context.WithCancel(t.Context())
		for i := range 11 {
			ctx := t.Context()
			if i == 0 {
				ctx = impatient
			}
			go func() {
				content, err := f.do(ctx, "k", func() ([]byte, error) {
					runs++
					<-gate
					return []byte("v"), nil
				})
				if err == nil && string(content) != "v" {
					t.Errorf("want v, got %q", content)
				}
				results <- err
			}()
		}
		synctest.Wait()
		giveUp()
		if err := <-results; config.KindOf(err) != config.Canceled {
			t.Errorf("want the impatient one canceled, got %v", err)
		}
		leave() // one of the others takes over
		if err := <-results; config.KindOf(err) != config.Canceled {
			t.Errorf("want the first reader canceled, got %v", err)
		}
		synctest.Wait()
		close(gate)
		for range 10 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		if runs != 1 || len(f.calls) != 0 {
			t.Errorf("want one read and none left, got %d and %d", runs, len(f.calls))
		}
	})
}
