package digest

import (
	"crypto/sha256"
	"strings"
	"sync"
	"testing"
)

func TestDigests(t *testing.T) {
	m := New()
	texts := []string{"", "a", "b", "ab", strings.Repeat("a", 100), strings.Repeat("a", 2*keptRoom)}
	want := map[Digest]string{}
	for _, text := range texts {
		d := m.Of(text)
		if other, taken := want[d]; taken || d == sha256.Sum256([]byte(text)) {
			t.Errorf("want a digest of its own, with a key, for %.20q; got that of %.20q", text, other)
		}
		want[d] = text
	}
	var all sync.WaitGroup
	for d, text := range want {
		all.Go(func() {
			for range 50 {
				if got := m.Of(text); got != d {
					t.Errorf("%.20q: want the same digest again, got another", text)
				}
			}
		})
	}
	all.Wait()
	if New().Of("a") == m.Of("a") {
		t.Error("want another key in every Maker, got the same digest")
	}
}
