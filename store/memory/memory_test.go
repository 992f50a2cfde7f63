package memory_test

import (
	"fmt"
	"testing"

	"go.uber.org/goleak"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
	"github.com/setpointhq/setpoint/store/memory"
	"github.com/setpointhq/setpoint/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(testing.TB) store.Store { return memory.New() }

func TestConformance(t *testing.T) { storetest.Run(t, open) }

func BenchmarkStore(b *testing.B) { storetest.Bench(b, open) }

func TestHistoryIsBounded(t *testing.T) {
	s, err := (&memory.Settings{History: 10}).Open(t.Context(), store.Env{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var last int64
	for i := range 100 {
		last, err = s.Commit(t.Context(), store.Txn{Writes: []store.Write{{Key: fmt.Sprint("k", i%3), Value: []byte("v")}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range s.Watch(t.Context(), "", last-50) {
		if config.KindOf(err) != config.Compacted {
			t.Errorf("watch from beyond the history: error is %v, want kind compacted", err)
		}
	}
	n := 0
	for batch, err := range s.Watch(t.Context(), "", last-10) {
		if err != nil {
			t.Fatalf("watch within the history: %v", err)
		}
		if n++; batch.Revision == last {
			break
		}
	}
	if n != 10 {
		t.Errorf("%d batches of history, want 10", n)
	}
	page, err := s.Range(t.Context(), store.Query{Prefix: true})
	if err != nil || len(page.Entries) != 3 {
		t.Errorf("the present is %+v, %v, want 3 keys", page.Entries, err)
	}
}

func TestSettings(t *testing.T) {
	if _, err := (&memory.Settings{}).Open(t.Context(), store.Env{}); config.KindOf(err) != config.Invalid {
		t.Errorf("error of an empty history is %v, want kind invalid", err)
	}
	var c memory.Settings
	c.Defaults()
	if err := c.Validate(); err != nil {
		t.Errorf("the defaults are refused: %v", err)
	}
}
