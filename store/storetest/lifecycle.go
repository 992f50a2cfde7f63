package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
)

// Lifecycle tests how calls end: by ctx, by their caller, by Close.
func Lifecycle(t *testing.T, open Factory) {
	t.Run("ctx ended before", func(t *testing.T) {
		f := start(t, open)
		canceled, cancel := context.WithCancel(f.ctx)
		cancel()
		late, cancel := context.WithDeadline(f.ctx, time.Unix(1, 0))
		defer cancel()
		for ctx, want := range map[context.Context]config.ErrorKind{canceled: config.Canceled, late: config.Timeout} {
			_, err := f.Range(ctx, store.Query{Key: "a"})
			wantKind(t, want, err)
			_, err = f.Commit(ctx, store.Txn{Writes: []store.Write{put("a", "1")}})
			wantKind(t, want, err)
			_, err = follow(ctx, f.Store, "", 0, 1<<40)
			wantKind(t, want, err)
		}
		if _, ok := f.get("a"); ok {
			t.Error("a commit with a ctx that had ended was written")
		}
	})
	t.Run("ctx ends a watch", func(t *testing.T) {
		f := start(t, open)
		ctx, cancel := context.WithCancel(f.ctx)
		defer cancel()
		before := f.now()
		f.commit(put("a", "1"))
		var last error
		for _, err := range f.Watch(ctx, "", before) {
			last = err
			cancel()
		}
		wantKind(t, config.Canceled, last)
	})
	t.Run("deadline ends a watch", func(t *testing.T) {
		f := start(t, open)
		ctx, cancel := context.WithTimeout(f.ctx, 20*time.Millisecond)
		defer cancel()
		_, err := follow(ctx, f.Store, "", f.now(), 1<<40)
		wantKind(t, config.Timeout, err)
	})
	t.Run("the caller breaks", func(t *testing.T) {
		f := start(t, open)
		before := f.now()
		for range 5 {
			f.commit(put("a", "1"))
		}
		for range 3 {
			for range f.Watch(f.ctx, "", before) {
				break
			}
		}
	})
	t.Run("one watch value, many times", func(t *testing.T) {
		f := start(t, open)
		before := f.now()
		want := f.commit(put("a", "1"))
		seq := f.Watch(f.ctx, "", before)
		for range 2 {
			for batch, err := range seq {
				if err != nil || batch.Revision != want {
					t.Fatalf("first pair is %+v, %v, want revision %d", batch, err, want)
				}
				break
			}
		}
	})
	t.Run("closed", closed(open))
}

// closed closes a store under a watch and calls everything afterwards.
func closed(open Factory) func(*testing.T) {
	return func(t *testing.T) {
		f := start(t, open)
		before := f.now()
		rev := f.commit(put("a", "1"))
		running, ended := make(chan struct{}), make(chan error, 1)
		go func() {
			var last error
			first := true
			for batch, err := range f.Watch(f.ctx, "", before) {
				if first && batch.Revision == rev {
					close(running)
					first = false
				}
				last = err
			}
			ended <- last
		}()
		select {
		case <-running:
		case err := <-ended:
			t.Fatalf("the watch ended before anything was closed: %v", err)
		}
		for range 2 {
			if err := f.Close(); err != nil {
				t.Fatalf("close: %v", err)
			}
		}
		wantIs(t, store.ErrClosed, <-ended)
		_, err := f.Range(f.ctx, store.Query{Key: "a"})
		wantIs(t, store.ErrClosed, err)
		_, err = f.Commit(f.ctx, store.Txn{Writes: []store.Write{put("a", "2")}})
		wantIs(t, store.ErrClosed, err)
		_, err = follow(f.ctx, f.Store, "", before, rev)
		wantIs(t, store.ErrClosed, err)
		if c, ok := f.Store.(store.Compacter); ok {
			wantIs(t, store.ErrClosed, c.Compact(f.ctx, rev))
		}
		if s, ok := f.Store.(store.Sizer); ok {
			if _, _, err := s.Size(f.ctx); !errors.Is(err, store.ErrClosed) {
				t.Errorf("size: error is %v, want %v", err, store.ErrClosed)
			}
		}
	}
}
