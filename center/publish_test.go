package center_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

var pages center.PageRequest

const app = "acme/shop/dev/app.json"

func TestPublishServesAtOnceAndCountsUp(t *testing.T) {
	n := start(t)
	n.house()
	for want := int64(1); want <= 3; want++ {
		content := fmt.Sprintf(`{"n": %d}`, want)
		if got := n.publish(app, content); got != want {
			t.Errorf("version: want %d, got %d", want, got)
		}
		n.wantServed(app, content, want)
	}
}

func TestLargeContentComesBackByteForByte(t *testing.T) {
	n := start(t)
	n.house()
	content := `{"text": "` + strings.Repeat("配置", 60_000) + `"}`
	n.publish(app, content)
	n.wantServed(app, content, 1)
	// A node that was not there when it was published fetches it from the store.
	join(t, n.store).wantServed(app, content, 1)
	release, got, err := n.Release(n.admin(), path(t, app), 1)
	n.must(err)
	if !bytes.Equal(got, []byte(content)) || release.Size != int64(len(content)) {
		t.Errorf("release 1 came back with %d bytes of %d", len(got), len(content))
	}
}

func TestMalformedContentIsRefusedWithItsPlace(t *testing.T) {
	n := start(t)
	n.house()
	n.publish(app, `{"a": 1}`)
	_, problems, err := n.SaveDraft(n.admin(), center.SaveDraft{Path: path(t, app), Content: []byte("{\n  \"a\": 1,\n  \"b\" 2\n}")})
	n.must(err)
	if len(problems) == 0 {
		t.Error("saving a malformed draft reported no problem")
	}
	_, err = n.Publish(n.admin(), center.Publish{Tenant: "acme", Items: []center.PublishItem{{Path: path(t, app), FromDraft: true}}})
	e := wantKind(t, config.Invalid, err)
	if len(e.Problems) == 0 || e.Problems[0].Line != 3 || !strings.Contains(e.Problems[0].Excerpt, "^") {
		t.Errorf("want a problem on line 3 with a caret, got %+v", e.Problems)
	}
	n.wantServed(app, `{"a": 1}`, 1)
	if _, err := n.Draft(n.admin(), path(t, app)); err != nil {
		t.Errorf("the draft was lost: %v", err)
	}
}

func TestTenWritersRacingOnOneConfig(t *testing.T) {
	for _, nodes := range []int{1, 2} {
		t.Run(fmt.Sprintf("on %d nodes", nodes), func(t *testing.T) {
			n := start(t)
			n.house()
			all := []*node{n}
			for len(all) < nodes {
				all = append(all, join(t, n.store))
			}
			race(t, n, all)
		})
	}
}

// race has ten writers publish unconditionally: every version is used once and
// every writer gets one.
func race(t *testing.T, n *node, nodes []*node) {
	const writers, each = 10, 20
	var mu sync.Mutex
	used := map[int64]string{}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				content := fmt.Sprintf(`"writer %d, %d"`, w, i)
				set, err := nodes[w%len(nodes)].Publish(n.admin(), one(app, content))
				if err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
				mu.Lock()
				if other, twice := used[set.Items[0].Version]; twice {
					t.Errorf("version %d was given to %q and %q", set.Items[0].Version, other, content)
				}
				used[set.Items[0].Version] = content
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(used) != writers*each {
		t.Fatalf("want %d versions, got %d", writers*each, len(used))
	}
	for _, version := range []int64{101, 150, writers * each} { // the kept ones
		_, content, err := n.Release(n.admin(), path(t, app), version)
		if err != nil || string(content) != used[version] {
			t.Errorf("release %d: want %q, got %q, %v", version, used[version], content, err)
		}
	}
}

// TestNobodyStarvesOnACrowdedConfig has many more writers than a publish has
// tries.
func TestNobodyStarvesOnACrowdedConfig(t *testing.T) {
	n := start(t)
	n.house()
	var wg sync.WaitGroup
	for w := range 200 {
		wg.Go(func() {
			for i := range 5 {
				if _, err := n.Publish(n.admin(), one(app, fmt.Sprintf(`"%d, %d"`, w, i))); err != nil {
					t.Errorf("writer %d: %v", w, err)
				}
			}
		})
	}
	wg.Wait()
	if _, v := n.served(app); v != 1000 {
		t.Errorf("want version 1000, got %d", v)
	}
}

func TestExpectedVersionLetsOneOfManyWin(t *testing.T) {
	n := start(t)
	n.house()
	n.publish(app, `0`)
	var wins, losses sync.Map
	var wg sync.WaitGroup
	for w := range 10 {
		wg.Go(func() {
			p := one(app, fmt.Sprint(w+1))
			p.Items[0].ExpectedVersion = ptr(int64(1))
			_, err := n.Publish(n.admin(), p)
			if err == nil {
				wins.Store(w, true)
				return
			}
			if e := wantKind(t, config.Conflict, err); e.Current != 2 {
				t.Errorf("a loser should learn the current version 2, got %d", e.Current)
			}
			losses.Store(w, true)
		})
	}
	wg.Wait()
	if won, lost := count(&wins), count(&losses); won != 1 || lost != 9 {
		t.Errorf("want 1 winner and 9 losers, got %d and %d", won, lost)
	}
}

