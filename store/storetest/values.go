package storetest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/setpointhq/setpoint/store"
)

// Values tests odd and large keys and values.
func Values(t *testing.T, open Factory) {
	t.Run("odd bytes", func(t *testing.T) {
		f := start(t, open)
		odd := []string{"\x00", "\x00\x00", "a\x00b", "a\xff", "\xff", "\xff\xff", "\xff\xff\xff", "é", "配置", "🚀", " ", "%2e%2e/", "../..", "\n", "\xc3\x28"}
		before := f.now()
		want := map[string]string{}
		var last int64
		for i, key := range odd {
			value := odd[(i+1)%len(odd)]
			last = f.commit(put(key, value))
			want[key] = value
		}
		last = max(last, f.commit(put("empty", "")))
		want["empty"] = ""
		check := func(how string, e store.Entry) {
			if value, ok := want[e.Key]; !ok || value != string(e.Value) {
				t.Errorf("%s: %q = %q, want %q", how, e.Key, e.Value, value)
			}
		}
		page := f.query(store.Query{Prefix: true})
		if len(page.Entries) != len(want) {
			t.Errorf("%d entries, want %d", len(page.Entries), len(want))
		}
		for i, e := range page.Entries {
			check("range", e)
			if i > 0 && page.Entries[i-1].Key >= e.Key {
				t.Errorf("%q comes before %q", page.Entries[i-1].Key, e.Key)
			}
			one, _ := f.get(e.Key)
			check("get", one)
		}
		for _, batch := range f.watchUntil("", before, last) {
			check("watch", batch.Events[0].Entry)
		}
		// Prefixes that end in 0xff have no simple successor.
		for prefix, n := range map[string]int{"\xff": 3, "\xff\xff": 2, "a": 2, "\x00": 2} {
			if got := len(f.query(store.Query{Key: prefix, Prefix: true}).Entries); got != n {
				t.Errorf("prefix %q selects %d keys, want %d", prefix, got, n)
			}
			got := 0
			for _, batch := range f.watchUntil(prefix, before, last) {
				got += len(batch.Events)
			}
			if got != n {
				t.Errorf("watch of prefix %q yielded %d events, want %d", prefix, got, n)
			}
		}
	})
	t.Run("1 MiB value", func(t *testing.T) {
		f := start(t, open)
		f.roundTrip([]store.Write{{Key: "big", Value: noise(1 << 20)}})
	})
	t.Run("8 MiB transaction", func(t *testing.T) {
		f := start(t, open)
		var writes []store.Write
		for i := range 8 {
			writes = append(writes, store.Write{Key: fmt.Sprintf("big/%d", i), Value: noise(1 << 20)})
		}
		f.roundTrip(writes)
	})
	t.Run("5000 writes", func(t *testing.T) {
		f := start(t, open)
		var writes []store.Write
		for i := range 5000 {
			writes = append(writes, put(fmt.Sprintf("many/%04d", i), fmt.Sprint(i)))
		}
		f.roundTrip(writes)
	})
}

// roundTrip commits writes, in key order, as one transaction and finds them
// again by Range and by Watch, live and from history.
func (f *fixture) roundTrip(writes []store.Write) {
	f.Helper()
	before := f.now()
	live := make(chan []store.Batch, 1)
	go func() {
		batches, err := untilKey(f.ctx, f.Store, "", before, writes[0].Key)
		if err != nil {
			f.Errorf("live watch: %v", err)
		}
		live <- batches
	}()
	rev := f.commit(writes...)
	same := func(how string, i int, e store.Entry) {
		if e.Key != writes[i].Key || !bytes.Equal(e.Value, writes[i].Value) || e.Revision != rev {
			f.Fatalf("%s: entry %d (%q, %d bytes) differs from what was written", how, i, e.Key, len(e.Value))
		}
	}
	page := f.query(store.Query{Prefix: true})
	if len(page.Entries) != len(writes) {
		f.Fatalf("%d entries, want %d", len(page.Entries), len(writes))
	}
	for i, e := range page.Entries {
		same("range", i, e)
	}
	for how, batches := range map[string][]store.Batch{"live watch": <-live, "later watch": f.watchUntil("", before, rev)} {
		if len(batches) != 1 || len(batches[0].Events) != len(writes) {
			f.Fatalf("%s: want one batch of %d events, have %d batches", how, len(writes), len(batches))
		}
		for i, ev := range batches[0].Events {
			same(how, i, ev.Entry)
		}
	}
}

// noise returns bytes that do not compress, the same in every run.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b) // never fails, by its documentation
	return b
}
