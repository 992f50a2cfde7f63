package center

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/setpointhq/setpoint/config"
)

func registerOf(most int, kept time.Duration) *instances {
	return newInstances(Limits{InstancesMost: most, InstancesKept: kept})
}

func visitorOf(id string, now time.Time) visitor {
	return visitor{user: "app", client: config.Client{ID: id, Address: "192.0.2.1", Labels: map[string]string{"zone": "a"}}, protocol: "rest", now: now}
}

var (
	begun   = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	appPath = config.Path{Tenant: "acme", App: "shop", Env: "prod", Name: "app.json"}
)

func numbered(i int) config.Path {
	p := appPath
	p.Name = fmt.Sprintf("c%04d.json", i)
	return p
}

// consistent checks that what a register counts is what it holds.
func consistent(t *testing.T, i *instances) {
	t.Helper()
	var total, idle, held int64
	for _, e := range i.everybody() {
		s := e.state.Load()
		total++
		held += s.weight
		if s.idle() {
			idle++
		}
		if e.gone || i.find(e.key) != e {
			t.Errorf("%s is listed and gone", e.key.id)
		}
	}
	want := []int64{total, idle, held}
	if diff := cmp.Diff(want, []int64{i.total.Load(), i.idle.Load(), i.held.Load()}); diff != "" {
		t.Errorf("total, idle, held (-want +got):\n%s", diff)
	}
}

func TestRegisterForgetsWhoLeftLongestAgo(t *testing.T) {
	i := registerOf(32, time.Hour)
	for n := range 32 {
		i.readConfig(visitorOf(fmt.Sprint("pod-", n), begun.Add(time.Duration(n)*time.Second)), appPath, 1)
	}
	// Everybody was there within the last minute: there is no room.
	at := begun.Add(50 * time.Second)
	i.readConfig(visitorOf("late", at), appPath, 1)
	if i.find(namedKey{"app", "late"}) != nil || i.lost.Load() != 1 {
		t.Errorf("want a client that does not fit counted, got %d", i.lost.Load())
	}
	// pod-0 goes on reading, so that pod-1 is the one that left first.
	at = begun.Add(70 * time.Second)
	i.readConfig(visitorOf("pod-0", at), appPath, 1)
	i.readConfig(visitorOf("late", at), appPath, 1)
	for id, want := range map[string]bool{"late": true, "pod-0": true, "pod-1": false, "pod-2": false, "pod-3": true} {
		if got := i.find(namedKey{"app", id}) != nil; got != want {
			t.Errorf("%s: want it known %t, got %t", id, want, got)
		}
	}
	consistent(t, i)
	// A watch is taken in whatever comes.
	for n := range 64 {
		w := &Watch{client: config.Client{ID: fmt.Sprint("watch-", n)}, since: at}
		w.identity.Subject = "app"
		if w.named = i.opened(w); w.named == nil {
			t.Fatal("want a watch taken in")
		}
	}
	if got := i.idle.Load(); got != 31 {
		t.Errorf("want them not counted among those without a watch, got %d", got)
	}
	consistent(t, i)
}

func TestRegisterForgetsAfterAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := registerOf(100, 10*time.Minute)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { i.forget(ctx, time.Now) })
		i.readConfig(visitorOf("pod-1", time.Now()), appPath, 1)
		<-time.After(9 * time.Minute) // of the bubble
		i.readConfig(visitorOf("pod-2", time.Now()), appPath, 1)
		<-time.After(2 * time.Minute)
		synctest.Wait()
		if i.find(namedKey{"app", "pod-1"}) != nil || i.find(namedKey{"app", "pod-2"}) == nil {
			t.Error("want pod-1 forgotten and pod-2 not")
		}
		consistent(t, i)
		cancel()
		running.Wait()
	})
}

func TestRegisterKeepsClientsOfUsersApart(t *testing.T) {
	i := registerOf(10, time.Hour)
	v := visitorOf("pod-1", begun)
	i.readConfig(v, appPath, 1)
	v.user = "another"
	i.readConfig(v, appPath, 2)
	for user, want := range map[string]int64{"app": 1, "another": 2} {
		s := i.find(namedKey{user, "pod-1"}).state.Load()
		if len(s.holds) != 1 || s.holds[0].sent != want {
			t.Errorf("%s: want version %d, got %+v", user, want, s.holds)
		}
	}
	if (namedKey{"a", "b"}).hash() == (namedKey{"b", "a"}).hash() {
		t.Error("want hashes that differ")
	}
}

