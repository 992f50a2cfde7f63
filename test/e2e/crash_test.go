package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

const (
	stormWriters = 64
	stormRounds  = 5
	stormAcks    = 300 // change sets acknowledged in a round before the server is killed
)

// attempt is one change set that a writer sent. Its comment is its own.
type attempt struct {
	comment string
	items   []client.PublishItem
	acked   *config.ChangeSet // nil if no answer came
}

// TestKillInAWriteStorm kills the server while 64 writers publish, again and
// again, and then looks at everything that there is: each change set that was
// acknowledged is there with its audit record, and none is there in part.
func TestKillInAWriteStorm(t *testing.T) {
	s := start(t, "LIMITS_KEEP_RELEASES=1000000")
	build(t, s.root(), "acme/storm/prod")
	var all []attempt
	for round := range stormRounds {
		made := s.storm(round)
		acked := 0
		for _, a := range made {
			if a.acked != nil {
				acked++
			}
		}
		t.Logf("round %d: %d change sets sent, %d acknowledged", round, len(made), acked)
		all = append(all, made...)
		s.restart()
		// What was acknowledged last is what a crash would lose.
		verifyAttempts(t, s.root(), made, ledgerOf(t, s.root()))
	}
	ledger := ledgerOf(t, s.root())
	verifyAttempts(t, s.root(), all, ledger)
	verifyConfigs(t, s.root(), ledger)
}

// storm lets the writers loose and kills the server in the middle of it.
func (s *server) storm(round int) []attempt {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	made := make([][]attempt, stormWriters)
	var acks atomic.Int64
	var writing sync.WaitGroup
	c := s.root()
	for w := range stormWriters {
		writing.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				a := stormAttempt(s.t, round, w, n)
				set, err := c.Publish(ctx, client.Publish{Items: a.items, Comment: a.comment})
				if err == nil {
					a.acked = &set
					acks.Add(1)
				} else if kind := config.KindOf(err); kind != config.Unavailable && kind != config.Canceled {
					s.t.Errorf("a writer was refused: %v", err)
				}
				made[w] = append(made[w], a)
				if err != nil {
					return
				}
			}
		})
	}
	s.until("publishes", func() bool { return acks.Load() >= stormAcks })
	s.kill9()
	cancel()
	writing.Wait()
	var all []attempt
	for _, m := range made {
		all = append(all, m...)
	}
	return all
}

// stormAttempt is a change set of one config of the writer's own, of one that
// all write, or of several; its contents are its own.
func stormAttempt(t testing.TB, round, writer, n int) attempt {
	a := attempt{comment: fmt.Sprintf("round %d writer %d number %d", round, writer, n)}
	add := func(name string) {
		content := fmt.Sprintf("by: %s\nof: %s\npad: %s\n", a.comment, name, strings.Repeat("x", 100*(n%20)))
		a.items = append(a.items, client.PublishItem{Path: path(t, "acme/storm/prod/"+name), Content: []byte(content)})
	}
	own := fmt.Sprintf("own-%02d.yaml", writer)
	switch n % 4 {
	case 0, 1:
		add(own)
	case 2:
		add(fmt.Sprintf("shared-%d.yaml", writer%16))
	default:
		add(own)
		add(fmt.Sprintf("second-%02d.yaml", writer))
		add(fmt.Sprintf("third-%02d.yaml", writer))
	}
	return a
}

// ledger is what the server says of the past.
type ledger struct {
	audit    map[string]client.AuditRecord // of publishes, by id, which is their change set's
	sets     map[string]config.ChangeSet   // by comment
	releases map[config.Path][]config.Release
	states   map[config.Path]config.State
}

func ledgerOf(t testing.TB, c *client.Client) ledger {
	t.Helper()
	l := ledger{
		audit: map[string]client.AuditRecord{}, sets: map[string]config.ChangeSet{},
		releases: map[config.Path][]config.Release{}, states: map[config.Path]config.State{},
	}
	for _, r := range collect(t, c.Audit(t.Context(), "acme", client.AuditFilter{Action: "config.publish"})) {
		l.audit[r.ID] = r
	}
	for _, set := range collect(t, c.ChangeSets(t.Context(), "acme")) {
		l.sets[set.Comment] = set
	}
	for _, state := range collect(t, c.Configs(t.Context(), path(t, "acme/storm/prod"), client.ConfigFilter{Deleted: true})) {
		l.states[state.Path] = state
		l.releases[state.Path] = collect(t, c.Releases(t.Context(), state.Path))
	}
	return l
}

