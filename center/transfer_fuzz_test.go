package center

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/format"
	"github.com/setpointhq/setpoint/format/json"
	"github.com/setpointhq/setpoint/internal/backup"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
)

// FuzzMovedTenant gives any bytes for the records of an export: they are refused,
// or make nouns that can be written.
func FuzzMovedTenant(f *testing.F) {
	write := func(kind byte, meta, content string) string {
		var out bytes.Buffer
		if err := backup.WriteRecord(&out, backup.Record{Kind: kind, Meta: []byte(meta), Content: []byte(content)}); err != nil {
			f.Fatal(err)
		}
		return out.String()
	}
	f.Add([]byte(""))
	f.Add([]byte(write('t', `{"name":"acme"}`, "") + write('z', `{}`, "")))
	const release = `{"path":"acme/shop/dev/a.json","version":1,"format":"json","digest":"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2,"source":{"kind":"publish"},"author":"ann","time":"2026-01-02T03:04:05Z","change_set":"x"}`
	f.Add([]byte(write('t', `{"name":"acme"}`, "") + write('p', `{"tenant":"acme","name":"shop"}`, "") +
		write('e', `{"tenant":"acme","app":"shop","name":"dev","kind":"dev"}`, "") +
		write('c', `{"path":"acme/shop/dev/a.json","kind":"file","format":"json"}`, "") +
		write('o', `{"path":"acme/shop/dev/a.json","latest":1,"oldest":1,"stable":`+release+`}`, "") +
		write('d', `{"path":"acme/shop/dev/a.json","format":"json"}`, "x") + write('r', release, "{}") +
		write('a', `{"id":"0a","time":"2026-01-02T03:04:05Z","actor":{"subject":"ann"},"action":"config.publish","path":"acme/shop/dev/a.json","outcome":"done"}`, "") +
		write('z', `{"apps":1,"envs":1,"configs":1,"rollouts":1,"drafts":1,"releases":1,"audit_records":1}`, "")))
	at := time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC)
	c := &Center{formats: format.NewSet(json.New()), now: func() time.Time { return at }}
	c.limits.Defaults()
	for _, launch := range []string{
		`"state":"running","strategy":{"kind":"canary","rule":{"share":1000}},"begun_at":"2026-01-02T03:04:05Z","step_at":"2026-01-02T03:04:05Z"`,
		`"state":"paused","strategy":{"kind":"progressive","salt":"x","steps":[{"share":1,"hold_seconds":60}]},"gate":{"applied_share":1},"held_seconds":5,"begun_at":"2026-01-02T03:04:05Z","step_at":"2026-01-02T03:04:05Z"`,
		`"state":"running","strategy":{"kind":"blue-green","slots":{"stable":"blue","candidate":"green","active":"green"}},"begun_at":"2026-01-02T03:04:05Z","step_at":"2026-01-02T03:04:05Z"`,
		`"state":"scheduled","strategy":{"kind":"all"},"begins_at":"2026-01-02T03:04:06Z"`,
		`"state":"scheduled","strategy":{"kind":"targets","targets":["pod-1"]},"begins_at":"2026-01-02T03:04:07Z"`,
		`"state":"expired","strategy":{"kind":"all"},"begins_at":"2026-01-02T03:04:06Z","ended_at":"2026-01-02T03:04:05Z"`,
	} {
		seed := launchedTenant(write, launch)
		if err := c.newMovedTenant("acme").check(backup.ReadRecords(strings.NewReader(seed), 1<<16, 1<<20)); err != nil {
			f.Fatalf("%s: want it taken, got %v", launch, err)
		}
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m := c.newMovedTenant("acme")
		err := m.check(backup.ReadRecords(bytes.NewReader(text), 1<<16, 1<<20))
		if err != nil {
			if kind := config.KindOf(err); kind == config.Internal {
				t.Errorf("want it said what is wrong, got %v", err)
			}
			return
		}
		w := tenantWriter{claim: &claim{center: c}, rename: rename{"acme", "other"}, arrival: arrival{movedLaunches: m.launches, by: "ann", exported: at}}
		var came arrived
		records := backup.ReadRecords(bytes.NewReader(text), 1<<16, 1<<20)
		for rec, err := records.Next(); err == nil; rec, err = records.Next() {
			noun, err := decodeMoved(rec)
			if err != nil || rec.Kind == 'a' { // these ask the store
				continue
			}
			if w.writes = nil; w.put(t.Context(), noun) != nil {
				t.Errorf("%T cannot be written", noun)
			}
			came.note(t, w.writes)
		}
		came.check(t)
	})
}

