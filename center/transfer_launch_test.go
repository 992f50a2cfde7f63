package center_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/backup"
	"github.com/setpointhq/setpoint/internal/record"
)

const flow = "acme/shop/dev/flow.json"

// storedLaunch reads a launch as it lies in the store.
func (n *node) storedLaunch(tenant, id string) config.Launch {
	n.t.Helper()
	entries := n.entries(record.LaunchKey(tenant, id))
	if len(entries) != 1 {
		n.t.Fatalf("want launch %s of %s, got %d", id, tenant, len(entries))
	}
	l, err := record.Decode[config.Launch](entries[0].Value)
	n.must(err)
	return l
}

// whoGets tells which version each of a hundred instances is served, alone and in
// each slot.
func (n *node) whoGets(p string) map[string]int64 {
	n.t.Helper()
	got := map[string]int64{}
	for _, id := range clients() {
		for _, slot := range []string{"", config.SlotBlue, config.SlotGreen} {
			got[id+" "+slot] = n.versionFor(p, config.Client{ID: id, Slot: slot})
		}
	}
	return got
}

// underWay starts launches of every sort on a node and returns them by what they
// are.
func underWay(n *node) map[string]config.Launch {
	n.t.Helper()
	n.house()
	for _, p := range []string{app, flow, limits, "acme/shop/dev/slots.json", "acme/shop/dev/later.json"} {
		n.publish(p, `{"stable": true}`)
	}
	started := map[string]config.Launch{
		"canary":      n.launched(canary(3000), app+`={"canary": 1}`),
		"progressive": n.launched(progressive(2000, 6000, 10_000), limits+`={"new": 1}`, flow+`={"new": 1}`),
		"blue-green":  n.launched(by(config.Strategy{Kind: config.StrategyBlueGreen}), `acme/shop/dev/slots.json={"green": 1}`),
	}
	_, err := n.AdvanceLaunch(n.admin(), act(started["progressive"]))
	n.must(err)
	_, err = n.SwitchLaunch(n.admin(), center.SwitchLaunch{LaunchAct: act(started["blue-green"])})
	n.must(err)
	later := canary(5000)
	later.BeginsAt = n.at(24)
	started["later"] = n.launched(later, `acme/shop/dev/later.json={"later": 1}`)
	return started
}

func TestWhatRunsArrivesPausedAndServesWhomItServed(t *testing.T) {
	here, there := start(t), start(t)
	started := underWay(here)
	file := here.export("acme")
	importer := there.user("mover", auth.Grant{Role: auth.RoleAdmin})
	for _, tenant := range []string{"acme", "moved"} {
		began := time.Now()
		done, err := there.ImportTenant(importer, center.ImportTenant{From: bytes.NewReader(file), As: tenant})
		there.must(err)
		if done.Contents.Launches != 4 {
			t.Errorf("want 4 launches told, got %+v", done.Contents)
		}
		for name, l := range started {
			before, after := here.storedLaunch("acme", l.ID), there.storedLaunch(tenant, l.ID)
			for i, item := range before.Items {
				p := item.Path
				p.Tenant = tenant
				if after.Items[i].Path != p {
					t.Errorf("%s as %s: want it to bring out %s, got %s", name, tenant, p, after.Items[i].Path)
				}
				if diff := cmp.Diff(here.whoGets(item.Path.String()), there.whoGets(p.String())); diff != "" {
					t.Errorf("%s as %s: others are served (-want +got):\n%s", name, tenant, diff)
				}
			}
			want := before
			want.Tenant, want.Items = tenant, after.Items
			if name != "later" {
				held := done.Exported.Sub(before.StepAt).Seconds()
				last := after.Events[len(after.Events)-1]
				if last.At.Before(began.Add(-time.Minute)) || after.Held != config.Seconds(held) || held < 0 {
					t.Errorf("%s: want its step to have lasted %v s until now, got %v at %s", name, held, after.Held, last.At)
				}
				told := before.Events[len(before.Events)-1] // its share, and its slot
				told.At, told.By, told.What, told.Why = last.At, "mover", "paused", "imported"
				want.State, want.Held, want.Events = config.LaunchPaused, after.Held, append(before.Events, told)
			}
			if diff := cmp.Diff(want, after); diff != "" {
				t.Errorf("%s as %s (-want +got):\n%s", name, tenant, diff)
			}
		}
	}
	// It is a launch as any other.
	moved := center.LaunchAct{LaunchRef: center.LaunchRef{Tenant: "moved", ID: started["progressive"].ID}}
	_, err := there.ResumeLaunch(importer, moved)
	there.must(err)
	before := there.whoGets("moved/shop/dev/flow.json")
	after, err := there.AdvanceLaunch(importer, moved)
	there.must(err)
	if after.Strategy.Step != 2 {
		t.Errorf("want it at its last step, got %d", after.Strategy.Step)
	}
	now := there.whoGets("moved/shop/dev/flow.json")
	for who, version := range before {
		if version == 2 && now[who] != 2 {
			t.Errorf("%s was taken back to release %d by a larger share", who, now[who])
		}
	}
	done, err := there.PromoteLaunch(importer, moved)
	there.must(err)
	if done.State != config.LaunchPromoted {
		t.Errorf("want it promoted, got %s", done.State)
	}
}

