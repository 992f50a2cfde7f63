package center_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

func TestDeletedConfigKeepsItsHistoryAndComesBack(t *testing.T) {
	n := start(t)
	n.house()
	n.publish(app, "1")
	n.publish(app, "2")
	n.must(n.DeleteConfig(n.admin(), center.DeleteConfig{Path: path(t, app)}))
	n.wantServed(app, "", 0)
	releases, err := n.Releases(n.admin(), path(t, app), pages)
	n.must(err)
	if len(releases.Items) != 2 {
		t.Errorf("want the history kept, got %d releases", len(releases.Items))
	}
	wantKind(t, config.NotFound, n.DeleteConfig(n.admin(), center.DeleteConfig{Path: path(t, app)}))
	_, err = n.UndeleteConfig(n.admin(), path(t, app), "")
	n.must(err)
	n.wantServed(app, "2", 2)
	_, err = n.UndeleteConfig(n.admin(), path(t, app), "")
	wantKind(t, config.Conflict, err)
}

func TestPublishingToADeletedConfigServesItAgainWithANewVersion(t *testing.T) {
	n := start(t)
	n.house()
	n.publish(app, "1")
	n.must(n.DeleteConfig(n.admin(), center.DeleteConfig{Path: path(t, app)}))
	n.publish(app, "2")
	n.wantServed(app, "2", 2)
}

func TestPurgeLeavesNothingButTheVersionCounter(t *testing.T) {
	n := start(t)
	n.house()
	n.publish(app, `"`+strings.Repeat("x", 40_000)+`"`)
	n.publish(app, "2")
	n.must(n.DeleteConfig(n.admin(), center.DeleteConfig{Path: path(t, app), Purge: true}))
	_, err := n.Config(n.admin(), path(t, app))
	wantKind(t, config.NotFound, err)
	for v := range int64(3) {
		_, _, err := n.Release(n.admin(), path(t, app), v)
		wantKind(t, config.NotFound, err)
	}
	if v := n.publish(app, "3"); v != 3 {
		t.Errorf("a purged version was used again: want 3, got %d", v)
	}
}

func TestDraftIsSavedConditionallyAndGoesWithItsPublication(t *testing.T) {
	n := start(t)
	n.house()
	n.publish(app, "1")
	save := func(content string, expected *config.Token) (config.Draft, error) {
		d, _, err := n.SaveDraft(n.admin(), center.SaveDraft{Path: path(t, app), Content: []byte(content), Expected: expected})
		return d, err
	}
	first, err := save("2", ptr(config.Token("")))
	n.must(err)
	_, err = save("3", ptr(config.Token("")))
	wantKind(t, config.Conflict, err)
	second, err := save("3", &first.Revision)
	n.must(err)
	_, err = save("4", &first.Revision)
	wantKind(t, config.Conflict, err)

	publish := func(revision config.Token) error {
		_, err := n.Publish(n.admin(), center.Publish{Tenant: "acme", Items: []center.PublishItem{{Path: path(t, app), FromDraft: true, DraftRevision: revision}}})
		return err
	}
	wantKind(t, config.Conflict, publish(first.Revision))
	n.must(publish(second.Revision))
	n.wantServed(app, "3", 2)
	_, err = n.Draft(n.admin(), path(t, app))
	wantKind(t, config.NotFound, err)
	wantKind(t, config.NotFound, publish(""))
}

func TestPromotionGoesForwardAndLeavesTheSameAlone(t *testing.T) {
	n := start(t)
	n.house()
	n.publish("acme/shop/dev/a.json", "1")
	n.publish("acme/shop/dev/b.json", "2")
	n.publish("acme/shop/test/b.json", "2")
	promote := center.Promote{From: path(t, "acme/shop/dev"), To: path(t, "acme/shop/test")}

	promote.DryRun = true
	plan, err := n.Promote(n.admin(), promote)
	n.must(err)
	n.wantServed("acme/shop/test/a.json", "", 0)
	promote.DryRun = false
	set, err := n.Promote(n.admin(), promote)
	n.must(err)
	for _, s := range []config.ChangeSet{plan, set} {
		changed := slices.DeleteFunc(slices.Clone(s.Items), func(i config.ChangeItem) bool { return i.Unchanged })
		if len(s.Items) != 2 || len(changed) != 1 || changed[0].Path.Name != "a.json" {
			t.Errorf("want a.json promoted and b.json unchanged, got %+v", s.Items)
		}
	}
	n.wantServed("acme/shop/test/a.json", "1", 1)
	release, _, err := n.Release(n.admin(), path(t, "acme/shop/test/a.json"), 1)
	n.must(err)
	if want := (config.Source{Kind: config.SourcePromotion, Version: 1, From: "acme/shop/dev/a.json"}); release.Source != want {
		t.Errorf("source: want %+v, got %+v", want, release.Source)
	}
	back := center.Promote{From: promote.To, To: promote.From}
	_, err = n.Promote(n.admin(), back)
	wantKind(t, config.Invalid, err)
	back.Backward = true
	_, err = n.Promote(n.admin(), back)
	n.must(err)
}

