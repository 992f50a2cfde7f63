package record

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/audit"
)

func TestSealKeysOrderAsSequencesDo(t *testing.T) {
	for name, key := range map[string]func(int64) string{"checkpoints": CheckpointKey, "lists": SealedKey} {
		var keys []string
		for _, n := range []int64{1, 2, 9, 10, 1 << 40} {
			keys = append(keys, key(n))
			if got, ok := SplitSealKey(key(n)); got != n || !ok {
				t.Errorf("%s: want %d back, got %d, %v", name, n, got, ok)
			}
		}
		if !slices.IsSorted(keys) {
			t.Errorf("%s: not in order: %q", name, keys)
		}
	}
	for _, key := range []string{"", SealHeadKey, "s/c/", "s/c/1", "s/c/-000000000000000001", "s/x/" + padVersion(1), SealedKey(0), CheckpointKey(-1)} {
		if n, ok := SplitSealKey(key); ok {
			t.Errorf("%q: want it refused, got %d", key, n)
		}
	}
}

func TestAuditKeysComeApart(t *testing.T) {
	at := time.Unix(0, 0x17abcdef01234567).UTC()
	id := "17abcdef01234567" + "00ff00ff00ff00ff"
	for _, tenant := range []string{"", "acme"} {
		gotTenant, gotID := SplitAudit(AuditKey(tenant, id))
		got, ok := AuditTime(gotID)
		if gotTenant != tenant || gotID != id || !ok || !got.Equal(at) {
			t.Errorf("want %q %s %s, got %q %s %s %v", tenant, id, at, gotTenant, gotID, got, ok)
		}
	}
	for _, id := range []string{"", "17", "ffffffffffffffff", "0000000000000000", "xyz", strings.Repeat("g", 16)} {
		if at, ok := AuditTime(id); ok {
			t.Errorf("%q: want no time, got %s", id, at)
		}
	}
}

func TestSealedListsComeBack(t *testing.T) {
	for _, n := range []int{0, 1, 300} {
		var want []audit.Sealed
		for i := range n {
			want = append(want, audit.SealRecord("a/acme/"+strings.Repeat("k", i), []byte{byte(i)}))
		}
		got, err := DecodeSealed(EncodeSealed(want))
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%d records: %v\n%s", n, err, diff)
		}
	}
}

func FuzzDecodeSealed(f *testing.F) {
	whole := EncodeSealed([]audit.Sealed{audit.SealRecord("a/acme/1", []byte("x")), audit.SealRecord("", nil)})
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xff}, 60))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := DecodeSealed(b)
		if err != nil {
			return
		}
		again, err := DecodeSealed(EncodeSealed(list))
		if diff := cmp.Diff(list, again); diff != "" || err != nil {
			t.Errorf("it does not come back: %v\n%s", err, diff)
		}
	})
}