// TestATenantThatGetsAnotherNameKeepsWhoIsClaimed has launches that name no salt,
// whose shares go by the path.
func TestATenantThatGetsAnotherNameKeepsWhoIsClaimed(t *testing.T) {
	here, there := start(t), start(t)
	here.house()
	here.publish(app, `{"stable": true}`)
	l := here.launched(canary(3000), app+`={"canary": 1}`)
	if l.Strategy.Salt != app {
		t.Fatalf("want the salt that is left out below to mean the same, got %q", l.Strategy.Salt)
	}
	unsalted := remade(t, here.export("acme"), func(all []backup.Record) []backup.Record {
		for i, rec := range all {
			if rec.Kind == 'n' || rec.Kind == 'o' {
				all[i].Meta = bytes.ReplaceAll(rec.Meta, []byte(`,"salt":"`+app+`"`), nil)
			}
		}
		return all
	})
	for name, salt := range map[string]string{"acme": "", "moved": app} {
		_, err := there.importAs(unsalted, name)
		there.must(err)
		if got := there.storedLaunch(name, l.ID).Strategy.Salt; got != salt {
			t.Errorf("as %s: want the salt %q, got %q", name, salt, got)
		}
		if diff := cmp.Diff(here.whoGets(app), there.whoGets(name+"/shop/dev/app.json")); diff != "" {
			t.Errorf("as %s: others are claimed (-want +got):\n%s", name, diff)
		}
	}
	// What was written holds together: it can go on to elsewhere.
	if _, err := start(t).importAs(there.export("moved"), "further"); err != nil {
		t.Error(err)
	}
}

// overdue changes when the first scheduled launch was to begin.
func overdue(t testing.TB, file []byte) []byte {
	return remade(t, file, func(all []backup.Record) []backup.Record {
		for i, rec := range all {
			if rec.Kind != 'n' || !bytes.Contains(rec.Meta, []byte(`"state":"scheduled"`)) {
				continue
			}
			var fields map[string]any
			if err := json.Unmarshal(rec.Meta, &fields); err != nil {
				t.Fatal(err)
			}
			fields["begins_at"] = "2026-01-02T03:04:05Z"
			all[i].Meta, _ = json.Marshal(fields)
			return all
		}
		t.Fatal("there is no such launch")
		return nil
	})
}

func TestALaunchWhoseTimePassedIsCalledOff(t *testing.T) {
	here, there := start(t), start(t)
	l := underWay(here)["later"]
	_, err := there.importAs(overdue(t, here.export("acme")), "moved")
	there.must(err)
	got := there.storedLaunch("moved", l.ID)
	last := got.Events[len(got.Events)-1]
	if got.State != config.LaunchAborted || got.EndedBy != center.AdminUser || got.EndedAt.IsZero() ||
		last.What != "aborted" || last.Why != "its time passed before it was imported" || !last.At.Equal(got.EndedAt) {
		t.Errorf("want it called off, got %+v", got)
	}
	state, err := there.Config(there.admin(), path(t, "moved/shop/dev/later.json"))
	there.must(err)
	if len(state.Rollout.Candidates) != 0 || state.Rollout.Latest != 2 {
		t.Errorf("want no candidate, and the versions as they were, got %+v", state.Rollout)
	}
	if _, content, err := there.Release(there.admin(), path(t, "moved/shop/dev/later.json"), 2); err != nil || string(content) != `{"later": 1}` {
		t.Errorf("want its release in the history, got %q, %v", content, err)
	}
	_, err = there.AdvanceLaunch(there.admin(), center.LaunchAct{LaunchRef: center.LaunchRef{Tenant: "moved", ID: l.ID}})
	wantKind(t, config.Conflict, err)
	if _, err := start(t).importAs(there.export("moved"), ""); err != nil {
		t.Error(err)
	}
}

