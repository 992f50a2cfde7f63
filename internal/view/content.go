package view

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"sync"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
)

// Content returns the bytes of a release, which must not be modified: from the
// cache or, checked against the release's digest and size, from the store.
// Concurrent calls for one content read it once. The errors: NotFound if the
// release was purged or retired, Internal if the content is not what was
// published, and those of the store and of ctx.
func (v *View) Content(ctx context.Context, r *config.Release) ([]byte, error) {
	if r == nil {
		return nil, config.Errorf(config.NotFound, "content", "", "nothing is released")
	}
	if v.cache != nil {
		if content, ok := v.cache.Get(ctx, r.Digest); ok && int64(len(content)) == r.Size {
			return content, nil
		}
	}
	return v.fetches.do(ctx, r.Digest, func() ([]byte, error) {
		content, err := v.fetch(ctx, r)
		if err == nil && v.cache != nil {
			v.cache.Put(r.Digest, content)
		}
		return content, err
	})
}

// fetch reads a content from the store and checks it. Contents never change, so
// this node's own, perhaps late, copy will do if it has it.
func (v *View) fetch(ctx context.Context, r *config.Release) ([]byte, error) {
	key := record.ReleaseKey(r.Path, r.Version)
	if r.Size > record.InlineContent {
		key = record.ContentKey(r.Path, r.Version)
	}
	for _, stale := range [...]bool{true, false} {
		page, err := v.store.Range(ctx, store.Query{Key: key, Stale: stale})
		if err != nil {
			return nil, err
		}
		if len(page.Entries) == 1 {
			return checked(r, page.Entries[0].Key, page.Entries[0].Value)
		}
	}
	return nil, config.Errorf(config.NotFound, "content", r.Path.String(), "release %d is no longer kept", r.Version)
}

// checked takes a content out of a store's value, if it is the release's.
func checked(r *config.Release, key string, value []byte) ([]byte, error) {
	content := value
	if section, _ := record.Split(key); section == record.Releases {
		var err error
		if content, err = record.ReleaseContent(value); err != nil {
			return nil, config.Errorf(config.Internal, "content", r.Path.String(), "the record of release %d cannot be read", r.Version)
		}
	}
	sum := sha256.Sum256(content)
	if int64(len(content)) != r.Size || hex.EncodeToString(sum[:]) != r.Digest {
		return nil, config.Errorf(config.Internal, "content", r.Path.String(), "the stored content of release %d is not what was published: its digest or size differs", r.Version)
	}
	return content, nil
}

// warm puts contents that come with the log into the cache, if they are served
// from now on: the read that every notified client does next then costs nothing.
func (v *View) warm(b store.Batch) {
	if v.cache == nil {
		return
	}
	for _, ev := range b.Events {
		section, rest := record.Split(ev.Key)
		if ev.Deleted || section != record.Releases && section != record.Contents {
			continue
		}
		path, version, err := record.SplitVersion(rest)
		if err != nil {
			continue
		}
		c, ok := v.applier.work.configs.get([]byte(path))
		if !ok || c.RolloutRevision != b.Revision {
			continue
		}
		for r := range c.Rollout.Served() {
			inline := r.Size <= record.InlineContent
			if r.Version != version || inline != (section == record.Releases) {
				continue
			}
			// What is not as published is left for Content to find and report.
			if content, err := checked(r, ev.Key, ev.Value); err == nil {
				v.cache.Put(r.Digest, content)
			}
		}
	}
}

// fetches are the reads under way, by digest.
type fetches struct {
	mu    sync.Mutex
	calls map[string]*call
}

type call struct {
	done    chan struct{}
	content []byte
	err     error
}

// do runs fn, unless somebody else is doing the same: then it waits for theirs.
// If theirs ended because they went away, one of those who wait takes over. So
// there is no goroutine that could outlive its caller.
func (f *fetches) do(ctx context.Context, key string, fn func() ([]byte, error)) ([]byte, error) {
	for {
		f.mu.Lock()
		theirs, running := f.calls[key]
		if !running {
			break
		}
		f.mu.Unlock()
		select {
		case <-theirs.done:
		case <-ctx.Done():
			return nil, config.Errorf(config.KindOf(ctx.Err()), "content", "", "waiting for the store: %w", ctx.Err())
		}
		if kind := config.KindOf(theirs.err); theirs.err == nil || kind != config.Canceled && kind != config.Timeout {
			return theirs.content, theirs.err
		}
	}
	own := &call{done: make(chan struct{}), err: errAbandoned}
	if f.calls == nil {
		f.calls = map[string]*call{}
	}
	f.calls[key] = own
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		delete(f.calls, key)
		f.mu.Unlock()
		close(own.done)
	}()
	own.content, own.err = fn()
	return own.content, own.err
}

// errAbandoned is what those who wait see if the read panicked.
var errAbandoned = errors.New("the read was given up")
