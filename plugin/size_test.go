package plugin_test

import (
	"testing"

	"github.com/setpointhq/setpoint/plugin"
)

func TestSizeReadsWhatPeopleWrite(t *testing.T) {
	for _, tc := range []struct {
		text  string
		want  plugin.Size
		write string
	}{
		{"0", 0, "0"},
		{"512", 512, "512"},
		{"1024", plugin.KiB, "1KiB"},
		{"64KiB", 64 * plugin.KiB, "64KiB"},
		{"64 KiB", 64 * plugin.KiB, "64KiB"},
		{"1.5GiB", 1536 * plugin.MiB, "1536MiB"},
		{"8GiB", 8 * plugin.GiB, "8GiB"},
		{"2TiB", 2 * plugin.TiB, "2TiB"},
		{"10MB", 10_000_000, "10000000"},
		{"5B", 5, "5"},
	} {
		t.Run(tc.text, func(t *testing.T) {
			var got plugin.Size
			if err := got.UnmarshalText([]byte(tc.text)); err != nil {
				t.Fatal(err)
			}
			if got != tc.want {
				t.Errorf("want %d, got %d", tc.want, got)
			}
			if got.String() != tc.write {
				t.Errorf("want %q, got %q", tc.write, got.String())
			}
		})
	}
}

func TestSizeRefusesWhatIsNoSize(t *testing.T) {
	for _, text := range []string{"", "B", "much", "-1", "1.5", "8Gi", "1e3", "0x10", "NaN", "Inf", "9999999999TiB", "1,5GiB"} {
		t.Run(text, func(t *testing.T) {
			var got plugin.Size
			if err := got.UnmarshalText([]byte(text)); err == nil {
				t.Errorf("want an error, got %d", got)
			}
		})
	}
}

func FuzzSize(f *testing.F) {
	for _, seed := range []string{"0", "64KiB", "1.5GiB", "10MB", "-3", "1e9"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var s, again plugin.Size
		if s.UnmarshalText([]byte(text)) != nil {
			return
		}
		if err := again.UnmarshalText([]byte(s.String())); err != nil || again != s {
			t.Errorf("%q is %d, written %q, read again %d, %v", text, s, s.String(), again, err)
		}
	})
}
