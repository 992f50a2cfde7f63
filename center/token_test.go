package center

import (
	"testing"

	"github.com/setpointhq/setpoint/config"
)

func FuzzToken(f *testing.F) {
	for _, seed := range []string{"", ".", "1.abc", "-1.abc", "+1.a", "zzzzzzzzzzzzzzzzzzz.a", "1", "1.\x00", "1.a.b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		revision, cluster, err := decodeToken(config.Token(text))
		if err != nil {
			if config.KindOf(err) != config.Invalid {
				t.Errorf("want Invalid, got %v", err)
			}
			return
		}
		again, sameCluster, err := decodeToken(encodeToken(revision, cluster))
		if err != nil || again != revision || sameCluster != cluster {
			t.Errorf("%q reads as %d of %q, which comes back as %d of %q, %v", text, revision, cluster, again, sameCluster, err)
		}
	})
}
