package memory

import (
	"context"
	"iter"
	"slices"
	"sort"
	"strings"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
)

// chunk is how many revisions a watch takes from the log at a time. Between two
// chunks it looks again, so that a watcher that is slower than the history is
// long learns of it.
const chunk = 256

// scan yields the known keys that a query selects, in its order.
func (s *Store) scan(q store.Query) iter.Seq[string] {
	from := sort.SearchStrings(s.keys, q.Key)
	// to is the first key behind the selection.
	to := from + sort.Search(len(s.keys)-from, func(i int) bool {
		if q.Prefix {
			return !strings.HasPrefix(s.keys[from+i], q.Key)
		}
		return s.keys[from+i] != q.Key
	})
	if q.After != "" {
		i, found := slices.BinarySearch(s.keys, q.After)
		switch {
		case q.Reverse:
			to = min(to, i)
		case found:
			from = max(from, i+1)
		default:
			from = max(from, i)
		}
	}
	selected := s.keys[from:max(from, to)]
	return func(yield func(string) bool) {
		for i := range selected {
			if q.Reverse {
				i = len(selected) - 1 - i
			}
			if !yield(selected[i]) {
				return
			}
		}
	}
}

// Watch implements store.Store.
func (s *Store) Watch(ctx context.Context, prefix string, after int64) iter.Seq2[store.Batch, error] {
	return func(yield func(store.Batch, error) bool) {
		if after < 0 {
			yield(store.Batch{}, config.Errorf(config.Invalid, "watch", prefix, "revision %d is negative", after))
			return
		}
		for pos := after; ; {
			log, now, changed, err := s.since(ctx, pos)
			if err != nil {
				yield(store.Batch{}, err)
				return
			}
			told := pos
			for _, batch := range log {
				if pos = batch.Revision; !touches(batch, prefix) {
					continue
				}
				told = pos
				if !yield(narrow(batch, prefix), nil) {
					return
				}
			}
			if len(log) == chunk {
				continue
			}
			if pos = max(pos, now); told < pos && !yield(store.Batch{Revision: pos}, nil) {
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
			}
		}
	}
}

// since returns the next chunk of the log after a revision, the present
// revision, and the channel that tells of the next change.
func (s *Store) since(ctx context.Context, after int64) ([]store.Batch, int64, <-chan struct{}, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	// Closed comes first: it is what ended the watch, even if ctx ended as well.
	if s.closed {
		return nil, 0, nil, store.ErrClosed
	}
	if err := check(ctx, "watch"); err != nil {
		return nil, 0, nil, err
	}
	if after+1 < s.compacted {
		return nil, 0, nil, store.ErrCompacted
	}
	log := s.log[s.logIndex(after+1):]
	return log[:min(len(log), chunk)], s.revision, s.changed, nil
}

// logIndex returns the place in the log of the first batch at or after a revision.
func (s *Store) logIndex(revision int64) int {
	i, _ := slices.BinarySearchFunc(s.log, revision, func(b store.Batch, rev int64) int {
		return int(b.Revision - rev)
	})
	return i
}

// touches reports whether a batch changes any key with the prefix.
func touches(b store.Batch, prefix string) bool {
	return slices.ContainsFunc(b.Events, func(ev store.Event) bool { return strings.HasPrefix(ev.Key, prefix) })
}

// narrow returns the batch with only the events under the prefix.
func narrow(b store.Batch, prefix string) store.Batch {
	out := store.Batch{Revision: b.Revision, Events: make([]store.Event, 0, len(b.Events))}
	for _, ev := range b.Events {
		if strings.HasPrefix(ev.Key, prefix) {
			out.Events = append(out.Events, ev)
		}
	}
	return out
}
