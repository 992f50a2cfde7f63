// Package cache defines where released content is kept close at hand. Drivers
// live below it (memory, redis, …). A cache may forget anything at any time;
// the store is behind it.
package cache

import "context"

// Cache holds content by its digest. Values must not be modified by anyone
// after Put or Get. Implementations are safe for concurrent use.
type Cache interface {
	// Get returns the content with the key. A fault of the cache is a miss.
	Get(ctx context.Context, key string) ([]byte, bool)
	// Put keeps content if there is room. It must not block on a slow cache.
	Put(key string, content []byte)
	// Close releases what the cache holds.
	Close() error
}
