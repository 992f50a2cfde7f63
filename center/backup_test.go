package center_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/backup"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
	"github.com/setpointhq/setpoint/store/memory"
)

// lines is a snapshotter that writes every entry as a line of JSON.
type lines struct {
	store store.Store
	// before is called before each snapshot; its error is the snapshot's.
	before func(context.Context) error
}

func (l *lines) Snapshot(ctx context.Context, w io.Writer) (int64, error) {
	if l.before != nil {
		if err := l.before(ctx); err != nil {
			return 0, err
		}
	}
	page, err := l.store.Range(ctx, store.Query{Prefix: true})
	if err != nil {
		return 0, err
	}
	enc := json.NewEncoder(w)
	for _, e := range page.Entries {
		if err := enc.Encode(e); err != nil {
			return 0, err
		}
	}
	return page.Revision, nil
}

// inventory reads what lies in a backup that lines wrote.
func inventory(t testing.TB, file io.Reader) (backup.Header, backup.Inventory) {
	t.Helper()
	h, r, err := backup.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	var v backup.Inventory
	content, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(content) {
		var e store.Entry
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		v.Take(e)
	}
	return h, v
}

// backed runs a node whose store can be backed up.
func backed(t testing.TB, before func(context.Context) error, change ...func(*center.Options)) *node {
	t.Helper()
	s := memory.New()
	t.Cleanup(func() { s.Close() })
	if _, _, err := center.Bootstrap(t.Context(), s, plainHasher{}, config.Secret{}, time.Now()); err != nil {
		t.Fatal(err)
	}
	return joinWith(t, s, func(o *center.Options) {
		o.Snapshotter = &lines{store: s, before: before}
		o.Version, o.EngineName, o.Elector = "1.2.3", "lines", s
		for _, f := range change {
			f(o)
		}
	})
}

