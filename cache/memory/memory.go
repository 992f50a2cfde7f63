// Package memory keeps released content in this process, within a budget of
// bytes. What is used least makes room. It shares nothing between nodes.
package memory

import (
	"context"
	"math"

	"github.com/maypok86/otter/v2"

	"github.com/setpointhq/setpoint/cache"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/plugin"
)

// Settings opens the driver.
type Settings struct {
	Budget plugin.Size `yaml:"budget" doc:"memory for released content; what is used least makes room"`
}

var _ cache.Driver = (*Settings)(nil)

// Defaults fills every field.
func (s *Settings) Defaults() { s.Budget = 256 << 20 }

// Validate refuses a budget that holds not even one large config.
func (s *Settings) Validate() error {
	if s.Budget < 1<<20 {
		return config.Errorf(config.Invalid, "", "budget", "must be at least 1MiB")
	}
	return nil
}

// Open returns an empty cache.
func (s *Settings) Open(context.Context, cache.Env) (cache.Cache, error) {
	entries, err := otter.New(&otter.Options[string, []byte]{
		MaximumWeight: uint64(s.Budget),
		Weigher:       weigh,
	})
	if err != nil {
		return nil, config.Errorf(config.Internal, "open the cache", "", "%w", err)
	}
	return &Cache{entries: entries}, nil
}

// entryOverhead is about what an entry takes beside its content, in bytes: the
// key, the node and its place in the table.
const entryOverhead = 200

func weigh(key string, content []byte) uint32 {
	return uint32(min(len(key)+len(content)+entryOverhead, math.MaxUint32))
}

// Cache holds content in this process.
type Cache struct {
	entries *otter.Cache[string, []byte]
}

// Get implements cache.Cache.
func (c *Cache) Get(_ context.Context, key string) ([]byte, bool) { return c.entries.GetIfPresent(key) }

// Put implements cache.Cache.
func (c *Cache) Put(key string, content []byte) { c.entries.Set(key, content) }

// Close implements cache.Cache.
func (c *Cache) Close() error {
	c.entries.InvalidateAll()
	c.entries.StopAllGoroutines()
	return nil
}

var _ cache.Cache = (*Cache)(nil)