func TestProtectedEnvWantsAReasonAndStays(t *testing.T) {
	n := start(t)
	n.house()
	_, err := n.UpdateEnv(n.admin(), center.EnvPatch{Path: path(t, "acme/shop/prod"), Protected: ptr(true)})
	n.must(err)
	p := one("acme/shop/prod/app.json", "1")
	_, err = n.Publish(n.admin(), p)
	wantKind(t, config.Invalid, err)
	p.Comment = "the launch"
	_, err = n.Publish(n.admin(), p)
	n.must(err)
	wantKind(t, config.Conflict, n.DeleteEnv(n.admin(), path(t, "acme/shop/prod"), ""))
}

func TestScopesAreDeletedOnlyWhenEmpty(t *testing.T) {
	n := start(t)
	n.house()
	n.publish(app, "1")
	wantKind(t, config.Conflict, n.DeleteTenant(n.admin(), "acme", ""))
	wantKind(t, config.Conflict, n.DeleteApp(n.admin(), path(t, "acme/shop"), ""))
	wantKind(t, config.Conflict, n.DeleteEnv(n.admin(), path(t, "acme/shop/dev"), ""))
	n.publish(app, "2") // a refused deletion leaves the env open
	n.must(n.DeleteConfig(n.admin(), center.DeleteConfig{Path: path(t, app)}))
	for _, env := range []string{"dev", "test", "prod"} {
		n.must(n.DeleteEnv(n.admin(), path(t, "acme/shop/"+env), ""))
	}
	n.must(n.DeleteApp(n.admin(), path(t, "acme/shop"), ""))
	n.must(n.DeleteTenant(n.admin(), "acme", ""))
	_, err := n.Tenant(n.admin(), "acme")
	wantKind(t, config.NotFound, err)
}

func TestRightsGoWithTheScope(t *testing.T) {
	n := start(t)
	_, err := n.CreateTenant(n.admin(), config.Tenant{Name: "acme"})
	n.must(err)
	bob := n.user("bob", grant(t, "admin", "acme"))
	n.must(n.DeleteTenant(n.admin(), "acme", ""))
	_, err = n.CreateTenant(n.admin(), config.Tenant{Name: "acme"})
	n.must(err)
	_, err = n.Tenant(bob, "acme")
	wantKind(t, config.Denied, err)
}

func TestImportThenExportIsByteForByteEqual(t *testing.T) {
	for _, f := range []center.ArchiveFormat{center.Zip, center.TarGz} {
		t.Run(string(f), func(t *testing.T) {
			n := start(t)
			n.house()
			files := []center.ImportFile{
				{File: "application.yml", Content: []byte("a: 1\r\nb: 中文\r\n")},
				{File: "rules/node.yml", Content: []byte("groups: []")},
				{File: ".hidden/x.json", Content: []byte("{}\n\n")},
			}
			env := path(t, "acme/shop/dev")
			result, err := n.Import(n.admin(), center.Import{Env: env, Files: files})
			n.must(err)
			if result.Created != 3 {
				t.Errorf("want 3 created, got %+v", result)
			}
			var archive bytes.Buffer
			n.must(n.Export(n.admin(), center.Export{Env: env, Format: f}, &archive))
			back, err := center.ReadArchive(archive.Bytes(), 1<<20, 100)
			n.must(err)
			byName := func(a, b center.ImportFile) int { return strings.Compare(a.File, b.File) }
			slices.SortFunc(files, byName)
			slices.SortFunc(back, byName)
			if fmt.Sprint(files) != fmt.Sprint(back) {
				t.Errorf("want %q, got %q", files, back)
			}
			again, err := n.Import(n.admin(), center.Import{Env: env, Files: back[:2], Prune: true})
			n.must(err)
			if again.Unchanged != 2 || again.Pruned != 1 {
				t.Errorf("want 2 unchanged and 1 pruned, got %+v", again)
			}
		})
	}
}