// launchedTenant is the records of a tenant with a launch, given by its fields
// that differ, and its candidate unless it has ended.
func launchedTenant(write func(kind byte, meta, content string) string, launch string) string {
	const (
		id      = "18866b6b0b2c7a0000ff00ff00ff00ff"
		release = `{"path":"acme/shop/dev/a.json","version":%d,"format":"json","digest":"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2,"source":{"kind":"publish"},"author":"ann","time":"2026-01-02T03:04:05Z","change_set":"x"}`
	)
	first, second := fmt.Sprintf(release, 1), fmt.Sprintf(release, 2)
	_, strategy, _ := strings.Cut(launch, `"strategy":`)
	end := 0
	for depth := 0; end == 0 || depth > 0; end++ {
		switch strategy[end] {
		case '{':
			depth++
		case '}':
			depth--
		}
	}
	waiting := strings.Contains(launch, `"scheduled"`)
	candidates := fmt.Sprintf(`,"candidates":[{"release":%s,"strategy":%s,"launch":%q,"waiting":%v}]`, second, strategy[:end], id, waiting)
	if strings.Contains(launch, "ended_at") {
		candidates = ""
	}
	return write('t', `{"name":"acme"}`, "") + write('p', `{"tenant":"acme","name":"shop"}`, "") +
		write('e', `{"tenant":"acme","app":"shop","name":"dev","kind":"dev"}`, "") +
		write('c', `{"path":"acme/shop/dev/a.json","kind":"file","format":"json"}`, "") +
		write('o', `{"path":"acme/shop/dev/a.json","latest":2,"oldest":1,"previous":1,"slot":"blue","stable":`+first+candidates+`}`, "") +
		write('n', `{"id":"`+id+`","tenant":"acme","items":[{"path":"acme/shop/dev/a.json","version":2}],"started_at":"2026-01-02T03:04:05Z","started_by":"ann","events":[{"at":"2026-01-02T03:04:05Z","by":"ann","what":"started"}],`+launch+`}`, "") +
		write('r', first, "{}") + write('r', second, "{}") +
		write('z', `{"apps":1,"envs":1,"configs":1,"rollouts":1,"releases":2,"launches":1}`, "")
}

// arrived are the launches of an import and the candidates that it wrote.
type arrived struct {
	launches   map[string]config.Launch
	candidates map[stagedAt]config.Candidate
}

func (a *arrived) note(t *testing.T, writes []store.Write) {
	if a.launches == nil {
		a.launches, a.candidates = map[string]config.Launch{}, map[stagedAt]config.Candidate{}
	}
	for _, w := range writes {
		if _, err := record.Inspect(w.Key, w.Value); err != nil {
			t.Errorf("%s: %v", w.Key, err)
		}
		switch section, _ := record.Split(w.Key); section {
		case record.Launches:
			l, _ := record.Decode[config.Launch](w.Value)
			a.launches[l.ID] = l
		case record.Rollouts:
			o, _ := record.Decode[config.Rollout](w.Value)
			if err := o.Validate(); err != nil {
				t.Error(err)
			}
			for _, c := range o.Candidates {
				a.candidates[stagedAt{c.Launch, o.Path}] = c
			}
		}
	}
}

// check holds that nothing goes on by itself, and that launches and candidates
// belong together.
func (a *arrived) check(t *testing.T) {
	for _, l := range a.launches {
		if err := l.Validate(); err != nil || l.State == config.LaunchRunning {
			t.Errorf("launch %s arrives %s: %v", l.ID, l.State, err)
		}
		for _, item := range l.Items {
			c, there := a.candidates[stagedAt{l.ID, item.Path}]
			if there == l.State.Ended() || there && (c.Release.Version != item.Version || c.Waiting != (l.State == config.LaunchScheduled) ||
				strategyDigest(c.Strategy) != strategyDigest(l.Strategy)) {
				t.Errorf("launch %s is %s, and its candidate of %s is %+v", l.ID, l.State, item.Path, c)
			}
			delete(a.candidates, stagedAt{l.ID, item.Path})
		}
	}
	for at := range a.candidates {
		t.Errorf("a candidate of %s has no launch", at.path)
	}
}
