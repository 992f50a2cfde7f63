// Package cachetest is the suite that every cache driver passes.
package cachetest

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"github.com/setpointhq/setpoint/cache"
)

// Run runs the suite; open makes an empty cache that holds about budget bytes.
func Run(t *testing.T, open func(t *testing.T, budget int64) cache.Cache) {
	const budget = 4 << 20
	fresh := func(t *testing.T) cache.Cache {
		c := open(t, budget)
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
		return c
	}
	t.Run("what was put comes back, what was not is a miss", func(t *testing.T) {
		c := fresh(t)
		for _, content := range [][]byte{nil, {0}, []byte("a: 1\n"), bytes.Repeat([]byte("x"), 1<<20)} {
			key := fmt.Sprint(len(content))
			if _, ok := c.Get(t.Context(), key); ok {
				t.Errorf("%s: found before it was put", key)
			}
			c.Put(key, content)
			if got, ok := c.Get(t.Context(), key); !ok || !bytes.Equal(got, content) {
				t.Errorf("%s: want the %d bytes put, got %d, %v", key, len(content), len(got), ok)
			}
		}
	})
	t.Run("the budget holds", func(t *testing.T) {
		c := fresh(t)
		const entries, size = 1000, 64 << 10
		for i := range entries {
			c.Put(fmt.Sprint(i), make([]byte, size))
		}
		kept := 0
		for i := range entries {
			if _, ok := c.Get(t.Context(), fmt.Sprint(i)); ok {
				kept++
			}
		}
		// A driver may make room a little later than it puts.
		if kept == 0 || kept > 4*budget/size {
			t.Errorf("of %d entries want between 1 and %d kept, got %d", entries, 4*budget/size, kept)
		}
	})
	t.Run("many at once", func(t *testing.T) {
		c := fresh(t)
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				for i := range 1000 {
					key := fmt.Sprint(i % 50)
					c.Put(key, []byte(key))
					if got, ok := c.Get(t.Context(), key); ok && string(got) != key {
						t.Errorf("writer %d: key %s holds %q", w, key, got)
					}
				}
			})
		}
		wg.Wait()
	})
}
