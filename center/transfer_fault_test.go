package center_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/backup"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
)

// small is the export of a tenant that has a little of everything.
func small(t testing.TB) []byte {
	n := start(t)
	furnish(n, 12, 3)
	return n.export("acme")
}

// long is one that takes many commits, of every sort.
func long(n *node) { furnish(n, 80, 250) }

// wantNothing checks that nothing of a tenant is there for anybody.
func (n *node) wantNothing(tenant string) {
	n.t.Helper()
	ctx := n.admin()
	missing := func(what string, err error) {
		n.t.Helper()
		if err == nil || config.KindOf(err) != config.NotFound {
			n.t.Errorf("%s: want not found, got %v", what, err)
		}
	}
	_, err := n.catchUp(ctx)
	n.must(err)
	tenants, err := n.Tenants(ctx, pages)
	n.must(err)
	for _, other := range tenants.Items {
		if other.Name == tenant {
			n.t.Error("the tenant is listed")
		}
	}
	at := path(n.t, tenant+"/shop/dev/large.json")
	env := at.At(config.LevelEnv)
	_, err = n.Tenant(ctx, tenant)
	missing("tenant", err)
	_, err = n.Apps(ctx, tenant, pages)
	missing("apps", err)
	_, err = n.App(ctx, env.Parent())
	missing("app", err)
	_, err = n.Envs(ctx, env.Parent())
	missing("envs", err)
	_, err = n.Env(ctx, env)
	missing("env", err)
	_, err = n.Configs(ctx, center.ConfigsRequest{Env: env})
	missing("configs", err)
	_, err = n.Config(ctx, at)
	missing("config", err)
	_, err = n.Get(ctx, center.Read{Path: at})
	missing("read", err)
	_, err = n.Snapshot(ctx, center.ReadEnv{Env: env})
	missing("read of the env", err)
	_, err = n.Releases(ctx, at, pages)
	missing("releases", err)
	_, _, err = n.Release(ctx, at, 1)
	missing("release", err)
	_, err = n.Draft(ctx, env.Join("c001.yaml"))
	missing("draft", err)
	_, err = n.Diff(ctx, center.Ref{Path: at, Version: 1}, center.Ref{Path: at, Version: 2})
	missing("difference", err)
	_, err = n.ChangeSets(ctx, tenant, pages)
	missing("change sets", err)
	missing("export of the env", n.Export(ctx, center.Export{Env: env, Format: center.Zip}, io.Discard))
	_, err = n.ExportTenant(ctx, tenant, io.Discard)
	missing("export", err)
	_, err = n.Publish(ctx, one(at.String(), "{}"))
	missing("publish", err)
	_, err = n.CreateApp(ctx, config.App{Tenant: tenant, Name: "mine"})
	missing("new app", err)
	_, err = n.UpdateTenant(ctx, config.Tenant{Name: tenant})
	missing("change of the tenant", err)
	w, err := n.Watch(ctx, center.WatchRequest{Patterns: []string{tenant}}, func() {})
	n.must(err)
	defer w.Close()
	if d, ok, err := w.Next(); err != nil || !ok || len(d.Changes) > 0 {
		n.t.Errorf("watch: want nothing in it, got %+v, %v", d, err)
	}
}

func (n *node) catchUp(ctx context.Context) (center.Served, error) {
	_, err := n.Get(ctx, center.Read{Path: path(n.t, "none/at/all/x"), Freshness: center.Freshness{Strong: true}})
	if config.KindOf(err) == config.NotFound {
		err = nil
	}
	return center.Served{}, err
}

