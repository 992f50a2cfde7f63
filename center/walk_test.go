package center

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/setpointhq/setpoint/store"
	"github.com/setpointhq/setpoint/store/memory"
)

func TestAWalkSeesEverythingOnceInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := memory.New()
		defer s.Close()
		keys := rapid.SliceOfDistinct(rapid.StringMatching(`[abc](/[ab\xff]{0,4}){0,2}`), rapid.ID).Draw(t, "keys")
		for _, k := range keys {
			if _, err := s.Commit(context.Background(), store.Txn{Writes: []store.Write{{Key: k}}}); err != nil {
				t.Fatal(err)
			}
		}
		q := store.Query{
			Key: rapid.SampledFrom([]string{"", "a", "a/", "a/a", "b/b"}).Draw(t, "prefix"), Limit: rapid.IntRange(1, 5).Draw(t, "limit"),
		}
		page, err := s.Range(context.Background(), store.Query{Key: q.Key, Prefix: true})
		if err != nil {
			t.Fatal(err)
		}
		var want, got []string
		for _, e := range page.Entries {
			want = append(want, e.Key)
		}
		c := &Center{store: s}
		if err := c.walk(context.Background(), q, func(e store.Entry) error { got = append(got, e.Key); return nil }); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" || !slices.IsSorted(got) {
			t.Errorf("%q by %d: %s", q.Key, q.Limit, diff)
		}
	})
}
