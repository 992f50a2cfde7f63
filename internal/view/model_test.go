package view

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
	"github.com/setpointhq/setpoint/store/memory"
)

// world is a store, a view of it that is stepped by hand, and a plain model of
// what is served at every revision.
type world struct {
	t     *rapid.T
	store *memory.Store
	view  *View
	paths []string
	now   map[string]*config.Rollout
	// served is what was served at each revision, by path; moves are the
	// revisions that wrote a path's rollout.
	served map[int64]map[string]string
	moves  map[string][]int64
	head   int64
	serial int
	hidden map[string]bool // tenants that are being imported
	subs   []*modelSub
}

// modelSub is a subscriber with what its client holds.
type modelSub struct {
	sub      *Subscription
	patterns []config.Pattern
	have     map[string]string
	woken    bool
	fresh    bool // Next was never called
}

func newWorld(t *rapid.T) *world {
	w := &world{
		t: t, store: memory.New(), now: map[string]*config.Rollout{}, hidden: map[string]bool{},
		served: map[int64]map[string]string{}, moves: map[string][]int64{},
		paths: []string{"acme/shop/prod/a", "acme/shop/prod/b", "acme/shop/test/a", "acme/pay/prod/a", "acme-x/shop/prod/a", "acme/shop/prod/b.yaml"},
	}
	w.head = 1
	w.served[1] = map[string]string{}
	w.restart()
	return w
}

// restart replaces the view by one that knows nothing; subscribers resume.
func (w *world) restart() {
	w.view = New(Options{Store: w.store, Log: slog.New(slog.DiscardHandler)})
	w.view.applier.bound = 2
	w.load()
	for _, s := range w.subs {
		s.sub = w.view.Subscribe(Filter{Patterns: s.patterns, After: s.sub.Revision()}, s.wake)
		s.fresh = true
	}
}