func TestRegisterTakesNoMoreThanItMay(t *testing.T) {
	i := registerOf(1000, time.Hour)
	long := visitorOf(strings.Repeat("x", maxInstanceID+1), begun)
	i.readConfig(long, appPath, 1)
	i.readEnv(long, appPath.Parent(), 1)
	labels := visitorOf("pod-1", begun)
	labels.client.Labels = map[string]string{}
	for n := range maxInstanceLabels + 1 {
		labels.client.Labels[fmt.Sprint(n)] = "x"
	}
	i.readConfig(labels, appPath, 1)
	if got := len(i.everybody()); got != 0 {
		t.Errorf("want clients that say too much not remembered, got %d", got)
	}

	v := visitorOf("pod-2", begun)
	for n := range maxHolds + 50 {
		i.readConfig(v, numbered(n), 1)
	}
	s := i.find(v.key()).state.Load()
	if len(s.holds) != maxHolds {
		t.Errorf("want %d configs remembered, got %d", maxHolds, len(s.holds))
	}
	// Reports take the place of what was only read, and then of the oldest reports.
	for n := range maxHolds + 50 {
		v.now = begun.Add(time.Duration(n) * time.Second)
		i.report(v, []InstanceReport{{Path: numbered(1000 + n), Version: 1, State: config.AckRefused, Why: strings.Repeat("y", 2000)}})
	}
	s = i.find(v.key()).state.Load()
	if len(s.holds) != maxHolds || s.said(numbered(1000+49)) != nil || s.said(numbered(1000+50)) == nil {
		t.Errorf("want the last %d reports remembered, got %d", maxHolds, len(s.holds))
	}
	if got := s.reasons(); got > maxReasons || got < maxReasons-maxReason {
		t.Errorf("want at most %d bytes of reasons, got %d", maxReasons, got)
	}
	if got := s.weight; got > 32<<10 {
		t.Errorf("want a client within bounds, got %d bytes", got)
	}
	consistent(t, i)
}

func TestRegisterIsBoundInBytes(t *testing.T) {
	i := registerOf(10, time.Hour)
	v := visitorOf("", begun)
	v.client.Labels = map[string]string{}
	for n := range maxInstanceLabels {
		v.client.Labels[fmt.Sprint(n)] = strings.Repeat("x", 250)
	}
	for n := range 10 {
		v.client.ID = fmt.Sprint("pod-", n)
		i.readConfig(v, appPath, 1)
	}
	if got, most := i.held.Load(), int64(10*instanceRoom+20<<10); got > most || i.lost.Load() == 0 {
		t.Errorf("want at most about %d bytes, got %d with %d lost", most, got, i.lost.Load())
	}
	consistent(t, i)
}

func TestRegisterUnderEverythingAtOnce(t *testing.T) {
	i := registerOf(40, 20*time.Millisecond)
	var clock sync.Mutex
	now := begun
	tick := func() time.Time {
		clock.Lock()
		defer clock.Unlock()
		now = now.Add(10 * time.Second)
		return now
	}
	pattern, err := config.ParsePattern("acme/shop/prod")
	if err != nil {
		t.Fatal(err)
	}
	var working sync.WaitGroup
	for worker := range 8 {
		working.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(worker)))
			for range 500 {
				v := visitorOf(fmt.Sprint("pod-", random.IntN(100)), tick())
				switch random.IntN(6) {
				case 0:
					i.readEnv(v, appPath.Parent(), int64(random.IntN(5)))
				case 1:
					i.report(v, []InstanceReport{{Path: numbered(random.IntN(3)), Version: 1, State: config.AckApplied}})
				case 2:
					i.sweep(v.now)
				case 3:
					w := &Watch{client: v.client, since: v.now, patterns: []string{"acme/shop/prod"}, selects: []config.Pattern{pattern}}
					w.identity.Subject = v.user
					w.named = i.opened(w)
					w.named.state.Load().concerns(appPath)
					i.closed(w, int64(random.IntN(5)), tick())
				default:
					i.readConfig(v, numbered(random.IntN(3)), int64(random.IntN(2)))
				}
			}
		})
	}
	working.Wait()
	if got := i.idle.Load(); got > 40 {
		t.Errorf("want at most 40 remembered, got %d", got)
	}
	consistent(t, i)
}