func TestABackupHoldsEverythingAndEveryRecordOfItReads(t *testing.T) {
	n := backed(t, nil)
	n.house()
	large := strings.Repeat("#", 100_000)
	n.publish("acme/shop/dev/app.json", `{"a":1}`)
	n.publish("acme/shop/dev/app.json", `{"a":2}`)
	n.publish("acme/shop/prod/large.yaml", "a: 1\n"+large)
	_, _, err := n.SaveDraft(n.admin(), center.SaveDraft{Path: path(t, "acme/shop/dev/app.json"), Content: []byte(`{"a":`)})
	n.must(err)
	n.must(n.DeleteConfig(n.admin(), center.DeleteConfig{Path: path(t, "acme/shop/prod/large.yaml")}))
	n.user("vera")
	_, _, err = n.CreateToken(n.as("vera"), center.NewToken{})
	n.must(err)
	var out bytes.Buffer
	info, err := n.Backup(n.admin(), &out)
	n.must(err)
	if info.Size != int64(out.Len()) || info.Revision <= 0 {
		t.Errorf("want %d bytes at some revision, got %+v", out.Len(), info)
	}
	h, got := inventory(t, &out)
	if h.Version != "1.2.3" || h.Engine != "lines" || h.Installation != n.view.Snapshot().Cluster || h.Created.IsZero() {
		t.Errorf("the header tells %+v", h)
	}
	if got.AuditRecords < 10 || got.Newest.IsZero() {
		t.Errorf("want the records of all that was done, got %d until %s", got.AuditRecords, got.Newest)
	}
	want := backup.Inventory{
		Installation: h.Installation, Layout: record.Format, Tenants: 1, Apps: 1, Envs: 3, Configs: 2, Drafts: 1, Releases: 3,
		Users: 2, Tokens: 1, Bindings: 1, AuditRecords: got.AuditRecords, Newest: got.Newest,
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(backup.Inventory{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestABackupIsRecordedBeforeItsFirstByte(t *testing.T) {
	n := backed(t, func(context.Context) error { return errors.New("the engine has no time") })
	recorded := &onWrite{do: func() {
		page, err := n.Audit(n.admin(), center.AuditRequest{Action: "backup.create"})
		n.must(err)
		if len(page.Items) != 1 || page.Items[0].Actor.Subject != center.AdminUser {
			t.Errorf("want one record of admin's, got %+v", page.Items)
		}
	}}
	if _, err := n.Backup(n.admin(), recorded); err == nil || !recorded.done {
		t.Errorf("want something written, and the engine's error, got %v", err)
	}
}

// onWrite does something at the first write.
type onWrite struct {
	do   func()
	done bool
}

func (o *onWrite) Write(p []byte) (int, error) {
	if !o.done {
		o.done = true
		o.do()
	}
	return len(p), nil
}

func TestABackupIsMadeOfAStoreThatTakesNoChanges(t *testing.T) {
	for _, tc := range []struct {
		kind config.ErrorKind
		made bool
	}{{config.Unavailable, true}, {config.Exhausted, true}, {config.Timeout, true}, {config.Internal, false}, {config.Invalid, false}} {
		t.Run(tc.kind.String(), func(t *testing.T) {
			f := &faulty{}
			n := backed(t, nil, func(o *center.Options) { f.Store, o.Store = o.Store, f })
			f.fail(config.Errorf(tc.kind, "commit", "", "no"))
			var out bytes.Buffer
			_, err := n.Backup(n.admin(), &out)
			if made := err == nil && out.Len() > 0; made != tc.made || !made && out.Len() > 0 {
				t.Errorf("want it made: %v, got %d bytes, %v", tc.made, out.Len(), err)
			}
		})
	}
}

func TestANodeMakesOneBackupAtATime(t *testing.T) {
	begun, end := make(chan struct{}), make(chan struct{})
	n := backed(t, func(context.Context) error {
		begun <- struct{}{}
		<-end
		return nil
	})
	ended := make(chan error, 1)
	go func() {
		_, err := n.Backup(n.admin(), io.Discard)
		ended <- err
	}()
	<-begun
	_, err := n.Backup(n.admin(), io.Discard)
	wantKind(t, config.Throttled, err)
	close(end)
	n.must(<-ended)
	go func() { <-begun }()
	_, err = n.Backup(n.admin(), io.Discard)
	n.must(err)
}

func TestAStoreThatCannotBeBackedUpSaysSo(t *testing.T) {
	n := start(t)
	_, err := n.Backup(n.admin(), io.Discard)
	wantKind(t, config.Unsupported, err)
	wantKind(t, config.Unsupported, n.RunBackups(t.Context(), backup.Schedule{Every: time.Hour, Dir: t.TempDir(), Keep: 1}))
}

// run makes backups by the clock until the returned function is called.
func (n *node) run(s backup.Schedule) (stop func()) {
	ctx, cancel := context.WithCancel(n.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.RunBackups(ctx, s) }()
	return func() {
		n.t.Helper()
		cancel()
		n.must(<-ended)
	}
}

func files(t testing.TB, dir string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	hidden, err := filepath.Glob(filepath.Join(dir, ".*"))
	if err != nil {
		t.Fatal(err)
	}
	return append(all, hidden...)
}

func TestBackupsByTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Pointer[config.Error]
		n := backed(t, func(context.Context) error {
			if err := broken.Load(); err != nil {
				return err
			}
			return nil
		})
		dir := filepath.Join(t.TempDir(), "backups")
		s := backup.Schedule{Every: time.Hour, Dir: dir, Keep: 2}
		stop := n.run(s)
		pass(time.Second)
		first := n.LastBackup()
		if first.Made != 1 || first.Err != nil || len(files(t, dir)) != 1 {
			t.Errorf("want one at once, got %+v", first)
		}
		pass(time.Hour / 2)
		stop()
		// A restart makes none before it is due.
		stop = n.run(s)
		pass(time.Hour/2 - time.Minute)
		if got := len(files(t, dir)); got != 1 {
			t.Errorf("want no other yet, got %d", got)
		}
		pass(2 * time.Hour)
		if got := files(t, dir); len(got) != 2 {
			t.Errorf("want the newest two kept, got %q", got)
		}
		if _, err := os.Stat(first.File); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("want the first one deleted, got %v", err)
		}
		broken.Store(config.Errorf(config.Unavailable, "snapshot", "", "the engine has no time"))
		pass(time.Hour)
		failed := n.LastBackup()
		if config.KindOf(failed.Err) != config.Unavailable || failed.Failures == 0 || failed.Good.IsZero() || len(files(t, dir)) != 2 {
			t.Errorf("want the failure told and the good ones kept, got %+v and %q", failed, files(t, dir))
		}
		broken.Store(nil)
		pass(10 * time.Minute)
		if got := n.LastBackup(); got.Err != nil || !got.Good.After(failed.Good) || got.Failures != failed.Failures {
			t.Errorf("want it to have tried again soon, got %+v", got)
		}
		stop()
		f, err := os.Open(n.LastBackup().File)
		n.must(err)
		defer f.Close()
		if _, got := inventory(t, f); got.Unreadable > 0 || got.Users != 1 {
			t.Errorf("want all of it, got %+v", got)
		}
		page, err := n.Audit(n.admin(), center.AuditRequest{Action: "backup.create", Actor: "system"})
		n.must(err)
		if len(page.Items) < 4 {
			t.Errorf("want them recorded, got %d", len(page.Items))
		}
	})
}

func TestOneNodeOfManyMakesBackupsByTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := backed(t, nil)
		b := joinWith(t, a.store, func(o *center.Options) {
			o.Snapshotter, o.EngineName, o.Elector = &lines{store: a.store}, "lines", a.store.(store.Elector)
		})
		s := backup.Schedule{Every: time.Hour, Dir: t.TempDir(), Keep: 9}
		stopA := a.run(s)
		pass(time.Second)
		stopB := b.run(s)
		pass(time.Hour + time.Minute)
		if a.LastBackup().Made != 2 || b.LastBackup().Made != 0 {
			t.Errorf("want two of the first node's, got %+v and %+v", a.LastBackup(), b.LastBackup())
		}
		stopA()
		pass(time.Hour)
		if a.LastBackup().Made != 2 || b.LastBackup().Made != 1 {
			t.Errorf("want the second node to take over when one is due, got %+v and %+v", a.LastBackup(), b.LastBackup())
		}
		stopB()
	})
}

func TestNoScheduleMakesNoBackups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := backed(t, nil)
		dir := t.TempDir()
		stop := n.run(backup.Schedule{Dir: dir, Keep: 1})
		pass(48 * time.Hour)
		stop()
		if got := files(t, dir); len(got) > 0 {
			t.Errorf("want none, got %q", got)
		}
	})
}
