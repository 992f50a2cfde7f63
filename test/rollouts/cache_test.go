package rollouts

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestStartsFromTheCache ends all servers and restarts applications: they start
// from what they have kept, say so, and catch up when a server comes back with a
// newer release.
func TestStartsFromTheCache(t *testing.T) {
	const secret = "correct horse battery staple"
	h := newHouse(t, shop)
	h.publish(shop + `/limits.json={"n": 7, "note": "` + secret + `"}`)
	key := make([]byte, 32)
	_, _ = rand.Read(key)

	apps := map[string]*web{}
	for name, env := range map[string][]string{"plain": nil, "sealed": {"APP_CACHE_KEY=" + hex.EncodeToString(key)}} {
		dir := filepath.Join(h.dir, name+"-cache")
		app := newApp(h, name, append(env, "APP_CACHE="+dir)...)
		app.process.Secret(h.token)
		app.start()
		app.until("version 1 from a server", func(a answered) bool {
			return a.Version == 1 && a.N == 7 && a.Note == secret && !a.FromCache && a.Connected
		})
		h.must(app.process.Stop(patience))
		if got, want := h.holds(dir, secret), name == "plain"; got != want {
			t.Errorf("%s: want a clear text in the cache: %t, got %t", name, want, got)
		}
		apps[name] = app
	}
	h.publish(shop + `/limits.json={"n": 8, "note": "new"}`)
	h.must(h.process.Kill())

	for name, app := range apps {
		if app.logged("cache") {
			t.Errorf("%s spoke of its cache before it was needed", name)
		}
		app.process.Env = append(app.process.Env, "APP_START_WITHIN=200ms")
		app.start()
		app.until("version 1 from the cache", func(a answered) bool {
			return a.Version == 1 && a.N == 7 && a.Note == secret && a.FromCache && !a.Connected
		})
		if !app.logged("level=WARN", "started from the local cache", h.addr, "configs=1", "age=") {
			t.Errorf("%s does not say that it started from its cache:\n%s", name, app.process.Log())
		}
	}
	pids := map[string]int{}
	for name, app := range apps {
		pids[name] = app.process.PID()
	}
	h.run()
	for name, app := range apps {
		got := app.until("version 2 from the server that is back", func(a answered) bool {
			return a.Version == 2 && a.N == 8 && a.Note == "new" && !a.FromCache && a.Connected
		})
		if got.PID != pids[name] {
			t.Errorf("%s restarted: process %d became %d", name, pids[name], got.PID)
		}
	}

	// Who has the cache and not its key has nothing.
	h.must(apps["sealed"].process.Stop(patience))
	h.must(h.process.Kill())
	thief := newApp(h, "thief", "APP_CACHE="+filepath.Join(h.dir, "sealed-cache"), "APP_START_WITHIN=200ms")
	thief.process.Troubled = true
	h.must(thief.process.Launch())
	if err := thief.process.Wait(patience); err == nil || !thief.logged("it is sealed; give the cache key") {
		t.Errorf("without its key a sealed cache is of no use: %v\n%s", err, thief.process.Log())
	}
	h.run() // what is to end in order must run
}

// holds reports whether a text is in some file below a folder, of which there is
// at least one.
func (h *house) holds(dir, text string) (found bool) {
	h.Helper()
	files := 0
	h.must(filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		files++
		content, err := os.ReadFile(name)
		found = found || bytes.Contains(content, []byte(text))
		return err
	}))
	if files == 0 {
		h.Errorf("nothing is kept in %s", dir)
	}
	return found
}
