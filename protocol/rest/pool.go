package rest

import "sync"

// pool is a sync.Pool that knows what is in it.
type pool[T any] struct {
	make func() T
	pool sync.Pool
}

func (p *pool[T]) get() T {
	if v, found := p.pool.Get().(T); found {
		return v
	}
	return p.make()
}

func (p *pool[T]) put(v T) { p.pool.Put(v) }