func count(m *sync.Map) (n int) {
	m.Range(func(_, _ any) bool { n++; return true })
	return n
}

func TestChangeSetWithOneBadFilePublishesNothing(t *testing.T) {
	n := start(t)
	n.house()
	p := center.Publish{Tenant: "acme"}
	for i := range 50 {
		content := `{"ok": true}`
		if i == 37 {
			content = `{"ok": tru}`
		}
		p.Items = append(p.Items, center.PublishItem{Path: path(t, fmt.Sprintf("acme/shop/dev/c%02d.json", i)), Content: []byte(content)})
	}
	_, err := n.Publish(n.admin(), p)
	e := wantKind(t, config.Invalid, err)
	if len(e.Problems) != 1 || e.Problems[0].Path != "acme/shop/dev/c37.json" {
		t.Errorf("want the one problem of c37.json, got %+v", e.Problems)
	}
	configs, err := n.Configs(n.admin(), center.ConfigsRequest{Env: path(t, "acme/shop/dev")})
	n.must(err)
	if len(configs.Items) != 0 {
		t.Errorf("want nothing made, got %d configs", len(configs.Items))
	}
	p.Items[37].Content = []byte(`{"ok": true}`)
	set, err := n.Publish(n.admin(), p)
	n.must(err)
	if len(set.Items) != 50 {
		t.Errorf("want 50 items, got %d", len(set.Items))
	}
}

func TestEveryChangeHasItsAuditRecordAtTheSameRevision(t *testing.T) {
	n := start(t)
	n.house()
	set, err := n.Publish(n.admin(), one(app, `{}`))
	n.must(err)
	records, err := n.Audit(n.admin(), center.AuditRequest{Tenant: "acme"})
	n.must(err)
	newest := records.Items[0]
	if newest.ID != set.ID || newest.Revision != set.Revision || newest.Outcome != audit.Done || newest.Actor.Subject != "admin" {
		t.Errorf("want the record of change set %+v, got %+v", set, newest)
	}
	sets, err := n.ChangeSets(n.admin(), "acme", pages)
	n.must(err)
	if len(sets.Items) != 1 || sets.Items[0].ID != set.ID {
		t.Errorf("want the one change set, got %+v", sets.Items)
	}
}

func TestRetentionKeepsTheNewest(t *testing.T) {
	n := start(t, func(l *center.Limits) { l.KeepReleases = 3 })
	n.house()
	for i := range 10 {
		n.publish(app, fmt.Sprint(i))
	}
	releases, err := n.Releases(n.admin(), path(t, app), pages)
	n.must(err)
	var got []int64
	for _, r := range releases.Items {
		got = append(got, r.Version)
	}
	if fmt.Sprint(got) != "[10 9 8]" {
		t.Errorf("want releases 10 9 8, got %v", got)
	}
	_, err = n.Rollback(n.admin(), center.Rollback{Path: path(t, app), Version: 2})
	wantKind(t, config.NotFound, err)
	_, err = n.Rollback(n.admin(), center.Rollback{Path: path(t, app), Version: 8})
	n.must(err)
	n.wantServed(app, "7", 11)
}

func TestLimitsNameThemselves(t *testing.T) {
	n := start(t, func(l *center.Limits) {
		l.ConfigSize, l.ConfigsPerEnv, l.ChangeSetConfigs, l.ChangeSetSize, l.CommentLength = 10, 2, 2, 15, 5
	})
	n.house()
	item := func(name, content string) center.PublishItem {
		return center.PublishItem{Path: path(t, "acme/shop/dev/"+name), Content: []byte(content)}
	}
	for _, c := range []struct {
		name, want string
		kind       config.ErrorKind
		publish    center.Publish
	}{
		{"one config too large", "config_size", config.TooLarge, center.Publish{Items: []center.PublishItem{item("a.json", `"12345678901"`)}}},
		{"all together too large", "change_set_size", config.TooLarge, center.Publish{Items: []center.PublishItem{item("a.json", `"1234567"`), item("b.json", `"1234567"`)}}},
		{"too many at once", "change_set_configs", config.TooLarge, center.Publish{Items: []center.PublishItem{item("a.json", `1`), item("b.json", `1`), item("c.json", `1`)}}},
		{"comment too long", "comment_length", config.TooLarge, center.Publish{Comment: "too long", Items: []center.PublishItem{item("a.json", `1`)}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.publish.Tenant = "acme"
			_, err := n.Publish(n.admin(), c.publish)
			if e := wantKind(t, c.kind, err); !strings.Contains(e.Error(), c.want) {
				t.Errorf("want the limit %s to be named: %v", c.want, e)
			}
		})
	}
	n.publish("acme/shop/dev/a.json", "1")
	n.publish("acme/shop/dev/b.json", "1")
	_, err := n.Publish(n.admin(), one("acme/shop/dev/c.json", "1"))
	if e := wantKind(t, config.Exhausted, err); !strings.Contains(e.Error(), "configs_per_env") {
		t.Errorf("want the limit configs_per_env to be named: %v", e)
	}
}
