package center

import (
	"context"

	"github.com/setpointhq/setpoint/store"
)

// walk calls fn with everything whose key begins with the query's, in key order
// and page by page, until an error. The query's Limit is the size of a page.
//
// An engine may count all that is left with each page, which over many pages is
// the square of what there is. So the walk asks for no more than the surroundings
// of where it is: below as many letters of the last key as a page had in common,
// and one more; and for wider ones as these are exhausted.
func (c *Center) walk(ctx context.Context, q store.Query, fn func(store.Entry) error) error {
	q.Prefix = true
	if q.Limit == 0 {
		q.Limit = auditPage
	}
	shortest := len(q.Key)
	for {
		page, err := c.store.Range(ctx, q)
		if err != nil {
			return err
		}
		for _, e := range page.Entries {
			if err := fn(e); err != nil {
				return err
			}
		}
		depth := len(q.Key) - 1
		if n := len(page.Entries); n > 0 {
			q.After = page.Entries[n-1].Key
			if page.More {
				depth = max(len(q.Key), min(inCommon(page.Entries[0].Key, q.After)+1, len(q.After)))
			}
		}
		if depth < shortest {
			return nil
		}
		q.Key = q.After[:depth]
	}
}

// inCommon returns with how many bytes both begin.
func inCommon(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}
