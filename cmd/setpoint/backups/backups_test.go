package backups

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
)

func TestWhichVersionIsNewer(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want bool
	}{
		{"1.2.3", "1.2.3", false},
		{"1.2.4", "1.2.3", true},
		{"v1.10.0", "1.9.9", true},
		{"1.9.9", "v1.10.0", false},
		{"2.0.0", "1.99.99", true},
		{"v1.2.4-5-gabcdef", "v1.2.3", true},
		{"v1.2.3-5-gabcdef", "v1.2.3", false},
		{"devel", "1.2.3", false},
		{"9.9.9", "devel", false},
		{"", "1.2.3", false},
	} {
		if got := newer(tc.a, tc.b); got != tc.want {
			t.Errorf("%q newer than %q: want %v, got %v", tc.a, tc.b, tc.want, got)
		}
	}
}

// Of two restores of one backup, the later must go further than all that could
// be given out after the earlier one.
func TestRevisionsOfALaterRestoreAreBeyondThoseOfTheEarlier(t *testing.T) {
	made := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	const perSecond = 100_000 // more than any engine commits
	for _, gap := range []time.Duration{time.Second, time.Hour, 365 * 24 * time.Hour} {
		first := bumpSince(made, made.Add(time.Minute))
		second := bumpSince(made, made.Add(time.Minute+gap))
		if given := first + int64(gap.Seconds()*perSecond); second <= given {
			t.Errorf("after %s: %d may have been given out, and %d comes next", gap, given, second)
		}
	}
	if got := bumpSince(made, made.Add(-time.Hour)); got != 1_000_000_000 {
		t.Errorf("a clock that is behind: want the least, got %d", got)
	}
	if got := bumpSince(made, made.AddDate(200, 0, 0)); got <= 0 {
		t.Errorf("want it to last, got %d", got)
	}
}

func TestClusterOfARestore(t *testing.T) {
	f := restoreFlags{name: "n2", cluster: "n1=h1:7403, n2=[::1]:7403"}
	got, err := f.peering()
	want := &store.Peering{Name: "n2", Advertise: "[::1]:7403", Members: map[string]string{"n1": "h1:7403", "n2": "[::1]:7403"}, Token: "setpoint"}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for _, bad := range []restoreFlags{
		{name: "n1", cluster: "n1"}, {name: "n1", cluster: "n1=h1"}, {name: "n1", cluster: "=h1:7403"}, {name: "n1", cluster: "n1=a:1,n1=b:1"},
		{name: "n3", cluster: "n1=h1:7403"}, {name: "n1", cluster: "n1=h1:7403,"},
	} {
		if _, err := bad.peering(); config.KindOf(err) != config.Invalid {
			t.Errorf("%+v: want it refused, got %v", bad, err)
		}
	}
}

func TestQuotedWordsCanBeCopied(t *testing.T) {
	for word, want := range map[string]string{"/var/lib/setpoint": "/var/lib/setpoint", "my data": "'my data'", "it's": `'it'\''s'`, "": "''"} {
		if got := quote(word); got != want {
			t.Errorf("%q: want %s, got %s", word, want, got)
		}
	}
}
