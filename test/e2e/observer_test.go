package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

// observer is what a watcher knows, and the judge of what it is told.
type observer struct {
	t       testing.TB
	name    string
	mu      sync.Mutex
	served  map[config.Path]client.Change
	highest map[config.Path]client.Change // of each config, ever; what is deleted included
	events  int
	twins   [2]config.Path // always published together, with the same content
}

func newObserver(t testing.TB, name string, twins [2]config.Path) *observer {
	return &observer{
		t: t, name: name, twins: twins,
		served: map[config.Path]client.Change{}, highest: map[config.Path]client.Change{},
	}
}

// take applies an event and judges it.
func (o *observer) take(e client.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events++
	if e.Reset {
		clear(o.served)
	}
	for _, c := range e.Changes {
		if c.Deleted {
			delete(o.served, c.Path)
			continue
		}
		o.judge(c)
		o.served[c.Path] = c
		o.highest[c.Path] = c
	}
	one, two := o.served[o.twins[0]], o.served[o.twins[1]]
	if one.Digest != two.Digest {
		o.t.Errorf("%s saw half a change set: %s is at version %d, %q; %s at %d, %q",
			o.name, o.twins[0], one.Version, one.Content, o.twins[1], two.Version, two.Content)
	}
}

// knows reports whether the watcher has come to a version of a config.
func (o *observer) knows(at config.Path, version int64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.served[at].Version >= version
}

func (o *observer) judge(c client.Change) {
	sum := sha256.Sum256(c.Content)
	if got := hex.EncodeToString(sum[:]); got != c.Digest || int64(len(c.Content)) != c.Size {
		o.t.Errorf("%s: %s version %d has %d bytes of digest %s, not %d of %s", o.name, c.Path, c.Version, len(c.Content), got, c.Size, c.Digest)
	}
	before := o.highest[c.Path]
	if c.Version < before.Version || c.Version == before.Version && c.Digest != before.Digest {
		o.t.Errorf("%s: %s went from version %d (%s) to %d (%s)", o.name, c.Path, before.Version, before.Digest, c.Version, c.Digest)
	}
}

// wantState compares what the watcher knows with what the server serves.
func (o *observer) wantState(want client.Snapshot) {
	o.t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	var wrong []string
	there := map[config.Path]bool{}
	for _, r := range want.Configs {
		there[r.Path] = true
		if got := o.served[r.Path]; got.Version != r.Version || string(got.Content) != string(r.Content) {
			wrong = append(wrong, fmt.Sprintf("%s: want version %d, got %d", r.Path, r.Version, got.Version))
		}
	}
	for p := range o.served {
		if !there[p] {
			wrong = append(wrong, p.String()+": is not served, but the watcher has it")
		}
	}
	if len(wrong) > 0 {
		o.t.Errorf("%s has another state than the server:\n%s", o.name, strings.Join(wrong, "\n"))
	}
}
