package graphql

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/auth"
	byname "github.com/setpointhq/setpoint/auth/basic"
	"github.com/setpointhq/setpoint/auth/rbac"
	"github.com/setpointhq/setpoint/cache"
	cachememory "github.com/setpointhq/setpoint/cache/memory"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/format"
	"github.com/setpointhq/setpoint/format/yaml"
	"github.com/setpointhq/setpoint/internal/view"
	"github.com/setpointhq/setpoint/plugin"
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/store"
	"github.com/setpointhq/setpoint/store/memory"
)

// severed is a store that can be cut off.
type severed struct {
	*memory.Store
	mu  sync.Mutex
	cut bool
}

func (s *severed) set(cut bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut = cut
}

// Range implements store.Store.
func (s *severed) Range(ctx context.Context, q store.Query) (store.Page, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cut {
		return store.Page{}, errors.New("no leader")
	}
	return s.Store.Range(ctx, q)
}

// isolate makes a node that nothing leads to but a call, in a bubble of time, with
// limits as to how stale it may be.
func isolate(t *testing.T, limit time.Duration) (*severed, *api, context.Context) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	log := slog.New(slog.DiscardHandler)
	st := &severed{Store: memory.New()}
	var caches cachememory.Settings
	caches.Defaults()
	contents, err := caches.Open(ctx, cache.Env{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	var passwords byname.Settings
	passwords.Defaults()
	passwords.Memory, passwords.Time = 7*plugin.MiB, 5 // the quickest that there is
	directory := center.NewDirectory(log)
	byPassword, err := passwords.Open(ctx, auth.Env{Directory: directory, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	hasher, _ := byPassword.(auth.PasswordHasher)
	if _, _, err := center.Bootstrap(ctx, st, hasher, config.Secret{}, time.Now()); err != nil {
		t.Fatal(err)
	}
	v := view.New(view.Options{Store: st, Cache: contents, Log: log})
	v.Tail(directory.Sections(), directory.Apply)
	var limits center.Limits
	limits.Defaults()
	limits.MaxStaleness = limit
	c := center.New(center.Options{
		Store: st, View: v, Formats: format.NewSet(yaml.New()), Directory: directory, Authorizer: rbac.New(directory), Limits: limits, Log: log,
	})
	var running sync.WaitGroup
	running.Go(func() { _ = v.Run(ctx) }) // ends with ctx
	running.Go(func() { _ = c.Run(ctx) })
	<-v.Ready()
	var s Settings
	s.Defaults()
	a, err := newAPI(s, protocol.Host{Center: c, Log: log, Observer: protocol.NoObserver{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(context.Background()); err != nil {
			t.Error(err)
		}
		cancel()
		running.Wait()
		contents.Close()
		st.Close()
	})
	return st, a, auth.WithIdentity(ctx, auth.Identity{Subject: center.AdminUser, Method: byname.Name})
}

// Who asks for it is told that the node is cut off, and that it no longer is; if it
// is cut off for too long, the stream ends.
func TestStreamsAreToldThatTheirNodeIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, a, ctx := isolate(t, time.Minute)
		open := func(selection string) (func() any, *atomic.Int32) {
			asked := &request{Query: `subscription{watch(paths:["acme"]){` + selection + `}}`}
			o, err := a.prepare(ctx, asked)
			if err != nil {
				t.Fatal(err)
			}
			woken := new(atomic.Int32)
			s, err := a.transport.openStream(ctx, o, "", func() { woken.Add(1) })
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.watch.Close)
			return func() any {
				h, more, err := a.transport.next(&s)
				switch {
				case err != nil:
					return config.KindOf(err)
				case !more:
					return nil
				case h.stale != nil && h.Revision != "":
					return *h.stale
				}
				return h.Reset
			}, woken
		}
		pass := func(d time.Duration) {
			<-time.After(d)
			synctest.Wait()
		}
		asking, woken := open("stale")
		other, _ := open("revision")
		want := func(when string, fromAsking, fromOther any) {
			t.Helper()
			if diff := cmp.Diff([]any{fromAsking, fromOther}, []any{asking(), other()}); diff != "" {
				t.Errorf("%s: %s", when, diff)
			}
		}
		want("at first", true, true)
		want("then", nil, nil)
		before := woken.Load()
		st.set(true)
		pass(12500 * time.Millisecond)
		if woken.Load() == before {
			t.Error("want it woken")
		}
		want("cut off", 12, nil)
		want("still cut off", nil, nil)
		st.set(false)
		pass(12500 * time.Millisecond)
		want("in touch again", 0, nil)
		st.set(true)
		pass(75 * time.Second)
		want("cut off for too long", 75, config.Unavailable)
		want("and so", config.Unavailable, config.Unavailable)
	})
}
