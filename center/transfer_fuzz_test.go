package center

import (
	"bytes"
	"testing"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/format"
	"github.com/setpointhq/setpoint/format/json"
	"github.com/setpointhq/setpoint/internal/backup"
)

// FuzzMovedTenant gives any bytes for the records of an export: they are refused,
// or make nouns that can be written.
func FuzzMovedTenant(f *testing.F) {
	record := func(kind byte, meta, content string) string {
		var out bytes.Buffer
		if err := backup.WriteRecord(&out, backup.Record{Kind: kind, Meta: []byte(meta), Content: []byte(content)}); err != nil {
			f.Fatal(err)
		}
		return out.String()
	}
	f.Add([]byte(""))
	f.Add([]byte(record('t', `{"name":"acme"}`, "") + record('z', `{}`, "")))
	const release = `{"path":"acme/shop/dev/a.json","version":1,"format":"json","digest":"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2,"source":{"kind":"publish"},"author":"ann","time":"2026-01-02T03:04:05Z","change_set":"x"}`
	f.Add([]byte(record('t', `{"name":"acme"}`, "") + record('p', `{"tenant":"acme","name":"shop"}`, "") +
		record('e', `{"tenant":"acme","app":"shop","name":"dev","kind":"dev"}`, "") +
		record('c', `{"path":"acme/shop/dev/a.json","kind":"file","format":"json"}`, "") +
		record('o', `{"path":"acme/shop/dev/a.json","latest":1,"oldest":1,"stable":`+release+`}`, "") +
		record('d', `{"path":"acme/shop/dev/a.json","format":"json"}`, "x") + record('r', release, "{}") +
		record('a', `{"id":"0a","time":"2026-01-02T03:04:05Z","actor":{"subject":"ann"},"action":"config.publish","path":"acme/shop/dev/a.json","outcome":"done"}`, "") +
		record('z', `{"apps":1,"envs":1,"configs":1,"rollouts":1,"drafts":1,"releases":1,"audit_records":1}`, "")))
	c := &Center{formats: format.NewSet(json.New())}
	c.limits.Defaults()
	f.Fuzz(func(t *testing.T, text []byte) {
		m := c.newMovedTenant("acme")
		err := m.check(backup.ReadRecords(bytes.NewReader(text), 1<<16, 1<<20))
		if err != nil {
			if kind := config.KindOf(err); kind == config.Internal {
				t.Errorf("want it said what is wrong, got %v", err)
			}
			return
		}
		w := tenantWriter{claim: &claim{center: c}, rename: rename{"acme", "other"}}
		records := backup.ReadRecords(bytes.NewReader(text), 1<<16, 1<<20)
		for rec, err := records.Next(); err == nil; rec, err = records.Next() {
			noun, err := decodeMoved(rec)
			if err != nil || rec.Kind == 'a' { // these ask the store
				continue
			}
			if w.writes = nil; w.put(t.Context(), noun) != nil {
				t.Errorf("%T cannot be written", noun)
			}
		}
	})
}
