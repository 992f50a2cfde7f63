package e2e

import (
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

const racers = 10

// race runs a function as many times at once as there are racers, each with a
// client of its own, and returns what each got.
func race[T any](s *server, run func(i int, c *client.Client) T) []T {
	s.t.Helper()
	got := make([]T, racers)
	clients := make([]*client.Client, racers)
	for i := range clients {
		clients[i] = s.root()
	}
	gate := make(chan struct{})
	var all sync.WaitGroup
	for i, c := range clients {
		all.Go(func() {
			<-gate
			got[i] = run(i, c)
		})
	}
	close(gate)
	all.Wait()
	return got
}

// TestTenWritersRaceOnOneConfig wants each version to be used once, no release
// to be lost, and losers to be told which version is current.
func TestTenWritersRaceOnOneConfig(t *testing.T) {
	s := start(t, "LIMITS_KEEP_RELEASES=10000")
	root := s.root()
	build(t, root, "acme/shop/prod")

	const rounds = 20
	at := path(t, "acme/shop/prod/strict.yaml")
	want := map[int64]string{}
	for round := range int64(rounds) {
		type outcome struct {
			content string
			set     config.ChangeSet
			err     error
		}
		won := 0
		for _, o := range race(s, func(i int, c *client.Client) outcome {
			content := "winner: " + strconv.Itoa(i) + "\n"
			set, err := c.Publish(t.Context(), client.Publish{Items: []client.PublishItem{{Path: at, Content: []byte(content), ExpectedVersion: &round}}})
			return outcome{content, set, err}
		}) {
			if o.err == nil {
				won++
				want[o.set.Items[0].Version] = o.content
				continue
			}
			if e := problemOf(t, config.Conflict, o.err); e.Current != round+1 {
				t.Errorf("want the losers of round %d told that %d is current, got %d: %v", round, round+1, e.Current, o.err)
			}
		}
		if won != 1 {
			t.Errorf("round %d: want one winner, got %d", round, won)
		}
	}
	wantHistory(t, root, at, want)
}

// wantHistory wants exactly these releases, with these contents, of versions
// that begin at 1 and leave none out.
func wantHistory(t testing.TB, c *client.Client, at config.Path, want map[int64]string) {
	t.Helper()
	releases := collect(t, c.Releases(t.Context(), at))
	if len(releases) != len(want) {
		t.Errorf("want %d releases, got %d", len(want), len(releases))
	}
	for i, r := range releases {
		if version := int64(len(releases) - i); r.Version != version {
			t.Fatalf("want version %d at place %d, got %d", version, i, r.Version)
		}
		full, err := c.Release(t.Context(), at, r.Version)
		if err != nil || string(full.Content) != want[r.Version] {
			t.Errorf("version %d: want %q, got %q, %v", r.Version, want[r.Version], full.Content, err)
		}
	}
}

// TestOneBadFileStopsAChangeSet publishes 50 configs, one of them malformed.
func TestOneBadFileStopsAChangeSet(t *testing.T) {
	const files, bad = 50, 37
	s := start(t)
	root := s.root()
	build(t, root, "acme/shop/prod")
	item := func(i int, content string) client.PublishItem {
		return client.PublishItem{Path: path(t, fmt.Sprintf("acme/shop/prod/file-%02d.json", i)), Content: []byte(content)}
	}
	// Half of them are there already: those must not change either.
	set := client.Publish{}
	for i := range files / 2 {
		set.Items = append(set.Items, item(i, `{"round":1}`))
	}
	if _, err := root.Publish(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	before, err := root.Snapshot(t.Context(), path(t, "acme/shop/prod"), client.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	set.Items = nil
	for i := range files {
		content := `{"round":2}`
		if i == bad {
			content = "{\"round\":\n2"
		}
		set.Items = append(set.Items, item(i, content))
	}
	_, err = root.Publish(t.Context(), set)
	e := problemOf(t, config.Invalid, err)
	if len(e.Problems) == 0 || e.Problems[0].Path != set.Items[bad].Path.String() || e.Problems[0].Line != 2 {
		t.Errorf("want the bad file named, with the line, got %+v", e.Problems)
	}
	after, err := root.Snapshot(t.Context(), path(t, "acme/shop/prod"), client.ReadOptions{Strong: true})
	if err != nil {
		t.Fatal(err)
	}
	if after.ETag != before.ETag || len(after.Configs) != files/2 {
		t.Errorf("want nothing published: %d configs and %s before, %d and %s after", len(before.Configs), before.ETag, len(after.Configs), after.ETag)
	}
	if got := collect(t, root.ChangeSets(t.Context(), "acme")); len(got) != 1 {
		t.Errorf("want the one change set that was fine, got %d", len(got))
	}
	if got := collect(t, root.Configs(t.Context(), path(t, "acme/shop/prod"), client.ConfigFilter{Deleted: true})); len(got) != files/2 {
		t.Errorf("want no config created, got %d", len(got))
	}

	set.Items[bad].Content = []byte(`{"round":2}`)
	if _, err := root.Publish(t.Context(), set); err != nil {
		t.Errorf("want it published once the file is mended, got %v", err)
	}
}