func TestVisitsTakeTheirPlace(t *testing.T) {
	i := registerOf(10, time.Hour)
	v := visitorOf("pod-1", begun)
	i.readConfig(v, appPath, 1)
	i.readEnv(v, appPath.Parent(), 5)
	s := i.find(v.key()).state.Load()
	if len(s.holds) != 0 || len(s.visits) != 1 || s.visits[0].revision.Load() != 5 {
		t.Errorf("want what was read of the whole env in the place of what was read of it before, got %+v", s)
	}
	i.readEnv(v, appPath.Parent(), 7)
	if i.find(v.key()).state.Load() != s || s.visits[0].revision.Load() != 7 {
		t.Error("want one who comes back brought further, and nothing else")
	}
	for n := range maxVisits + 5 {
		env := appPath.Parent()
		env.Env = fmt.Sprint("e", n)
		i.readEnv(v, env, 8)
	}
	if s = i.find(v.key()).state.Load(); len(s.visits) != maxVisits || s.follows(appPath) {
		t.Errorf("want the last %d envs remembered, got %d", maxVisits, len(s.visits))
	}
	consistent(t, i)
}

func TestNothingNewCostsNothing(t *testing.T) {
	i := registerOf(10, time.Hour)
	v := visitorOf("pod-1", begun)
	env := appPath.Parent()
	for name, read := range map[string]func(){
		"a config": func() { i.readConfig(v, appPath, 1) },
		"an env":   func() { i.readEnv(v, env, 3) },
	} {
		read()
		if got := testing.AllocsPerRun(100, read); got != 0 {
			t.Errorf("%s: want no allocation, got %v", name, got)
		}
	}
}

func TestReceiptsOfAllNodesAreMerged(t *testing.T) {
	now := begun.UnixMilli()
	const second, minute = 1_000, 60_000
	for _, tt := range []struct {
		name        string
		found, want []config.Receipt
	}{
		{"each once, as seen last",
			[]config.Receipt{{Instance: 1, Seen: now - 5*second}, {Instance: 2, Seen: now}, {Instance: 1, Seen: now - second}},
			[]config.Receipt{{Instance: 1, Seen: now - second}, {Instance: 2, Seen: now}}},
		{"a report beats silence elsewhere",
			[]config.Receipt{{Instance: 1, Seen: now}, {Instance: 1, Seen: now - 30*second, State: config.AckApplied}},
			[]config.Receipt{{Instance: 1, Seen: now, State: config.AckApplied}}},
		{"whichever comes first, however old",
			[]config.Receipt{{Instance: 1, Seen: now - 5*minute, State: config.AckRefused, ID: "pod-1", Why: "no"}, {Instance: 1, Seen: now}},
			[]config.Receipt{{Instance: 1, Seen: now, State: config.AckRefused, ID: "pod-1", Why: "no"}}},
		{"the last of two reports holds",
			[]config.Receipt{
				{Instance: 1, Seen: now - 2*second, State: config.AckRefused, ID: "pod-1", Why: "no"},
				{Instance: 1, Seen: now - second, State: config.AckApplied},
				{Instance: 1, Seen: now - 3*second, State: config.AckRefused, ID: "pod-1", Why: "never"},
			},
			[]config.Receipt{{Instance: 1, Seen: now - second, State: config.AckApplied}}},
		{"who was seen by nobody for a minute is gone",
			[]config.Receipt{{Instance: 1, Seen: now - minute - 1, State: config.AckApplied}, {Instance: 2, Seen: now - minute}},
			[]config.Receipt{{Instance: 2, Seen: now - minute}}},
		{"nobody", nil, nil},
	} {
		if diff := cmp.Diff(tt.want, mergeReceipts(tt.found, begun), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}