// at finds a release.
func (l ledger) at(p config.Path, version int64) (config.Release, bool) {
	all := l.releases[p]
	i := int64(len(all)) - version
	if i < 0 || i >= int64(len(all)) || all[i].Version != version {
		return config.Release{}, false
	}
	return all[i], true
}

// verifyAttempts wants what was acknowledged to be there, and what was not to
// be there as a whole or not at all.
func verifyAttempts(t testing.TB, c *client.Client, made []attempt, l ledger) {
	t.Helper()
	lost, late := 0, 0
	for _, a := range made {
		set, there := l.sets[a.comment]
		switch {
		case a.acked == nil && !there:
			lost++
			for p, all := range l.releases {
				for _, r := range all {
					if r.Comment == a.comment {
						t.Errorf("%s: version %d is there of a change set that is not", p, r.Version)
					}
				}
			}
			continue
		case a.acked == nil:
			late++
		case !there || set.ID != a.acked.ID:
			t.Errorf("%q was acknowledged as change set %s and is lost; found %q", a.comment, a.acked.ID, set.ID)
			continue
		}
		verifySet(t, c, a, set, l)
	}
	t.Logf("of those without an answer %d were done and %d were not", late, lost)
}

// verifySet wants a change set to be whole.
func verifySet(t testing.TB, c *client.Client, a attempt, set config.ChangeSet, l ledger) {
	t.Helper()
	record, there := l.audit[set.ID]
	if !there || len(record.Items) != len(a.items) || record.Comment != a.comment || record.Outcome != "done" || record.Actor.Subject != "admin" {
		t.Errorf("change set %s has no audit record that is right: %+v", set.ID, record)
	}
	if len(set.Items) != len(a.items) {
		t.Errorf("change set %s has %d items, not %d", set.ID, len(set.Items), len(a.items))
		return
	}
	for i, item := range set.Items {
		r, there := l.at(item.Path, item.Version)
		sum := sha256.Sum256(a.items[i].Content)
		digest := hex.EncodeToString(sum[:])
		if !there || item.Path != a.items[i].Path || r.ChangeSet != set.ID || r.Digest != digest || r.Size != int64(len(a.items[i].Content)) {
			t.Errorf("%s version %d is not what was published: %+v", item.Path, item.Version, r)
		}
		if a.acked != nil && a.acked.Items[i] != item {
			t.Errorf("acknowledged was %+v, found is %+v", a.acked.Items[i], item)
		}
	}
}

// verifyConfigs wants every config's versions to leave none out, every content
// to be there, and what is served to be the last release.
func verifyConfigs(t testing.TB, c *client.Client, l ledger) {
	t.Helper()
	work := make(chan config.State)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for state := range work {
				verifyConfig(t, c, state, l)
			}
		})
	}
	for _, state := range l.states {
		work <- state
	}
	close(work)
	all.Wait()
	for id, record := range l.audit {
		for _, item := range record.Items {
			if r, there := l.at(item.Path, item.Version); !there || r.ChangeSet != id {
				t.Errorf("audit record %s tells of %s version %d, which is not there", id, item.Path, item.Version)
			}
		}
	}
}

func verifyConfig(t testing.TB, c *client.Client, state config.State, l ledger) {
	releases := l.releases[state.Path]
	for i, r := range releases {
		if want := int64(len(releases) - i); r.Version != want {
			t.Errorf("%s: want version %d at its place, got %d", state.Path, want, r.Version)
			return
		}
		full, err := c.Release(t.Context(), state.Path, r.Version)
		sum := sha256.Sum256(full.Content)
		if err != nil || hex.EncodeToString(sum[:]) != r.Digest {
			t.Errorf("%s version %d: content of %d bytes is not of its digest: %v", state.Path, r.Version, len(full.Content), err)
		}
		if _, there := l.audit[r.ChangeSet]; !there {
			t.Errorf("%s version %d has no audit record", state.Path, r.Version)
		}
	}
	served, err := c.Get(t.Context(), state.Path, client.ReadOptions{Strong: true})
	if len(releases) == 0 || err != nil || state.Rollout.Stable == nil || *state.Rollout.Stable != releases[0] ||
		served.Version != releases[0].Version || state.Rollout.Latest != served.Version {
		t.Errorf("%s serves version %d, has %d releases and the rollout %+v: %v", state.Path, served.Version, len(releases), state.Rollout, err)
	}
}