// TestAReleaseThatOnlyAnAbortedLaunchKeptIsLeftOut has a launch wait while so many
// releases are made that its own would be dropped.
func TestAReleaseThatOnlyAnAbortedLaunchKeptIsLeftOut(t *testing.T) {
	here := start(t, func(l *center.Limits) { l.KeepReleases = 3 })
	here.house()
	here.publish(app, `{"stable": true}`)
	later := canary(5000)
	later.BeginsAt = here.at(24)
	here.launched(later, app+`={"later": 1}`)
	for range 5 {
		p := one(app, `{"more": true}`)
		p.OnRunning = center.AfterRunning
		_, err := here.Publish(here.admin(), p)
		here.must(err)
	}
	file := here.export("acme")
	for name, tt := range map[string]struct {
		file []byte
		want []int64
	}{
		"ahead": {file, []int64{2, 5, 6, 7}},
		"past":  {overdue(t, file), []int64{5, 6, 7}},
	} {
		there := start(t)
		_, err := there.importAs(tt.file, "")
		there.must(err)
		var got []int64
		for _, e := range there.entries(record.Releases.Under(path(t, app))) {
			_, version, err := record.SplitVersion(e.Key)
			there.must(err)
			got = append(got, version)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: releases that are kept (-want +got):\n%s", name, diff)
		}
	}
}

