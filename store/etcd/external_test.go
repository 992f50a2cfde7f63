package etcd_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/store"
	"github.com/setpointhq/setpoint/store/etcd"
	"github.com/setpointhq/setpoint/store/storetest"
	"github.com/setpointhq/setpoint/store/storetest/etcdproc"
)

// large makes an external etcd take what the embedded one takes.
var large = []string{"--max-txn-ops=10000", "--max-request-bytes=67108864"}

// externalSettings name a cluster; each store gets a prefix of its own.
func externalSettings(p *etcdproc.Process) etcd.Settings {
	var c etcd.Settings
	c.Defaults()
	c.Prefix = fmt.Sprintf("/test-%d/", prefixes.Add(1))
	c.Endpoints = []string{p.Endpoint}
	c.CAFile, c.CertFile, c.KeyFile = p.CAFile, p.CertFile, p.KeyFile
	return c
}

var prefixes atomic.Int64

func openExternal(tb testing.TB, p *etcdproc.Process) store.Store {
	tb.Helper()
	return mustOpen(tb, externalSettings(p))
}

func mustOpen(tb testing.TB, c etcd.Settings) store.Store {
	tb.Helper()
	s, err := c.Open(tb.Context(), store.Env{Log: testLog(tb)})
	if err != nil {
		tb.Fatalf("open: %v", err)
	}
	return s
}

func TestExternalConformance(t *testing.T) {
	t.Parallel()
	p := etcdproc.Start(t, large...)
	storetest.Run(t, func(tb testing.TB) store.Store { return openExternal(tb, p) })
}

func BenchmarkExternal(b *testing.B) {
	p := etcdproc.Start(b, large...)
	storetest.Bench(b, func(tb testing.TB) store.Store { return openExternal(tb, p) })
}

// An external server with its own, lower limits refuses what is too large, and
// only that, however many commits come at once.
func TestExternalLimits(t *testing.T) {
	t.Parallel()
	p := etcdproc.Start(t, "--max-txn-ops=60", "--max-request-bytes=60000")
	s := openExternal(t, p)
	defer s.Close()
	results := make(chan error, 64)
	for w := range cap(results) {
		go func() {
			txn := store.Txn{Writes: []store.Write{{Key: fmt.Sprint("k/", w), Value: make([]byte, 4000)}}}
			switch w {
			case 20:
				txn.Writes[0].Value = make([]byte, 100_000)
			case 40:
				for i := range 61 {
					txn.Writes = append(txn.Writes, store.Write{Key: fmt.Sprint("many/", i)})
				}
			}
			_, err := s.Commit(t.Context(), txn)
			if large := w == 20 || w == 40; large && config.KindOf(err) == config.TooLarge {
				err = nil
			} else if large {
				err = fmt.Errorf("commit %d: error is %w, want kind too_large", w, err)
			}
			results <- err
		}()
	}
	for range cap(results) {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	page, err := s.Range(t.Context(), store.Query{Prefix: true, KeysOnly: true})
	if want := cap(results) - 2; err != nil || len(page.Entries) != want {
		t.Errorf("%d keys, %v, want %d", len(page.Entries), err, want)
	}
}

// A watch goes on without gap or repetition when the server is killed and
// comes back; commits meanwhile fail and say so.
func TestWatchSurvivesTheServersDeath(t *testing.T) {
	t.Parallel()
	p := etcdproc.Start(t)
	c := externalSettings(p)
	c.RequestTimeout = time.Second
	s := mustOpen(t, c)
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const rounds, each = 3, 20
	revisions := make(chan int64, 1000)
	watched := make(chan error, 1)
	go func() {
		defer close(revisions)
		for batch, err := range s.Watch(ctx, "k/", 0) {
			if err != nil {
				watched <- err
				return
			}
			for range batch.Events {
				revisions <- batch.Revision
			}
			if len(batch.Events) > 0 && batch.Events[0].Key == "k/end" {
				watched <- nil
				return
			}
		}
	}()
	var want []int64
	commit := func(key string) error {
		rev, err := s.Commit(ctx, store.Txn{Writes: []store.Write{{Key: key, Value: []byte("v")}}})
		if err == nil {
			want = append(want, rev)
		}
		return err
	}
	for round := range rounds {
		for i := range each {
			if err := commit(fmt.Sprintf("k/%d", i)); err != nil {
				t.Fatalf("round %d, commit %d: %v", round, i, err)
			}
		}
		p.Kill()
		if err := commit("other/down"); config.KindOf(err) != config.Unavailable {
			t.Fatalf("commit while the server is down: error is %v, want kind unavailable", err)
		}
		if _, err := s.Range(ctx, store.Query{Key: "k/0"}); config.KindOf(err) != config.Unavailable {
			t.Fatalf("range while the server is down: error is %v, want kind unavailable", err)
		}
		p.Restart()
		// The connection is set up anew in the background; until then commits fail.
		for {
			_, err := s.Commit(ctx, store.Txn{Writes: []store.Write{{Key: "other/up"}}})
			if err == nil {
				break
			}
			if config.KindOf(err) != config.Unavailable {
				t.Fatalf("commit after the restart: %v", err)
			}
		}
	}
	if err := commit("k/end"); err != nil {
		t.Fatal(err)
	}
	if err := <-watched; err != nil {
		t.Fatalf("watch: %v", err)
	}
	for i := 0; len(revisions) > 0 || i < len(want); i++ {
		got, ok := <-revisions
		if !ok || i >= len(want) || got != want[i] {
			t.Fatalf("event %d of %d is of revision %d", i, len(want), got)
		}
	}
}

// On a shared cluster other people's writes raise the revision; whoever waits
// for a revision that a Range returned must get there all the same.
func TestBookmarksOnASharedCluster(t *testing.T) {
	t.Parallel()
	p := etcdproc.Start(t)
	s := openExternal(t, p)
	defer s.Close()
	other := openExternal(t, p)
	defer other.Close()
	for round := range 20 {
		page, err := s.Range(t.Context(), store.Query{Prefix: true})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if _, err := other.Commit(t.Context(), store.Txn{Writes: []store.Write{{Key: "theirs", Value: []byte("v")}}}); err != nil {
				t.Fatal(err)
			}
		}
		target, err := s.Range(t.Context(), store.Query{Prefix: true})
		if err != nil {
			t.Fatal(err)
		}
		if target.Revision < page.Revision+3 || len(target.Entries) > 0 {
			t.Fatalf("round %d: range is at %d with %d entries after one at %d", round, target.Revision, len(target.Entries), page.Revision)
		}
		for batch, err := range s.Watch(t.Context(), "", page.Revision) {
			if err != nil {
				t.Fatal(err)
			}
			if len(batch.Events) > 0 {
				t.Fatalf("another prefix's events: %+v", batch)
			}
			if batch.Revision >= target.Revision {
				break
			}
		}
	}
}

