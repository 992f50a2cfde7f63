package etcd

import (
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// maxBacklog is how many bytes of keys and values may wait for a watcher that
// is slower than the writers.
const maxBacklog = 64 << 20

// backlog holds what an etcd watch has yielded and its watcher not yet taken.
// etcd's client would keep any amount; this one lets go of the watch instead,
// and the watcher begins a new one where it then is.
type backlog struct {
	limit int
	ready chan struct{} // has a token when there is something new to see

	mu    sync.Mutex
	queue []clientv3.WatchResponse
	size  int
	full  bool // something was left out, and nothing more comes
	ended bool // nothing more comes
}

func newBacklog(limit int) *backlog {
	return &backlog{limit: limit, ready: make(chan struct{}, 1)}
}

// fill takes all responses there are. When it is full it calls leave, which must
// end the responses.
func (b *backlog) fill(responses clientv3.WatchChan, leave func()) {
	for resp := range responses {
		if !b.put(resp) {
			leave()
		}
	}
	b.mu.Lock()
	b.ended = true
	b.mu.Unlock()
	b.signal()
}

// put adds a response; false means that there is no room, now or later.
func (b *backlog) put(resp clientv3.WatchResponse) bool {
	size := weigh(resp)
	b.mu.Lock()
	b.full = b.full || (len(b.queue) > 0 && b.size+size > b.limit)
	full := b.full
	if !full {
		b.queue = append(b.queue, resp)
		b.size += size
	}
	b.mu.Unlock()
	b.signal()
	return !full
}

// next takes the oldest response. Without one, ended says whether any will come.
func (b *backlog) next() (resp clientv3.WatchResponse, ok, ended bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue) == 0 {
		return resp, false, b.ended || b.full
	}
	resp = b.queue[0]
	b.queue[0] = clientv3.WatchResponse{}
	b.queue = b.queue[1:]
	b.size -= weigh(resp)
	return resp, true, false
}

// overflowed reports whether something was left out.
func (b *backlog) overflowed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.full
}

func (b *backlog) signal() {
	select {
	case b.ready <- struct{}{}:
	default: // the token that is there says the same
	}
}

func weigh(resp clientv3.WatchResponse) int {
	size := 0
	for _, ev := range resp.Events {
		size += len(ev.Kv.Key) + len(ev.Kv.Value) + opOverhead
	}
	return size
}
