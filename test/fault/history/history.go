// Package history is what clients of a cluster have seen while it was in
// trouble: each call with when it was made, when it returned and how it ended,
// each event of each watch, and at the end what the cluster says of its past. It
// judges nothing: package check does.
package history

import (
	"slices"
	"sync"
	"time"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

// Kind is what a call asked for.
type Kind string

// The kinds of calls. Read takes what the node has, ReadAfter waits for a token,
// ReadStrong asks for a linearizable point, Snapshot reads the whole env.
const (
	Publish    Kind = "publish"
	Rollback   Kind = "rollback"
	Read       Kind = "read"
	ReadAfter  Kind = "read after"
	ReadStrong Kind = "strong read"
	Snapshot   Kind = "snapshot"
)

// Writes reports whether calls of the kind change something.
func (k Kind) Writes() bool { return k == Publish || k == Rollback }

// Outcome is how a call ended.
type Outcome string

// The outcomes. Of a call that is Refused the client knows that nothing was
// done; of one that is Unknown it does not know.
const (
	OK      Outcome = "ok"
	Refused Outcome = "refused"
	Unknown Outcome = "unknown"
)

// Item is one config of a call.
type Item struct {
	Path config.Path
	// Digest is that of the content written or read; of content read it is
	// computed, not taken from what the server says of it.
	Digest string
	// Expected is the version that a write is conditional on; nil for none.
	Expected *int64
	// Version is the one that was made or read; 0 if there is none or it is unknown.
	Version int64
	// AtLeast is the version that the token of a ReadAfter stands for.
	AtLeast int64
}

// Op is one call of one client. Times are since the history began.
type Op struct {
	Client string // it makes one call after another
	Node   string
	Kind   Kind
	Call   time.Duration
	Return time.Duration
	Items  []Item
	// Comment is a write's own, by which it is found again. To is the version that
	// a rollback goes back to.
	Comment string
	To      int64

	Outcome Outcome
	// ChangeSet and Revision are those of a write that is OK; Revision that of a
	// read as well.
	ChangeSet string
	Revision  config.Token
	// Conflict says that a condition did not hold, Current which version the
	// server has found; of a call that is Refused.
	Conflict bool
	Current  int64
	// Failure is of what kind the error was, and Err its text; Answered says that
	// it is the server's answer, and not the lack of one.
	Failure  config.ErrorKind
	Err      string
	Answered bool
}

// Seen is one event of a watch.
type Seen struct {
	At   time.Duration
	Node string
	// Resumed is the token that the connection was opened with; it is set on the
	// first event of a connection.
	First    bool
	Resumed  config.Token
	Revision config.Token
	Reset    bool
	Current  bool
	Changes  []Item // Version 0 is what is no longer served
}

// Watch is all that one subscriber has been told, over all its connections.
type Watch struct {
	Name string
	Seen []Seen
}

// Past is what the cluster says when it is over.
type Past struct {
	Releases map[config.Path][]config.Release // oldest first
	Sets     []config.ChangeSet               // oldest first
	Audit    []client.AuditRecord             // of publishes and rollbacks
	// Served is what every client is served, each config once.
	Served map[config.Path]Item
	// Token is that of Served.
	Token config.Token
}

// History gathers calls and events. It is safe for concurrent use.
type History struct {
	begun time.Time

	mu         sync.Mutex
	ops        []Op
	watches    map[string]*Watch
	complaints []string
	launches   []Launch
}

// New begins a history.
func New() *History { return &History{begun: time.Now(), watches: map[string]*Watch{}} }

// Now is the time since the history began; it never goes back.
func (h *History) Now() time.Duration { return time.Since(h.begun) }

// Add enters a call that has returned.
func (h *History) Add(o Op) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, o)
}

// See enters an event of the named watch.
func (h *History) See(name string, s Seen) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w := h.watches[name]
	if w == nil {
		w = &Watch{Name: name}
		h.watches[name] = w
	}
	w.Seen = append(w.Seen, s)
}

// Complain enters what must not happen to a client, whatever the trouble.
func (h *History) Complain(who string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.complaints = append(h.complaints, who+": "+err.Error())
}

// Complaints returns what was complained of.
func (h *History) Complaints() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.complaints)
}

// Ops returns all calls, by when they were made.
func (h *History) Ops() []Op {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := slices.Clone(h.ops)
	slices.SortStableFunc(all, func(a, b Op) int { return int(a.Call - b.Call) })
	return all
}

// Watches returns what each subscriber has been told, by name.
func (h *History) Watches() []Watch {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]Watch, 0, len(h.watches))
	for _, w := range h.watches {
		all = append(all, Watch{Name: w.Name, Seen: slices.Clone(w.Seen)})
	}
	slices.SortFunc(all, func(a, b Watch) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return all
}