func TestImportRefusesFilesThatWouldCollideOrEscape(t *testing.T) {
	n := start(t)
	n.house()
	for _, files := range [][]string{{"a/b.json", "a-b.json"}, {"../x.json"}, {"/etc/x.json"}, {"a//b.json"}, {"a\x00.json"}, {"c:x.json"}} {
		var in []center.ImportFile
		for _, f := range files {
			in = append(in, center.ImportFile{File: f, Content: []byte("1")})
		}
		_, err := n.Import(n.admin(), center.Import{Env: path(t, "acme/shop/dev"), Files: in})
		wantKind(t, config.Invalid, err)
	}
}

func TestDryRunRefusesWhatTheImportWould(t *testing.T) {
	n := start(t)
	n.house()
	n.publish("acme/shop/prod/old.json", "1")
	_, err := n.UpdateEnv(n.admin(), center.EnvPatch{Path: path(t, "acme/shop/prod"), Protected: ptr(true)})
	n.must(err)
	for _, c := range []struct {
		name string
		in   center.Import
	}{
		{"a malformed file", center.Import{Comment: "why", Files: []center.ImportFile{{File: "a.json", Content: []byte("{")}}}},
		{"no comment for a protected env", center.Import{Files: []center.ImportFile{{File: "a.json", Content: []byte("1")}}}},
		{"no comment for what is pruned", center.Import{Prune: true}},
	} {
		c.in.Env = path(t, "acme/shop/prod")
		for _, c.in.DryRun = range []bool{true, false} {
			_, err := n.Import(n.admin(), c.in)
			if config.KindOf(err) != config.Invalid || err == nil {
				t.Errorf("%s, dry run %v: want Invalid, got %v", c.name, c.in.DryRun, err)
			}
		}
	}
	n.wantServed("acme/shop/prod/old.json", "1", 1)
}

func TestDiffOfReleaseDraftAndEnv(t *testing.T) {
	n := start(t)
	n.house()
	n.publish(app, "{\"a\": 1}\n")
	n.publish(app, "{\"a\": 2}\n")
	d, err := n.Diff(n.admin(), center.Ref{Path: path(t, app), Version: 1}, center.Ref{Path: path(t, app)})
	n.must(err)
	if d.Equal || !strings.Contains(d.Unified, "-{\"a\": 1}\n+{\"a\": 2}") || !d.Structural || len(d.Changes) != 1 || d.Changes[0].Path != "/a" {
		t.Errorf("unexpected diff %+v", d)
	}
	_, err = n.Diff(n.admin(), center.Ref{Path: path(t, app)}, center.Ref{Path: path(t, app), Draft: true})
	wantKind(t, config.NotFound, err)
}

func TestMinRevisionIsReadAnywhere(t *testing.T) {
	n := start(t)
	n.house()
	other := join(t, n.store)
	for i := range 50 {
		set, err := n.Publish(n.admin(), one(app, fmt.Sprint(i)))
		n.must(err)
		got, err := other.Get(other.admin(), center.Read{Path: path(t, app), Freshness: center.Freshness{MinRevision: set.Revision}})
		n.must(err)
		if got.Release.Version != set.Items[0].Version {
			t.Errorf("want version %d, got %d", set.Items[0].Version, got.Release.Version)
		}
	}
	_, err := n.Get(n.admin(), center.Read{Path: path(t, app), Freshness: center.Freshness{MinRevision: "zz.elsewhere"}})
	wantKind(t, config.Invalid, err)
}

func FuzzReadArchive(f *testing.F) {
	for _, seed := range [][]byte{nil, []byte("PK"), []byte("PK\x05\x06"), {0x1f, 0x8b}, []byte("x")} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, archive []byte) {
		files, err := center.ReadArchive(archive, 1<<16, 10)
		var known *config.Error
		if err != nil && !errors.As(err, &known) {
			t.Errorf("want a *config.Error, got %v", err)
		}
		var size int
		for _, file := range files {
			size += len(file.Content)
		}
		if size > 1<<16 || len(files) > 10 {
			t.Errorf("%d files with %d bytes passed the bounds", len(files), size)
		}
	})
}
