package backup

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
)

func TestAnInventoryMissesContents(t *testing.T) {
	content := []byte(strings.Repeat("x", record.InlineContent+1))
	sum := sha256.Sum256(content)
	p := config.Path{Tenant: "acme", App: "shop", Env: "dev", Name: "app.json"}
	var releases []store.Entry
	var contents []store.Entry
	for version := int64(1); version <= 3; version++ {
		value, separate := record.EncodeRelease(config.Release{Path: p, Version: version, Digest: hex.EncodeToString(sum[:]), Size: int64(len(content))}, content)
		releases = append(releases, store.Entry{Key: record.ReleaseKey(p, version), Value: value})
		contents = append(contents, store.Entry{Key: record.ContentKey(p, version), Value: separate})
	}
	contents[1].Value = append([]byte("y"), content[1:]...) // changed
	var v Inventory
	for _, e := range append(contents[:2], releases...) { // the third is missing
		v.Take(e)
	}
	if v.Releases != 3 || v.Unreadable != 2 || v.Findings[0].Key != releases[1].Key || v.Findings[1].Key != releases[2].Key {
		t.Errorf("want the two releases without their content found, got %+v", v)
	}
}

func TestAnInventoryRemembersOnlyTheFirstFindings(t *testing.T) {
	var v Inventory
	for i := range 3 * mostFindings {
		v.Take(store.Entry{Key: fmt.Sprintf("t/%d", i), Value: []byte("{")})
	}
	if v.Unreadable != 3*mostFindings || len(v.Findings) != mostFindings {
		t.Errorf("want all counted and some remembered, got %d and %d", v.Unreadable, len(v.Findings))
	}
}

func TestAnInventoryCountsLaunches(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	launch := config.Launch{ID: "00ff", Tenant: "acme", State: config.LaunchPromoted, StartedAt: at}
	var v Inventory
	v.Take(store.Entry{Key: record.LaunchKey("acme", "00ff"), Value: record.Encode(launch)})
	v.Take(store.Entry{Key: record.LaunchKey("globex", "00ff"), Value: record.Encode(launch)})
	if v.Launches != 1 || v.Unreadable != 1 || !v.Newest.Equal(at) || v.Findings[0].Key != "n/globex/00ff" {
		t.Errorf("want one counted, and the one found that lies with another tenant, got %+v", v)
	}
}

func TestAnInventoryTellsWhoseAndHowNewItIs(t *testing.T) {
	for format, newer := range map[string]bool{"": false, "0": false, "1": false, "99": true} {
		var v Inventory
		v.Take(store.Entry{Key: record.ClusterKey, Value: []byte("k3vwq2ab")})
		v.Take(store.Entry{Key: record.FormatKey, Value: []byte(format)})
		if v.Installation != "k3vwq2ab" || v.Newer() != newer {
			t.Errorf("layout %q: want it newer: %v, got %+v", format, newer, v)
		}
	}
}