func TestADamagedFileChangesNothing(t *testing.T) {
	n := start(t)
	whole := small(t)
	var zipped bytes.Buffer
	z := zip.NewWriter(&zipped)
	z.Create("a.yaml")
	z.Close()
	files := map[string][]byte{
		"empty": {}, "zip": zipped.Bytes(), "text": []byte(strings.Repeat("a: 1\n", 100)),
		"more behind it": append(bytes.Clone(whole), 0), "twice": append(bytes.Clone(whole), whole...),
		"backup": append([]byte("setpoint backup\n"), whole[16:]...),
	}
	for i := range 40 {
		at := len(whole) * i / 40
		files[fmt.Sprintf("cut at %d", at)] = whole[:at]
		flipped := bytes.Clone(whole)
		flipped[at] ^= 1
		files[fmt.Sprintf("flipped at %d", at)] = flipped
	}
	before := n.revision()
	for name, file := range files {
		if _, err := n.importAs(file, ""); config.KindOf(err) != config.Invalid {
			t.Errorf("%s: want invalid, got %v", name, err)
		}
	}
	if now := n.revision(); now != before {
		t.Errorf("something was written: revision %d, then %d", before, now)
	}
	n.wantNothing("acme")
	if _, err := n.importAs(whole, ""); err != nil {
		t.Errorf("want the whole one taken, got %v", err)
	}
}

