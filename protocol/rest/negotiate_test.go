package rest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNegotiate(t *testing.T) {
	for header, want := range map[string]encoding{
		"": identity, "gzip": gzipped, "x-gzip": gzipped, "GZIP": gzipped, "zstd": zstandard, "Zstd;q=1": zstandard,
		"gzip,zstd": zstandard, "zstd, gzip": zstandard, "gzip;q=0.8, zstd;q=0.799": gzipped,
		"gzip;q=0": identity, "gzip;q=0.000": identity, "gzip;q=0.001": gzipped, "gzip;q=1.001": identity, "gzip;q=2": identity,
		"gzip;q=": identity, "gzip;q=x": identity, "gzip;q=.5": identity, "gzip;q=0.1234": identity, "gzip; q=0.5 ": gzipped,
		"identity": identity, "identity;q=0.5, gzip": gzipped, "identity, gzip;q=0.5": identity, "identity;q=0": identity,
		"*": gzipped, "*;q=0": identity, "*, gzip;q=0": identity, "*;q=0.5, zstd": zstandard, "br, deflate": identity,
		";;;,,,": identity, "gzip;foo=bar;q=0.5": gzipped, "gzip;q=0;q=1": identity,
	} {
		if got := negotiate(header); got != want {
			t.Errorf("%q: want %s, got %s", header, codingNames[want], codingNames[got])
		}
	}
}

func FuzzNegotiate(f *testing.F) {
	for _, s := range []string{"", "gzip, zstd;q=0.5", "*;q=0", "identity;q=1, gzip;q=0.999", ";q=,"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		got := negotiate(header)
		// What was chosen was named, or anything was.
		lower := strings.ToLower(header)
		if got != identity && !strings.Contains(lower, codingNames[got]) && !strings.Contains(lower, "*") {
			t.Errorf("%q: chose %s, which nobody asked for", header, codingNames[got])
		}
		if allocs := testing.AllocsPerRun(1, func() { negotiate(header) }); allocs > 0 {
			t.Errorf("%q: %v allocations", header, allocs)
		}
	})
}

func FuzzMatchETag(f *testing.F) {
	digest := strings.Repeat("ab", 32)
	for _, s := range []string{"", "*", `"` + digest + `"`, `W/"` + digest + `-gzip", "x"`, `"`, `W/`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		got := matchETag([]string{header}, digest)
		if got != "" && got != etagOf(digest, identity) && got != etagOf(digest, gzipped) && got != etagOf(digest, zstandard) {
			t.Errorf("%q: matched %q", header, got)
		}
	})
}

func FuzzLabels(f *testing.F) {
	for _, s := range []string{"", "a=b", " zone = eu , tier=web", "a", "=", "a=b=c", "a=1,a=2", ",", "a=\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		labels, err := parseLabels(s)
		if err != nil {
			return
		}
		if len(labels) > maxLabels {
			t.Fatalf("%d labels", len(labels))
		}
		var pairs []string
		for k, v := range labels {
			if k == "" || !printable(k) || !printable(v) || len(k) > maxLabel || len(v) > maxLabel {
				t.Fatalf("took %q=%q", k, v)
			}
			pairs = append(pairs, fmt.Sprintf("%s=%s", k, v))
		}
		again, err := parseLabels(strings.Join(pairs, ","))
		if diff := cmp.Diff(labels, again); err != nil || diff != "" {
			t.Errorf("%q: not the same when written again: %v %s", s, err, diff)
		}
	})
}
