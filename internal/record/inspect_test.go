package record

import (
	"strings"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
)

var made = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// entries are good ones, of every section.
func entries() map[string][]byte {
	content, large := []byte("a: 1\n"), []byte(strings.Repeat("x", InlineContent+1))
	release := config.Release{Path: path, Version: 1, Digest: digest(content), Size: int64(len(content)), Time: made}
	inline, _ := EncodeRelease(release, content)
	apart := release
	apart.Version, apart.Digest, apart.Size = 2, digest(large), int64(len(large))
	outer, separate := EncodeRelease(apart, large)
	launch := config.Launch{ID: "00ff", Tenant: "acme", StartedAt: made.Add(-time.Hour), Events: []config.LaunchEvent{{At: made.Add(-time.Hour)}, {At: made}}}
	checkpoint := audit.Checkpoint{Sequence: 7, SealedAt: made}
	checkpoint.Hash = checkpoint.Sum()
	return map[string][]byte{
		"t/acme":                   Encode(config.Tenant{Name: "acme", CreatedAt: made}),
		"p/acme/shop":              Encode(config.App{Tenant: "acme", Name: "shop", CreatedAt: made}),
		"e/acme/shop/dev":          Encode(config.Env{Tenant: "acme", App: "shop", Name: "dev", CreatedAt: made}),
		"c/acme/shop/dev/app.json": Encode(config.Config{Path: path, UpdatedAt: made}),
		"o/acme/shop/dev/app.json": Encode(config.Rollout{Path: path, Stable: &release}),
		"d/acme/shop/dev/app.json": EncodeDraft(config.Draft{Path: path, SavedAt: made, Content: content}),
		LaunchKey("acme", "00ff"):  Encode(launch),
		ReleaseKey(path, 1):        inline,
		ReleaseKey(path, 2):        outer,
		ContentKey(path, 2):        separate,
		AuditKey("acme", "00ff17"): Encode(audit.Record{ID: "00ff17", Time: made}),
		AuditKey("", "00ff18"):     Encode(audit.Record{ID: "00ff18", Time: made}),
		SealHeadKey:                Encode(audit.Head{Sequence: 7, SealedAt: made}),
		CheckpointKey(7):           Encode(checkpoint),
		SealedKey(7):               EncodeSealed([]audit.Sealed{{Key: "a/acme/1"}}),
		"u/ann":                    EncodeUser(auth.User{Name: "ann", CreatedAt: made}),
		"k/abc":                    EncodeToken(auth.Token{ID: "abc", CreatedAt: made}),
		"g/def":                    Encode(auth.Binding{ID: "def", CreatedAt: made}),
		"v/deployer":               Encode(auth.RoleInfo{Name: "deployer", Verbs: []string{"read"}, CreatedAt: made}),
		"x/file":                   Encode(SinkPosition{Sink: "file", Sequence: 7, At: made}),
		"j/ghi":                    Encode(JoinToken{JoinToken: config.JoinToken{ID: "ghi", CreatedAt: made}}),
		"l/audit":                  []byte("n1"),
		ClusterKey:                 []byte("k3vwq2ab"),
	}
}

func TestInspectReadsWhatIsGoodAndTellsWhatIsNot(t *testing.T) {
	timeless := map[Section]bool{Offices: true, Meta: true, Contents: true}
	for key, value := range entries() {
		t.Run(key, func(t *testing.T) {
			got, err := Inspect(key, value)
			if err != nil || !got.Time.Equal(made) && !timeless[got.Section] && key != SealedKey(7) {
				t.Errorf("want it good, got %+v, %v", got, err)
			}
			if got.Section == Offices || got.Section == Contents {
				return // whatever is in there is good, or is judged by its release
			}
			for name, bad := range map[string][]byte{"cut off": value[:len(value)/2], "garbage": []byte("{\xff")} {
				if got.Section == Meta {
					bad = nil
				}
				if _, err := Inspect(key, bad); err == nil {
					t.Errorf("%s: want it refused", name)
				}
			}
			if key == SealHeadKey || key == SealedKey(7) {
				return // they do not say where they belong
			}
			// One that lies where another should.
			if _, err := Inspect(key+"9", value); err == nil {
				t.Error("want it refused under another key")
			}
		})
	}
}

func TestInspectComparesContentWithItsDigest(t *testing.T) {
	all := entries()
	value := all[ReleaseKey(path, 1)]
	value[len(value)-2] ^= 1
	if _, err := Inspect(ReleaseKey(path, 1), value); err == nil || !strings.Contains(err.Error(), "digest") {
		t.Errorf("want changed content refused, got %v", err)
	}
	release, err := Inspect(ReleaseKey(path, 2), all[ReleaseKey(path, 2)])
	if err != nil || release.Elsewhere != ContentKey(path, 2) {
		t.Fatalf("got %+v, %v", release, err)
	}
	if content, err := Inspect(release.Elsewhere, all[release.Elsewhere]); err != nil || content.Digest != release.Want {
		t.Errorf("want the content that the release wants, got %+v, %v", content, err)
	}
	if _, err := Inspect("z/new", []byte("{}")); err == nil {
		t.Error("want a section refused that is not known")
	}
}

func FuzzInspect(f *testing.F) {
	for key, value := range entries() {
		f.Add(key, value)
	}
	f.Add("", []byte{})
	f.Fuzz(func(_ *testing.T, key string, value []byte) {
		// Whatever lies in a backup, looking at it is an error and never a panic.
		_, _ = Inspect(key, value)
	})
}
