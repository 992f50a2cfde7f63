package audit_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/audit"
)

// TestTheHashCoversEveryField changes each field in turn, found by reflection so
// that a new one cannot be forgotten.
func TestTheHashCoversEveryField(t *testing.T) {
	at := time.Unix(1e9, 0).UTC()
	whole := audit.Checkpoint{Sequence: 3, Records: 2, First: 10, Last: 12, Oldest: at, Newest: at, SealedAt: at, Dropped: 1}
	want := whole.Sum()
	typ := reflect.TypeFor[audit.Checkpoint]()
	for i := range typ.NumField() {
		changed := whole
		field := reflect.ValueOf(&changed).Elem().Field(i)
		switch field.Interface().(type) {
		case int64:
			field.SetInt(field.Int() + 1)
		case time.Time:
			field.Set(reflect.ValueOf(at.Add(1)))
		case audit.Hash:
			field.Set(reflect.ValueOf(audit.Hash{31: 1}))
		default:
			t.Fatalf("%s: the test does not know its type", typ.Field(i).Name)
		}
		if covered := typ.Field(i).Name != "Hash"; (changed.Sum() != want) != covered {
			t.Errorf("%s: want covered %v", typ.Field(i).Name, covered)
		}
	}
}

func TestACheckpointComesBackFromJSON(t *testing.T) {
	at := time.Date(2026, 5, 4, 3, 2, 1, 123456789, time.UTC)
	want := audit.Checkpoint{Sequence: 1 << 40, Previous: audit.Hash{1, 2}, Records: 1, First: 5, Last: 6, Oldest: at, Newest: at, SealedAt: at, Root: audit.Hash{3}}
	want.Hash = want.Sum()
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got audit.Checkpoint
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" || got.Sum() != got.Hash {
		t.Errorf("the hash holds: %v\n%s", got.Sum() == got.Hash, diff)
	}
}

func TestLeavesTellRecordsApart(t *testing.T) {
	same := []audit.Sealed{
		audit.SealRecord("a/b", []byte("c")), audit.SealRecord("a/bc", nil), audit.SealRecord("a", []byte("/bc")),
		audit.SealRecord("", []byte("a/bc")), audit.SealRecord("a/b", []byte("d")),
	}
	seen := map[audit.Hash]bool{}
	for _, s := range same {
		if seen[s.Leaf()] {
			t.Errorf("%q: its leaf is that of another record", s.Key)
		}
		seen[s.Leaf()] = true
	}
	a, b := same[0].Leaf(), same[1].Leaf()
	if audit.Root(slices.Values([]audit.Hash{a, b})) == audit.Root(slices.Values([]audit.Hash{b, a})) {
		t.Error("the root does not tell the order")
	}
}

func TestSealOfNothing(t *testing.T) {
	if diff := cmp.Diff(audit.Seal{}, audit.Head{}.Seal()); diff != "" {
		t.Error(diff)
	}
}

func FuzzParseHash(f *testing.F) {
	for _, seed := range []string{"", "00", strings.Repeat("0f", 32), strings.Repeat("0F", 32), strings.Repeat("0g", 32), strings.Repeat("é", 32)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, err := audit.ParseHash(s)
		if err == nil && h.String() != strings.ToLower(s) {
			t.Errorf("%q comes back as %q", s, h)
		}
	})
}