func (w *world) load() {
	if err := w.view.load(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	w.view.applier.bound = 2
}

func (s *modelSub) wake() { s.woken = true }

// commit writes to the store and the model, not to the view.
func (w *world) commit(writes []store.Write) {
	rev, err := w.store.Commit(context.Background(), store.Txn{Writes: writes})
	if err != nil {
		w.t.Fatal(err)
	}
	for r := w.head + 1; r <= rev; r++ {
		w.served[r] = maps.Clone(w.served[w.head])
	}
	w.head = rev
	for _, p := range w.paths {
		tenant := mustPath(p).Tenant
		if slices.ContainsFunc(writes, func(wr store.Write) bool {
			return wr.Key == rolloutKey(p) || wr.Key == record.Tenants.Key(tenant)
		}) {
			w.moves[p] = append(w.moves[p], rev)
		}
		name := ""
		if rollout := w.now[p]; rollout != nil && !w.hidden[tenant] {
			if r := rollout.Resolve(config.Client{}); r != nil {
				name = r.ChangeSet
			}
		}
		if name == "" {
			delete(w.served[rev], p)
		} else {
			w.served[rev][p] = name
		}
	}
}

// change draws one change of a config and returns its writes.
func (w *world) change(path string) []store.Write {
	next := config.Rollout{Path: mustPath(path)}
	if before := w.now[path]; before != nil {
		next = *before
	}
	w.serial++
	name := fmt.Sprintf("%s#%d", path, w.serial)
	kind := rapid.SampledFrom([]string{"publish", "publish", "publish", "delete", "undelete", "purge", "vanish", "meta", "draft", "undraft", "bookkeeping", "idle candidate", "candidate", "promote"}).Draw(w.t, "change of "+path)
	switch kind {
	case "publish":
		next.Latest++
		next.Stable, next.Deleted = releaseOf(path, next.Latest, name), false
	case "delete":
		next.Deleted, next.DeletedBy = true, "ann"
	case "undelete":
		next.Deleted, next.DeletedBy = false, ""
	case "purge": // the version counter stays
		next.Stable, next.Candidates, next.Deleted = nil, nil, true
		w.now[path] = &next
		return []store.Write{del(metaKey(path)), del(draftKey(path)), put(rolloutKey(path), record.Encode(next))}
	case "vanish": // nothing stays
		delete(w.now, path)
		return []store.Write{del(metaKey(path)), del(draftKey(path)), del(rolloutKey(path))}
	case "meta":
		return []store.Write{metaOf(path)}
	case "draft":
		return []store.Write{put(draftKey(path), []byte("draft"))}
	case "undraft":
		return []store.Write{del(draftKey(path))}
	case "bookkeeping":
		next.Oldest++
	case "idle candidate", "candidate":
		next.Latest++
		strategy := config.Strategy{Kind: config.StrategyAll}
		if kind == "idle candidate" {
			strategy.Kind = "nobody"
		}
		next.Candidates = append([]config.Candidate{{Release: *releaseOf(path, next.Latest, name), Strategy: strategy}}, next.Candidates...)
		next.Candidates = next.Candidates[:min(2, len(next.Candidates))]
	case "promote":
		if len(next.Candidates) > 0 {
			next.Stable = &next.Candidates[0].Release
			next.Candidates = nil
		}
	}
	w.now[path] = &next
	return []store.Write{metaOf(path), put(rolloutKey(path), record.Encode(next))}
}

// turn begins, ends or withdraws the import of a tenant and returns its write.
func (w *world) turn() store.Write {
	name := rapid.SampledFrom([]string{"acme", "acme-x"}).Draw(w.t, "tenant")
	noun := record.Tenant{Tenant: config.Tenant{Name: name}}
	key := record.Tenants.Key(name)
	switch rapid.SampledFrom([]string{"import", "open", "withdraw"}).Draw(w.t, "turn of "+name) {
	case "import":
		w.hidden[name], noun.Import = true, &record.Import{ID: "i"}
	case "withdraw":
		delete(w.hidden, name)
		return del(key)
	default:
		delete(w.hidden, name)
	}
	return put(key, record.Encode(noun))
}

// advance brings the view up to at most a revision, applying some batches as
// one group.
func (w *world) advance(to int64) {
	if w.view.applier.work.Revision >= to {
		return
	}
	for b, err := range w.store.Watch(context.Background(), "", w.view.applier.work.Revision) {
		if errors.Is(err, store.ErrCompacted) {
			w.load()
			return
		}
		if err != nil {
			w.t.Fatal(err)
		}
		w.view.apply(b)
		if rapid.Bool().Draw(w.t, "publish snapshot") || b.Revision >= to {
			w.view.publish(false)
		}
		if b.Revision >= to {
			return
		}
	}
}

func (w *world) subscribe() {
	texts := rapid.SliceOfN(rapid.SampledFrom([]string{
		"acme/shop/prod/a", "acme/shop/prod", "acme/shop/prod/b*", "acme/*/prod/a", "acme", "acme-x/shop/prod", "acme/shop/*/a", "acme/pay/prod/none",
	}), 1, 3).Draw(w.t, "patterns")
	after := rapid.Int64Range(0, w.head).Draw(w.t, "after")
	s := &modelSub{patterns: mustPatterns(texts...), have: map[string]string{}, fresh: true}
	if after > 0 {
		s.have = w.want(s, after)
	}
	s.sub = w.view.Subscribe(Filter{Patterns: s.patterns, After: after}, s.wake)
	w.subs = append(w.subs, s)
}

// want is what a subscriber must hold at a revision.
func (w *world) want(s *modelSub, revision int64) map[string]string {
	want := map[string]string{}
	for path, name := range w.served[revision] {
		if slices.ContainsFunc(s.patterns, func(p config.Pattern) bool { return p.Match(mustPath(path)) }) {
			want[path] = name
		}
	}
	return want
}

// next lets a subscriber look, and checks everything that it may count on.
func (w *world) next(s *modelSub) {
	before, snap := s.sub.Revision(), w.view.Snapshot()
	// Who was told everything and not woken since has nothing to find.
	quiet := !s.fresh && !s.woken
	s.woken = false
	d, ok := s.sub.Next()
	if before > snap.Revision {
		if ok {
			w.t.Fatalf("the view is at %d, but %d was resumed with %+v", snap.Revision, before, d)
		}
		return
	}
	if ok == (len(d.Changes) == 0 && !d.Current) {
		w.t.Fatalf("ok is %v with %+v", ok, d)
	}
	if s.fresh != d.Current && !d.Reset {
		w.t.Fatalf("want current %v, got %+v", s.fresh, d)
	}
	if quiet && ok && !d.Reset { // a forgotten grave concerns those who were not woken, too
		w.t.Fatalf("a change was found that nobody was woken for: %v", names(d))
	}
	if s.sub.Revision() != snap.Revision || ok && d.Revision != snap.Revision {
		w.t.Fatalf("want position %d, got %d", snap.Revision, s.sub.Revision())
	}
	w.receive(s, d, before)
	s.fresh = false
	if diff := cmp.Diff(w.want(s, snap.Revision), s.have); diff != "" {
		w.t.Fatalf("state at %d after resuming from %d (-want +got):\n%s", snap.Revision, before, diff)
	}
}

func (w *world) receive(s *modelSub, d Delivery, before int64) {
	if !slices.IsSortedFunc(d.Changes, func(a, b Change) int { return strings.Compare(a.Path.String(), b.Path.String()) }) {
		w.t.Fatalf("changes are out of order: %v", names(d))
	}
	if d.Reset {
		s.have = map[string]string{}
	}
	seen := map[string]bool{}
	for _, c := range d.Changes {
		path, name := c.Path.String(), ""
		if seen[path] {
			w.t.Fatalf("%s is delivered twice: %v", path, names(d))
		}
		seen[path] = true
		if c.Release != nil {
			name = c.Release.ChangeSet
		}
		moved := 0
		for _, r := range w.moves[path] {
			if r > before {
				moved++
			}
		}
		if !d.Reset && s.have[path] == name && moved < maxPast {
			w.t.Fatalf("%s=%s is delivered again, after %d changes", path, name, moved)
		}
		if s.have[path] = name; name == "" {
			delete(s.have, path)
		}
	}
}

func (w *world) step() {
	switch rapid.SampledFrom([]string{"commit", "commit", "commit", "commit", "advance", "advance", "next", "next", "next", "subscribe", "close", "rebuild", "compact", "restart", "storm", "turn"}).Draw(w.t, "step") {
	case "commit":
		var writes []store.Write
		for _, p := range rapid.SliceOfNDistinct(rapid.SampledFrom(w.paths), 1, 3, rapid.ID).Draw(w.t, "paths") {
			writes = append(writes, w.change(p)...)
		}
		w.commit(writes)
	case "turn": // alone, or in one revision with changes
		writes := []store.Write{w.turn()}
		for _, p := range rapid.SliceOfNDistinct(rapid.SampledFrom(w.paths), 0, 2, rapid.ID).Draw(w.t, "paths") {
			writes = append(writes, w.change(p)...)
		}
		w.commit(rapid.Permutation(writes).Draw(w.t, "order"))
	case "storm": // more changes of one config than are remembered
		p := rapid.SampledFrom(w.paths).Draw(w.t, "path")
		for range maxPast + 2 {
			w.commit(w.change(p))
		}
	case "advance":
		w.advance(rapid.Int64Range(w.view.applier.work.Revision, w.head).Draw(w.t, "to"))
	case "next":
		if len(w.subs) > 0 {
			w.next(rapid.SampledFrom(w.subs).Draw(w.t, "subscriber"))
		}
	case "subscribe":
		w.subscribe()
	case "close":
		if len(w.subs) > 0 {
			i := rapid.IntRange(0, len(w.subs)-1).Draw(w.t, "subscriber")
			w.subs[i].sub.Close()
			w.subs = slices.Delete(w.subs, i, i+1)
		}
	case "rebuild":
		w.load()
	case "compact":
		if err := w.store.Compact(context.Background(), w.head); err != nil {
			w.t.Fatal(err)
		}
	case "restart":
		w.restart()
	}
}

func TestSubscribersEndWithTheExactStateWhateverHappens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			w.step()
		}
		w.advance(w.head)
		for _, s := range w.subs {
			w.next(s)
			w.next(s) // at rest nothing comes
			s.sub.Close()
		}
		if n := w.view.Stats().Subscribers; n != 0 {
			t.Fatalf("%d subscriptions are left", n)
		}
		if len(w.view.hub.buckets) != 0 {
			t.Fatalf("buckets are left: %v", w.view.hub.buckets)
		}
		if err := w.store.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