// remade is a sound file whose records were changed.
func remade(t testing.TB, file []byte, change func(all []backup.Record) []backup.Record) []byte {
	t.Helper()
	h, r, err := backup.OpenTenant(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	var all []backup.Record
	for records := backup.ReadRecords(r, 1<<30, 1<<40); ; {
		rec, err := records.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, rec)
	}
	var out bytes.Buffer
	_, err = backup.Write(t.Context(), &out, h, func(_ context.Context, w io.Writer) (int64, error) {
		for _, rec := range change(all) {
			if err := backup.WriteRecord(w, rec); err != nil {
				return 0, err
			}
		}
		return 1, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// edit changes the first record of a kind in which a text is.
func edit(kind byte, text, with string) func([]backup.Record) []backup.Record {
	return func(all []backup.Record) []backup.Record {
		for i, rec := range all {
			if rec.Kind == kind && bytes.Contains(rec.Meta, []byte(text)) {
				all[i].Meta = bytes.Replace(rec.Meta, []byte(text), []byte(with), 1)
				return all
			}
		}
		panic("there is no such record: " + text)
	}
}

func without(kind byte, text string) func([]backup.Record) []backup.Record {
	return func(all []backup.Record) []backup.Record {
		for i, rec := range all {
			if rec.Kind == kind && bytes.Contains(rec.Meta, []byte(text)) {
				return append(all[:i:i], all[i+1:]...)
			}
		}
		panic("there is no such record: " + text)
	}
}

func TestAFileThatDoesNotAddUpIsRefused(t *testing.T) {
	file := small(t)
	n := start(t)
	before := n.revision()
	const path = "acme/shop/dev/long.json"
	for name, tt := range map[string]struct {
		change func([]backup.Record) []backup.Record
		kind   config.ErrorKind
		want   string
	}{
		"a field of the future":     {edit('o', `"latest"`, `"slots":2,"latest"`), config.Invalid, `"slots", which this version of Setpoint does not know`},
		"another tenant's app":      {edit('p', `"acme"`, `"globex"`), config.Invalid, "about globex"},
		"a bad name":                {edit('c', `acme/shop/dev/c000.yaml`, `acme/shop/dev/..`), config.Invalid, "config name"},
		"an unknown format":         {edit('c', `"format":"yaml"`, `"format":"cobol"`), config.Invalid, "cobol"},
		"an unknown kind":           {func(all []backup.Record) []backup.Record { all[1].Kind = 'x'; return all }, config.Invalid, "no kind"},
		"no tenant":                 {without('t', "acme"), config.Invalid, "does not come first"},
		"no app":                    {without('p', `"shop"`), config.Invalid, "its app acme/shop"},
		"no env":                    {counted(without('e', `"dev"`)), config.Invalid, "its env is not in the file"},
		"no config":                 {without('c', path), config.Invalid, "the config of release 1"},
		"no rollout":                {without('o', path), config.Invalid, "the config of release 1"},
		"no draft":                  {without('d', "c001"), config.Invalid, "not as many records"},
		"no release that is kept":   {counted(without('r', path)), config.Invalid, "releases 1 to 3 the file holds only 2"},
		"no release that is used":   {counted(without('r', `c000.yaml`)), config.Invalid, "c000.yaml"},
		"no audit record":           {without('a', "tenant.create"), config.Invalid, "not as many records"},
		"no end":                    {without('z', ""), config.Invalid, "ends before"},
		"two ends":                  {func(all []backup.Record) []backup.Record { return append(all, all[len(all)-1]) }, config.Invalid, "out of order"},
		"a record twice":            {func(all []backup.Record) []backup.Record { return append(all[:2:2], all[1:]...) }, config.Invalid, "out of order"},
		"another content":           {func(all []backup.Record) []backup.Record { return swapContents(all) }, config.Invalid, "digest or size differs"},
		"a content too much":        {func(all []backup.Record) []backup.Record { all[0].Content = []byte("x"); return all }, config.Invalid, "content"},
		"another release in use":    {edit('o', `"version":3,"format":"json","digest":"`, `"version":3,"format":"json","digest":"0`), config.Invalid, "is served"},
		"versions without end":      {edit('o', `"latest":3`, `"latest":4000000000000000000`), config.Invalid, "the file holds only 3"},
		"a version before all":      {edit('r', `"version":1`, `"version":-1`), config.Invalid, "none of those"},
		"audit of another tenant":   {edit('a', `"path":"acme"`, `"path":"globex"`), config.Invalid, "another tenant"},
		"an audit record of none":   {edit('a', `"id":"`, `"id":"","subject":"`), config.Invalid, "audit record"},
		"a revision from elsewhere": {edit('p', `"tenant"`, `"revision":"x","tenant"`), config.Invalid, "installation that it came from"},
		"no JSON":                   {edit('p', `{`, `<`), config.Invalid, "cannot be read"},
		"more than JSON":            {edit('p', `{`, `{}{`), config.Invalid, "more behind"},
		"a long description":        {edit('t', "who buys", strings.Repeat("who buys", 1000)), config.TooLarge, "comment_length"},
		"an env kind":               {edit('e', `"kind":"dev"`, `"kind":"D E V"`), config.Invalid, "env kind"},
		"a freeze":                  {edit('e', `"kind":"dev"`, `"freezes":[{"name":"x"}],"kind":"dev"`), config.Invalid, "freezes[0].from"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := n.importAs(remade(t, file, tt.change), "")
			if e := wantKind(t, tt.kind, err); !strings.Contains(e.Error(), tt.want) || e.Op != "tenant.import" {
				t.Errorf("want %q in it, got %v", tt.want, err)
			}
		})
	}
	if now := n.revision(); now != before {
		t.Errorf("something was written: revision %d, then %d", before, now)
	}
	if _, err := n.importAs(remade(t, file, func(all []backup.Record) []backup.Record { return all }), ""); err != nil {
		t.Errorf("want it taken as it is, got %v", err)
	}
}

// counted has the end tell what there is after a change.
func counted(change func([]backup.Record) []backup.Record) func([]backup.Record) []backup.Record {
	return func(all []backup.Record) []backup.Record {
		all = change(all)
		kinds := map[byte]int64{}
		for _, rec := range all {
			kinds[rec.Kind]++
		}
		all[len(all)-1].Meta, _ = json.Marshal(center.TenantContents{
			Apps: kinds['p'], Envs: kinds['e'], Configs: kinds['c'], Rollouts: kinds['o'], Launches: kinds['n'],
			Drafts: kinds['d'], Releases: kinds['r'], AuditRecords: kinds['a'],
		})
		return all
	}
}

// swapContents exchanges the contents of two releases.
func swapContents(all []backup.Record) []backup.Record {
	for i, rec := range all {
		if rec.Kind == 'r' {
			all[i].Content, all[i+1].Content = all[i+1].Content, rec.Content
			return all
		}
	}
	return all
}

func TestImportsKeepToTheLimits(t *testing.T) {
	file := small(t)
	for name, tt := range map[string]struct {
		limit func(*center.Limits)
		kind  config.ErrorKind
		want  string
	}{
		"size of a config":  {func(l *center.Limits) { l.ConfigSize = 10_000 }, config.TooLarge, "config_size"},
		"size of it all":    {func(l *center.Limits) { l.TenantSize, l.ConfigSize = 500_000, 400_000 }, config.TooLarge, "tenant_size"},
		"configs of an env": {func(l *center.Limits) { l.ConfigsPerEnv = 5 }, config.Exhausted, "configs_per_env"},
		"comments":          {func(l *center.Limits) { l.CommentLength = 3 }, config.TooLarge, "comment_length"},
	} {
		n := start(t, tt.limit)
		_, err := n.importAs(file, "")
		if e := wantKind(t, tt.kind, err); !strings.Contains(e.Error(), tt.want) {
			t.Errorf("%s: want the limit named, got %v", name, err)
		}
	}
}

// breaking is a store that breaks off at a commit: before it, or after it
// without an answer.
type breaking struct {
	store.Store
	mu      sync.Mutex
	left    int // commits until it breaks
	after   bool
	commits int
	then    func() // called in place of breaking
}

func (b *breaking) Commit(ctx context.Context, txn store.Txn) (int64, error) {
	b.mu.Lock()
	b.commits++
	b.left--
	breaks, then := b.left == 0, b.then
	b.mu.Unlock()
	if breaks && then != nil {
		then()
	} else if breaks {
		if b.after {
			if _, err := b.Store.Commit(ctx, txn); err != nil {
				return 0, err
			}
		}
		return 0, config.Errorf(config.Unavailable, "commit", "", "the cable was pulled")
	}
	return b.Store.Commit(ctx, txn)
}

// TestAnImportBrokenOffAnywhereLeavesNothing breaks off an import at every
// commit, in both ways, and then repeats or removes it.
func TestAnImportBrokenOffAnywhereLeavesNothing(t *testing.T) {
	from := start(t)
	long(from)
	file, want := from.export("acme"), from.picture("acme")
	n := start(t)
	counting := &breaking{Store: n.store}
	if _, err := join(t, counting).importAs(file, "first"); err != nil {
		t.Fatal(err)
	}
	audits := len(n.entries(record.AuditPrefix("first")))
	if counting.commits < 8 {
		t.Fatalf("only %d commits: the test shows less than it should", counting.commits)
	}
	for at := 1; at <= counting.commits; at++ {
		for _, after := range []bool{false, true} {
			name := fmt.Sprintf("t%d%v", at, after)
			broken := join(t, &breaking{Store: n.store, left: at, after: after})
			_, err := broken.importAs(file, name)
			wantKind(t, config.Unavailable, err)
			if after && at == counting.commits {
				continue // it was there, and only the answer was lost
			}
			for _, node := range []*node{n, broken, join(t, n.store)} {
				node.wantNothing(name)
			}
			if at > 1 || after { // the name is taken, and it is said why
				_, err = n.CreateTenant(n.admin(), config.Tenant{Name: name})
				if e := wantKind(t, config.Exists, err); !strings.Contains(e.Error(), "import") {
					t.Errorf("want it said that it is an import, got %v", e)
				}
				_, err = n.Audit(n.admin(), center.AuditRequest{Tenant: name})
				wantKind(t, config.NotFound, err)
			}
			if _, err := n.importAs(file, name); err != nil {
				t.Fatalf("at %d: again: %v", at, err)
			}
			if diff := cmp.Diff(want, n.picture(name)); diff != "" {
				t.Errorf("at %d: what is shown after another try (-want +got):\n%.2000s", at, diff)
			}
			if got := len(n.entries(record.AuditPrefix(name))); got != audits {
				t.Errorf("at %d: want each of %d audit records once, got %d", at, audits, got)
			}
		}
	}
}

func TestAnImportBrokenOffCanBeRemoved(t *testing.T) {
	from, n := start(t), start(t)
	long(from)
	file := from.export("acme")
	broken := join(t, &breaking{Store: n.store, left: 7})
	_, err := broken.importAs(file, "")
	wantKind(t, config.Unavailable, err)
	stranger := n.user("stranger")
	wantKind(t, config.Denied, n.DeleteTenant(stranger, "acme", ""))
	n.must(n.DeleteTenant(n.admin(), "acme", ""))
	for _, s := range []record.Section{record.Tenants, record.Apps, record.Envs, record.Configs, record.Rollouts, record.Launches, record.Drafts, record.Releases, record.Contents} {
		if left := n.entries(s.Prefix()); len(left) > 0 {
			t.Errorf("section %c: %d entries are left, %s the first", s, len(left), left[0].Key)
		}
	}
	wantKind(t, config.NotFound, n.DeleteTenant(n.admin(), "acme", ""))
	n.house() // the name is free
}

// TestTwoImportsDoNotMix has a second import begin at every commit of a first.
func TestTwoImportsDoNotMix(t *testing.T) {
	from, other := start(t), start(t)
	long(from)
	file := from.export("acme")
	other.house()
	other.publish(app, `{"other": true}`)
	second, want := other.export("acme"), other.picture("acme")
	for _, removed := range []bool{false, true} {
		for at := 2; at <= 6; at++ {
			n := start(t)
			between := &breaking{Store: n.store, left: at, then: func() {
				if removed {
					n.must(n.DeleteTenant(n.admin(), "acme", ""))
				} else if _, err := n.importAs(second, ""); err != nil {
					t.Error(err)
				}
			}}
			_, err := join(t, between).importAs(file, "")
			wantKind(t, config.Conflict, err)
			if removed {
				n.wantNothing("acme")
			} else if diff := cmp.Diff(want, n.picture("acme")); diff != "" {
				t.Errorf("at %d: want the second alone (-want +got):\n%.2000s", at, diff)
			}
		}
	}
}

func TestANodeImportsOneTenantAtATime(t *testing.T) {
	n := start(t)
	reading, release := make(chan struct{}), make(chan struct{})
	slow := readerFunc(func([]byte) (int, error) {
		close(reading)
		<-release
		return 0, io.ErrUnexpectedEOF
	})
	done := make(chan error)
	go func() {
		_, err := n.ImportTenant(n.admin(), center.ImportTenant{From: slow})
		done <- err
	}()
	<-reading
	_, err := n.importAs(small(t), "")
	wantKind(t, config.Throttled, err)
	close(release)
	wantKind(t, config.Canceled, <-done)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// TestTheFileIsOfItsOwnMaking holds the export to being readable without the
// store's layout: each record is a noun as clients know it.
func TestTheFileIsOfItsOwnMaking(t *testing.T) {
	kinds := map[byte]int{}
	remade(t, small(t), func(all []backup.Record) []backup.Record {
		for _, rec := range all {
			kinds[rec.Kind]++
			if !json.Valid(rec.Meta) || bytes.Contains(rec.Meta, []byte(`"revision"`)) {
				t.Errorf("record of kind %c: want JSON without revisions, got %s", rec.Kind, rec.Meta)
			}
			if rec.Kind == 'a' {
				var r audit.Record
				if err := json.Unmarshal(rec.Meta, &r); err != nil || r.Path.Tenant != "acme" {
					t.Errorf("want an audit record of the tenant, got %s, %v", rec.Meta, err)
				}
			}
		}
		return all
	})
	for _, kind := range "tpecondraz" {
		if kinds[byte(kind)] == 0 {
			t.Errorf("no record of kind %c: the test shows less than it should", kind)
		}
	}
}