func TestLaunchesThatDoNotAddUpAreRefused(t *testing.T) {
	from := start(t)
	started := underWay(from)
	_, err := from.AbortLaunch(from.admin(), act(from.launched(by(config.Strategy{
		Kind: config.StrategyTargets, Targets: config.NewInstanceSet("pod-1"),
	}), `acme/shop/test/ended.json={}`)))
	from.must(err)
	file := from.export("acme")
	canaryID, later := started["canary"].ID, started["later"].ID
	first := `"id":"` + canaryID + `"`
	ended := `"state":"aborted"`
	n := start(t)
	before := n.revision()
	for name, tt := range map[string]struct {
		change func([]backup.Record) []backup.Record
		want   string
	}{
		"a field of the future":          {edit('n', `"state"`, `"mood":1,"state"`), `"mood", which this version of Setpoint does not know`},
		"a launch that is not there":     {counted(without('n', first)), `candidate of launch "` + canaryID},
		"a launch too few":               {without('n', ended), "not as many records"},
		"a launch twice":                 {doubled('n', ended), "out of order"},
		"another tenant's":               {edit('n', `"tenant":"acme"`, `"tenant":"globex"`), "about globex"},
		"an id with a slash":             {edit('n', first, `"id":"a/b"`), `"a/b" is no id`},
		"an id of the future":            {edit('n', first, `"id":"f`+canaryID[1:]+`"`), "is no id"},
		"no id":                          {edit('n', first, `"id":""`), "is no id"},
		"a revision":                     {edit('n', `"state"`, `"revision":"x","state"`), "installation that it came from"},
		"warnings":                       {edit('n', `"state"`, `"warnings":[{"severity":"warning","message":"x"}],"state"`), "warnings"},
		"an unknown state":               {edit('n', ended, `"state":"lost"`), `no state "lost"`},
		"an end that is none":            {edit('n', `"state":"running"`, `"state":"promoted"`), "when it ended says otherwise"},
		"a state under way after all":    {edit('n', ended, `"state":"running"`), "when it ended says otherwise"},
		"scheduled for never":            {withLaunch(later, func(l *config.Launch) { l.BeginsAt = time.Time{} }), "for when"},
		"scheduled and begun":            {withLaunch(later, func(l *config.Launch) { l.BegunAt = pastEvent.At }), "has begun"},
		"running and never begun":        {withLaunch(canaryID, func(l *config.Launch) { l.BegunAt = time.Time{} }), "when it began"},
		"started never":                  {withLaunch(canaryID, func(l *config.Launch) { l.StartedAt = time.Time{} }), "when it was started"},
		"a step of ages":                 {edit('n', `"state":"running"`, `"held_seconds":1e300,"state":"running"`), "held_seconds"},
		"no items":                       {withLaunch(canaryID, func(l *config.Launch) { l.Items = nil }), "brings out no release"},
		"an item of another tenant":      {edit('n', `{"path":"`+app, `{"path":"globex/shop/dev/app.json`), "it brings out globex/shop/dev/app.json"},
		"an item that is no config":      {edit('n', `{"path":"`+app, `{"path":"acme/shop`), `brings out "acme/shop": want the path of a config`},
		"an item twice":                  {edit('n', `{"path":"`+flow, `{"path":"`+limits), "limits.json twice"},
		"an item that never was":         {edit('n', `{"path":"`+app, `{"path":"acme/shop/dev/never.json`), "there never was"},
		"a version that never was":       {edit('n', app+`","version":2`, app+`","version":3`), "there never was"},
		"another version":                {edit('n', app+`","version":2`, app+`","version":1`), "candidate is release 2"},
		"another config's":               {edit('n', `{"path":"`+app, `{"path":"`+flow), "has no candidate of it"},
		"a config less":                  {edit('n', `,{"path":"`+flow+`","version":2}`, ``), "flow.json"},
		"another strategy":               {edit('n', `"share":3000`, `"share":3001`), "another strategy"},
		"a strategy that cannot be":      {edit('n', `"share":3000`, `"share":30000`), "strategy.rule.share"},
		"a candidate that cannot be":     {edit('o', `"share":3000`, `"share":30000`), "candidates[0].strategy.rule.share"},
		"a gate that cannot be":          {withLaunch(started["progressive"].ID, func(l *config.Launch) { l.Gate.Applied = 10_001 }), "applied_share"},
		"a candidate that does not wait": {edit('o', `,"waiting":true`, ``), "launch " + later + ": it is scheduled"},
		"a candidate that waits":         {edit('o', `"launch":"`+canaryID+`"`, `"launch":"`+canaryID+`","waiting":true`), "launch " + canaryID + ": it is running"},
		"a candidate of no launch":       {edit('o', `"launch":"`+canaryID+`"`, `"launch":""`), "no candidate of it"},
		"a candidate of an ended one":    {endedInPlace(canaryID), `candidate of launch "` + canaryID},
		"a candidate of a deleted one":   {edit('o', `"launch":"`+canaryID+`"}]`, `"launch":"`+canaryID+`"}],"deleted":true`), "deleted"},
		"a release twice":                {edit('o', `"candidates":[{"release":{"path":"`+app+`","version":2`, `"candidates":[{"release":{"path":"`+app+`","version":1`), "release 1 twice"},
		"no release of a candidate":      {counted(without('r', `"path":"`+app+`","version":2`)), "app.json"},
		"a history that is too long":     {withEvents(canaryID, slices.Repeat([]config.LaunchEvent{pastEvent}, config.MaxLaunchEvents+1)), "101 events"},
		"no events":                      {withEvents(canaryID, nil), "0 events"},
		"an event that is none":          {withEvents(canaryID, []config.LaunchEvent{{}}), "event 0"},
		"an event's slot":                {withEvents(canaryID, []config.LaunchEvent{pastEvent, {At: pastEvent.At, What: "switched", Slot: "a b"}}), "event 1 of its history: there can be no slot"},
		"an event's share":               {withEvents(canaryID, []config.LaunchEvent{{At: pastEvent.At, What: "adjusted", Share: -1}}), "share -1"},
		"an event's reason":              {withEvents(canaryID, []config.LaunchEvent{{At: pastEvent.At, What: "adjusted", Why: strings.Repeat("x", 9000)}}), "at most"},
		"two candidates of a launch":     {edit('o', `"candidates":[{"release":{"path":"`+app+`","version":2`, `"latest":3,"candidates":[{"release":{"path":"`+app+`","version":3},"strategy":{"kind":"targets","targets":["x"]},"launch":"`+canaryID+`"},{"release":{"path":"`+app+`","version":2`), "two candidates of it"},
		"a slot":                         {edit('o', `"latest"`, `"slot":"A/B","latest"`), `no slot "A/B"`},
		"a release before the first":     {edit('o', `"latest"`, `"previous":-1,"latest"`), "-1 was stable before"},
		"a release before all":           {edit('o', `"latest"`, `"previous":9,"latest"`), "9 was stable before"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := n.importAs(remade(t, file, tt.change), "")
			if err == nil || !strings.Contains(err.Error(), tt.want) || !slices.Contains([]config.ErrorKind{config.Invalid, config.TooLarge}, config.KindOf(err)) {
				t.Errorf("want it refused with %q, got %v", tt.want, err)
			}
		})
	}
	if now := n.revision(); now != before {
		t.Errorf("something was written: revision %d, then %d", before, now)
	}
	if _, err := n.importAs(file, ""); err != nil {
		t.Errorf("want it taken as it is, got %v", err)
	}
}

