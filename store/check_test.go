package store_test

import (
	"testing"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
)

func TestCheckTxn(t *testing.T) {
	put, del := store.Write{Key: "a"}, store.Write{Key: "a", Delete: true}
	for name, tt := range map[string]struct {
		txn store.Txn
		ok  bool
	}{
		"one write":            {store.Txn{Writes: []store.Write{put}}, true},
		"two keys":             {store.Txn{Writes: []store.Write{put, {Key: "b"}}}, true},
		"a condition on it":    {store.Txn{Conds: []store.Cond{{Key: "a"}}, Writes: []store.Write{put}}, true},
		"the same cond twice":  {store.Txn{Conds: []store.Cond{{Key: "a"}, {Key: "a"}}, Writes: []store.Write{put}}, true},
		"nothing":              {store.Txn{}, false},
		"only a condition":     {store.Txn{Conds: []store.Cond{{Key: "a"}}}, false},
		"a key twice":          {store.Txn{Writes: []store.Write{put, put}}, false},
		"put and deleted":      {store.Txn{Writes: []store.Write{put, del}}, false},
		"an empty key":         {store.Txn{Writes: []store.Write{{}}}, false},
		"an empty key, second": {store.Txn{Writes: []store.Write{put, {Delete: true}}}, false},
	} {
		check(t, name, tt.ok, store.CheckTxn(tt.txn))
	}
}

func TestCheckQuery(t *testing.T) {
	for name, tt := range map[string]struct {
		query store.Query
		ok    bool
	}{
		"a key":               {store.Query{Key: "a"}, true},
		"everything":          {store.Query{Prefix: true}, true},
		"a page of the past":  {store.Query{Key: "a", Prefix: true, After: "a/1", Limit: 1, Revision: 1}, true},
		"nothing":             {store.Query{}, false},
		"a negative limit":    {store.Query{Key: "a", Limit: -1}, false},
		"a negative revision": {store.Query{Key: "a", Revision: -1}, false},
	} {
		check(t, name, tt.ok, store.CheckQuery(tt.query))
	}
}

func check(t *testing.T, name string, ok bool, err error) {
	t.Helper()
	switch {
	case ok && err != nil:
		t.Errorf("%s: refused: %v", name, err)
	case !ok && config.KindOf(err) != config.Invalid:
		t.Errorf("%s: error is %v, want kind invalid", name, err)
	}
}