// A user with permission on the prefix alone is enough; a wrong password is
// reported as such.
func TestUserAndPassword(t *testing.T) {
	t.Parallel()
	p := etcdproc.Start(t)
	c := externalSettings(p)
	enableUsers(t, p, c.Prefix)
	c.Username, c.Password = "setpoint", config.NewSecret("wrong")
	if _, err := c.Open(t.Context(), store.Env{Log: testLog(t)}); config.KindOf(err) != config.Unavailable {
		t.Errorf("error of a wrong password is %v, want kind unavailable", err)
	}
	c.Password = config.NewSecret("right")
	storetest.Bookmarks(t, func(tb testing.TB) store.Store {
		c := c
		c.Prefix += fmt.Sprintf("%d/", prefixes.Add(1))
		return mustOpen(tb, c)
	})
	c.Prefix = "/elsewhere/"
	if s, err := c.Open(t.Context(), store.Env{Log: testLog(t)}); config.KindOf(err) != config.Unavailable {
		t.Errorf("opening a prefix without permission: %v, %v, want kind unavailable", s, err)
	}
}

// enableUsers makes root and a user who may only use the prefix.
func enableUsers(t *testing.T, p *etcdproc.Process, prefix string) {
	t.Helper()
	pem, err := os.ReadFile(p.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	cert, err := tls.LoadX509KeyPair(p.CertFile, p.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	admin, err := clientv3.New(clientv3.Config{
		Endpoints: []string{p.Endpoint}, Logger: zap.NewNop(), DialTimeout: 10 * time.Second,
		TLS: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, Certificates: []tls.Certificate{cert}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	ctx := t.Context()
	var all []error
	note := func(_ any, err error) { all = append(all, err) }
	note(admin.UserAdd(ctx, "root", "root"))
	note(admin.UserGrantRole(ctx, "root", "root"))
	note(admin.UserAdd(ctx, "setpoint", "right"))
	note(admin.RoleAdd(ctx, "setpoint"))
	note(admin.RoleGrantPermission(ctx, "setpoint", prefix, clientv3.GetPrefixRangeEnd(prefix), clientv3.PermissionType(clientv3.PermReadWrite)))
	note(admin.UserGrantRole(ctx, "setpoint", "setpoint"))
	note(admin.AuthEnable(ctx))
	if err := errors.Join(all...); err != nil {
		t.Fatalf("enable users: %v", err)
	}
}

func TestExternalOpenFails(t *testing.T) {
	t.Parallel()
	p := etcdproc.Start(t)
	p.Kill()
	for name, change := range map[string]func(*etcd.Settings){
		"nobody answers":     func(*etcd.Settings) {},
		"no certificate":     func(c *etcd.Settings) { c.CertFile, c.KeyFile = "", "" },
		"the wrong protocol": func(c *etcd.Settings) { c.Endpoints = []string{"http" + p.Endpoint[len("https"):]} },
	} {
		c := externalSettings(p)
		c.DialTimeout = 300 * time.Millisecond
		change(&c)
		if s, err := c.Open(t.Context(), store.Env{Log: testLog(t)}); config.KindOf(err) != config.Unavailable {
			t.Errorf("%s: %v, error is %v, want kind unavailable", name, s, err)
		}
	}
	for name, change := range map[string]func(*etcd.Settings){
		"no such authority":   func(c *etcd.Settings) { c.CAFile += ".missing" },
		"not an authority":    func(c *etcd.Settings) { c.CAFile = c.KeyFile },
		"no such certificate": func(c *etcd.Settings) { c.CertFile += ".missing" },
	} {
		c := externalSettings(p)
		change(&c)
		if s, err := c.Open(t.Context(), store.Env{Log: testLog(t)}); config.KindOf(err) != config.Invalid {
			t.Errorf("%s: %v, error is %v, want kind invalid", name, s, err)
		}
	}
}