var pastEvent = config.LaunchEvent{At: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), What: "adjusted"}

// doubled has the first record of a kind in which a text is there twice.
func doubled(kind byte, text string) func([]backup.Record) []backup.Record {
	return func(all []backup.Record) []backup.Record {
		for i, rec := range all {
			if rec.Kind == kind && bytes.Contains(rec.Meta, []byte(text)) {
				return slices.Insert(all, i, rec)
			}
		}
		panic("there is no such record: " + text)
	}
}

// withLaunch changes a launch, as a noun.
func withLaunch(id string, change func(*config.Launch)) func([]backup.Record) []backup.Record {
	return func(all []backup.Record) []backup.Record {
		for i, rec := range all {
			if rec.Kind != 'n' || !bytes.Contains(rec.Meta, []byte(`"id":"`+id)) {
				continue
			}
			l, err := record.Decode[config.Launch](rec.Meta)
			if err != nil {
				panic(err)
			}
			change(&l)
			all[i].Meta = record.Encode(l)
			return all
		}
		panic("there is no such launch: " + id)
	}
}

func withEvents(id string, events []config.LaunchEvent) func([]backup.Record) []backup.Record {
	return withLaunch(id, func(l *config.Launch) { l.Events = events })
}

func endedInPlace(id string) func([]backup.Record) []backup.Record {
	return withLaunch(id, func(l *config.Launch) { l.State, l.EndedAt, l.EndedBy = config.LaunchExpired, pastEvent.At, "system" })
}

func TestLaunchesGoWithTheirTenant(t *testing.T) {
	n := start(t)
	n.house()
	n.publish(app, `{"stable": true}`)
	for range 105 { // more than one commit drops
		_, err := n.AbortLaunch(n.admin(), act(n.launched(canary(1000), app+`={"no": 1}`)))
		n.must(err)
	}
	running := n.launched(canary(1000), app+`={"yes": 1}`)
	launches := func() map[string]int {
		counts := map[string]int{}
		for _, e := range n.entries(record.Launches.Prefix()) {
			_, rest := record.Split(e.Key)
			tenant, _, _ := strings.Cut(rest, "/")
			counts[tenant]++
		}
		return counts
	}
	want := launches()
	_, err := n.importAs(n.export("acme"), "acme2") // whose name begins alike
	n.must(err)
	want["acme2"] = want["acme"]

	// What is not empty is not deleted, and loses nothing.
	wantKind(t, config.Conflict, n.DeleteTenant(n.admin(), "acme", ""))
	if diff := cmp.Diff(want, launches()); diff != "" {
		t.Errorf("launches of a tenant that was not deleted (-want +got):\n%s", diff)
	}
	n.must(n.DeleteConfig(n.admin(), center.DeleteConfig{Path: path(t, app)}))
	if got := n.storedLaunch("acme", running.ID); got.State != config.LaunchAborted {
		t.Errorf("want the launch ended with its config, got %s", got.State)
	}
	for _, env := range []string{"dev", "test", "prod"} {
		n.must(n.DeleteEnv(n.admin(), path(t, "acme/shop/"+env), ""))
	}
	n.must(n.DeleteApp(n.admin(), path(t, "acme/shop"), ""))
	if diff := cmp.Diff(want, launches()); diff != "" {
		t.Errorf("launches before the tenant goes (-want +got):\n%s", diff)
	}
	n.must(n.DeleteTenant(n.admin(), "acme", ""))
	delete(want, "acme")
	if diff := cmp.Diff(want, launches()); diff != "" {
		t.Errorf("launches after the tenant went (-want +got):\n%s", diff)
	}
	n.house()
	if page, err := n.Launches(n.admin(), center.LaunchesRequest{Tenant: "acme", All: true}); err != nil || len(page.Items) > 0 {
		t.Errorf("want a tenant of the same name to begin without, got %d, %v", len(page.Items), err)
	}
}
