package cluster

import (
	"cmp"
	"context"
	"crypto/rand"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/setpointhq/setpoint/config"
)

const (
	// silentAfter is when a node that says hello every other second is taken to be
	// gone, and forgetAfter when an edge is no longer mentioned.
	silentAfter = 7 * time.Second
	forgetAfter = 10 * time.Minute
	// maxHeard bounds the table: all in it have shown a certificate.
	maxHeard = 10_000
)

// table is what this node has heard from others. It is how members know edges,
// which nobody can call: they are asked when they say hello.
type table struct {
	mu      sync.Mutex
	entries map[string]*entry // by name
}

// entry is one node that has said hello.
type entry struct {
	report report
	at     time.Time // when it said so, on this machine's clock
	waits  bool      // it can be asked
	asked  map[string]*asked
	wake   chan struct{} // holds a token while there may be something to ask
}

// asked is a question under way.
type asked struct {
	question question
	sent     bool
	answer   chan *clients // takes one answer
}

// heard is what somebody else has heard.
type heard struct {
	Report report `json:"report"`
	// Ago is how long ago that was.
	Ago config.Seconds `json:"ago_seconds"`
}

func (e entry) fresh(now time.Time) bool { return now.Sub(e.at) < silentAfter }

// put takes in what a node said. Exists if one of that name runs elsewhere.
func (t *table) put(h *hello, now time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := &h.Report.Node
	e, known := t.entries[n.Name]
	if known && e.report.Boot != h.Report.Boot && e.fresh(now) && (e.report.Node.Peer != n.Peer || e.report.Node.URL != n.URL) {
		return config.Errorf(config.Exists, "", "", "a node named %s is running already, at %s; give this one another name", n.Name, cmp.Or(e.report.Node.Peer, e.report.Node.URL, "another host"))
	}
	if !known {
		t.forget(now)
		if len(t.entries) >= maxHeard {
			return config.Errorf(config.Exhausted, "", "", "%d nodes have said hello, more than are possible", maxHeard)
		}
		e = t.add(n.Name)
	}
	e.report, e.at, e.waits = h.Report, now, h.Wait
	return nil
}

// add makes an entry; the lock is held.
func (t *table) add(name string) *entry {
	if t.entries == nil {
		t.entries = map[string]*entry{}
	}
	e := &entry{asked: map[string]*asked{}, wake: make(chan struct{}, 1)}
	t.entries[name] = e
	return e
}

// forget drops edges that have not been heard of for long; the lock is held.
func (t *table) forget(now time.Time) {
	maps.DeleteFunc(t.entries, func(_ string, e *entry) bool { return now.Sub(e.at) > forgetAfter })
}

// learn takes in what others have heard, where that is news.
func (t *table) learn(all []heard, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(now)
	for _, h := range all {
		at := now.Add(-time.Duration(float64(h.Ago) * float64(time.Second)))
		e, known := t.entries[h.Report.Node.Name]
		if !known && len(t.entries) < maxHeard {
			e = t.add(h.Report.Node.Name)
		}
		if e != nil && at.After(e.at) {
			e.report, e.at = h.Report, at
		}
	}
}

// get returns the entry of a name.
func (t *table) get(name string) (entry, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e, ok := t.entries[name]
	if !ok {
		return entry{}, false
	}
	return *e, true
}

// drop forgets a node.
func (t *table) drop(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.entries, name)
}

// dropBoot forgets one run of a node that ends, and not the next one.
func (t *table) dropBoot(name, boot string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e, ok := t.entries[name]; ok && e.report.Boot == boot {
		delete(t.entries, name)
	}
}

// edges lists the edges that are not forgotten, by name.
func (t *table) edges(now time.Time) []heard {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(now)
	var out []heard
	for _, name := range slices.Sorted(maps.Keys(t.entries)) {
		if e := t.entries[name]; e.report.Node.Role == config.Edge {
			out = append(out, heard{Report: e.report, Ago: config.Seconds(now.Sub(e.at).Seconds())})
		}
	}
	return out
}

// askable lists the nodes that are asked when they say hello.
func (t *table) askable(now time.Time) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []string
	for name, e := range t.entries {
		if e.waits && e.fresh(now) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// ask asks a node for its clients with its next hello, and waits for the answer
// until ctx ends.
func (t *table) ask(ctx context.Context, name string, what question) (*clients, error) {
	id := rand.Text()
	what.ID = id
	q := &asked{question: what, answer: make(chan *clients, 1)}
	t.mu.Lock()
	e, ok := t.entries[name]
	if ok {
		e.asked[id] = q
		select {
		case e.wake <- struct{}{}:
		default: // it has one
		}
	}
	t.mu.Unlock()
	if !ok {
		return nil, config.Errorf(config.NotFound, "ask", name, "no node of that name")
	}
	defer func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(e.asked, id)
	}()
	select {
	case found := <-q.answer:
		return found, nil
	case <-ctx.Done():
		return nil, &config.Error{Op: "ask", Path: name, Kind: config.KindOf(ctx.Err()), Err: ctx.Err()}
	}
}

// questions returns what a node is to be asked. It waits for something until
// ctx ends.
func (t *table) questions(ctx context.Context, name string) []question {
	for {
		t.mu.Lock()
		e, ok := t.entries[name]
		if !ok {
			t.mu.Unlock()
			return nil
		}
		var out []question
		for _, q := range e.asked {
			if !q.sent {
				q.sent = true
				out = append(out, q.question)
			}
		}
		t.mu.Unlock()
		if len(out) > 0 {
			return out
		}
		select {
		case <-e.wake:
		case <-ctx.Done():
			return nil
		}
	}
}

// answered takes a node's answer in. What nobody waits for any more is dropped.
func (t *table) answered(name, id string, found *clients) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e, ok := t.entries[name]
	if !ok {
		return
	}
	if q, ok := e.asked[id]; ok {
		delete(e.asked, id)
		q.answer <- found // there is room: each is taken out once
	}
}
