package center

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unique"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/view"
)

// The bounds of what is remembered of one client.
const (
	maxInstanceID     = 256 // bytes; one with a longer name is not remembered
	maxInstanceLabels = 64  // nor one with more labels
	maxInstanceAgent  = 256 // bytes
	maxVisits         = 16
	maxHolds          = 256
	maxReason         = 1_000 // bytes
	maxReasons        = 8 << 10
)

// namedKey tells clients apart. A name is a claim, so that one user's instances
// are never taken for those of another.
type namedKey struct{ user, id string }

// hash is the same on every node.
func (k namedKey) hash() uint64 {
	sum := sha256.Sum256([]byte(k.user + "\x00" + k.id))
	return binary.BigEndian.Uint64(sum[:])
}

// named is one client of a register. What is known of it is read without a lock.
type named struct {
	key   namedKey
	hash  uint64
	since int64        // nanoseconds since 1970
	seen  atomic.Int64 // its last sign, milliseconds since 1970
	state atomic.Pointer[namedState]

	mu   sync.Mutex // held to put another state in the place of one
	gone bool       // forgotten: nothing is written here any more
}

func newNamed(key namedKey, now time.Time) *named {
	key = namedKey{user: strings.Clone(key.user), id: strings.Clone(key.id)}
	e := &named{key: key, hash: key.hash(), since: now.UnixNano()}
	state := &namedState{client: config.Client{ID: key.id}}
	state.weight = state.weigh()
	e.state.Store(state)
	e.sign(now)
	return e
}

// sign notes that the client was there.
func (e *named) sign(now time.Time) {
	if ms := now.UnixMilli(); ms > e.seen.Load() {
		e.seen.Store(ms)
	}
}

// namedState is what is known of a client. It never changes; another takes its
// place.
type namedState struct {
	client          config.Client // as it described itself last
	agent, protocol string
	watches         []*Watch // that are open
	visits          []*visit // the oldest first
	holds           []hold   // by path
	weight          int64    // bytes, roughly
}

// visit is what a client was brought to by a watch that is closed, or by reading
// a whole env.
type visit struct {
	env      config.Path // zero for a watch
	texts    []string
	patterns []config.Pattern
	revision atomic.Int64
}

func (s *visit) same(o *visit) bool { return o.env == s.env && slices.Equal(o.texts, s.texts) }

// hold is what a client has of one config.
type hold struct {
	path unique.Handle[config.Path]
	sent int64 // read last; 0 if a visit tells
	said *said // nil if it has not reported
}

// said is what a client reported of one config.
type said struct {
	applied, refused     int64
	appliedAt, refusedAt int64 // milliseconds since 1970
	why                  string
}

func (s *said) holding() config.Holding {
	h := config.Holding{Applied: s.applied, Refused: s.refused, Why: s.why}
	if s.applied > 0 {
		h.AppliedAt = time.UnixMilli(s.appliedAt).UTC()
	}
	if s.refused > 0 {
		h.RefusedAt = time.UnixMilli(s.refusedAt).UTC()
	}
	return h
}

func (s *namedState) idle() bool { return len(s.watches) == 0 }

// weigh returns about how many bytes the client takes up.
func (s *namedState) weigh() int64 {
	const itself, label, each, aVisit, aPattern, aHold, aReport = 400, 48, 8, 96, 80, 24, 56
	n := itself + len(s.client.ID) + len(s.client.Address) + len(s.client.Slot) + len(s.agent) + each*len(s.watches) + aHold*len(s.holds)
	for k, v := range s.client.Labels {
		n += label + len(k) + len(v)
	}
	for _, v := range s.visits {
		n += aVisit
		for _, text := range v.texts {
			n += aPattern + len(text)
		}
	}
	for _, h := range s.holds {
		if h.said != nil {
			n += aReport + len(h.said.why)
		}
	}
	return int64(n)
}

// hold finds what the client has of a config by itself.
func (s *namedState) hold(path config.Path) (int, bool) {
	return slices.BinarySearchFunc(s.holds, path, func(h hold, p config.Path) int { return comparePaths(h.path.Value(), p) })
}

func comparePaths(a, b config.Path) int {
	return cmp.Or(strings.Compare(a.Tenant, b.Tenant), strings.Compare(a.App, b.App), strings.Compare(a.Env, b.Env), strings.Compare(a.Name, b.Name))
}

// said returns what the client reported of a config; nil if it did not.
func (s *namedState) said(path config.Path) *said {
	if i, found := s.hold(path); found {
		return s.holds[i].said
	}
	return nil
}

// concerns reports whether the client has to do with the path, or something
// below it.
func (s *namedState) concerns(path config.Path) bool {
	if s.follows(path) {
		return true
	}
	if path.Level() == config.LevelConfig {
		_, found := s.hold(path)
		return found
	}
	return slices.ContainsFunc(s.holds, func(h hold) bool { return path.Contains(h.path.Value()) })
}

// follows reports whether the client has watched, or read as a whole env, the
// path or something below it.
func (s *namedState) follows(path config.Path) bool {
	return slices.ContainsFunc(s.watches, func(w *Watch) bool { return reach(w.selects, path) }) ||
		slices.ContainsFunc(s.visits, func(sp *visit) bool { return reach(sp.patterns, path) })
}

func reach(patterns []config.Pattern, path config.Path) bool {
	for i := range patterns {
		if patterns[i].Reaches(path) {
			return true
		}
	}
	return false
}

// sent returns the version of a config that the client was last sent; 0 if that
// is not known.
func (s *namedState) sent(cfg *view.Config) int64 {
	path := cfg.Meta.Path
	for _, w := range s.watches {
		if reach(w.selects, path) {
			return cfg.ServedAt(w.client, w.sub.Revision())
		}
	}
	if i, found := s.hold(path); found && s.holds[i].sent > 0 {
		return s.holds[i].sent
	}
	for _, sp := range slices.Backward(s.visits) {
		if reach(sp.patterns, path) {
			return cfg.ServedAt(s.client, sp.revision.Load())
		}
	}
	return 0
}

// as reports whether the client is known as it describes itself now. While a
// watch is open, it is known by that: it decides what the client is sent.
func (s *namedState) as(v visitor) bool {
	return len(s.watches) > 0 ||
		s.client.Address == v.client.Address && s.client.Slot == v.client.Slot && maps.Equal(s.client.Labels, v.client.Labels)
}

// describe takes in how a client describes itself. What is kept are copies, that
// keep no request alive.
func (s *namedState) describe(v visitor) {
	if s.as(v) && s.protocol != "" {
		return
	}
	labels := make(map[string]string, len(v.client.Labels))
	for key, value := range v.client.Labels {
		labels[strings.Clone(key)] = strings.Clone(value)
	}
	if len(labels) == 0 {
		labels = nil
	}
	s.client.Address, s.client.Slot, s.client.Labels = strings.Clone(v.client.Address), strings.Clone(v.client.Slot), labels
	s.agent, s.protocol = clipped(v.agent, maxInstanceAgent), v.protocol
}

// clipped copies a text and shortens it to a number of bytes, halving no
// character.
func clipped(text string, most int) string {
	if len(text) > most {
		text = text[:most]
	}
	return strings.ToValidUTF8(strings.Clone(text), "")
}

// at returns the hold of a config for an edit, and makes it if there is none. A
// client that has as many as it may loses one that it said nothing of or, if it
// reported them all, the one that it reported longest ago.
func (s *namedState) at(path config.Path) *hold {
	s.holds = slices.Clone(s.holds)
	i, found := s.hold(path)
	if !found && len(s.holds) >= maxHolds {
		out := 0
		for j := range s.holds {
			if s.holds[j].age() < s.holds[out].age() {
				out = j
			}
		}
		s.holds = slices.Delete(s.holds, out, out+1)
		i, _ = s.hold(path)
	}
	if !found {
		s.holds = slices.Insert(s.holds, i, hold{path: unique.Make(path)})
	}
	return &s.holds[i]
}

// age is when the client last reported the config, in milliseconds since 1970.
func (h *hold) age() int64 {
	if h.said == nil {
		return 0
	}
	return max(h.said.appliedAt, h.said.refusedAt)
}

// brought notes that the client was brought to a revision of all that a visit had.
func (s *namedState) brought(sp *visit) {
	if sp.revision.Load() == 0 { // by a watch that it left before anything came
		if i := slices.IndexFunc(s.visits, sp.same); i >= 0 {
			return
		}
	}
	visits := slices.DeleteFunc(slices.Clone(s.visits), sp.same)
	if len(visits) >= maxVisits {
		visits = slices.Delete(visits, 0, 1)
	}
	s.visits = append(visits, sp)
	s.supersede(sp.patterns)
}

// supersede forgets what the client was sent one by one of what patterns select.
func (s *namedState) supersede(patterns []config.Pattern) {
	superseded := func(h hold) bool { return h.sent > 0 && reach(patterns, h.path.Value()) }
	if !slices.ContainsFunc(s.holds, superseded) {
		return
	}
	s.holds = slices.Clone(s.holds)
	for i := range s.holds {
		if superseded(s.holds[i]) {
			s.holds[i].sent = 0
		}
	}
	s.holds = slices.DeleteFunc(s.holds, func(h hold) bool { return h.sent == 0 && h.said == nil })
}

// visitor is a client that speaks to this node now.
type visitor struct {
	user            string
	client          config.Client
	agent, protocol string
	now             time.Time
}

func (v visitor) key() namedKey { return namedKey{user: v.user, id: v.client.ID} }

// named reports whether it says a name, and can be remembered by it.
func (v visitor) named() bool {
	return v.client.ID != "" && len(v.client.ID) <= maxInstanceID && len(v.client.Labels) <= maxInstanceLabels
}

// readConfig notes that a client was sent a version of a config. It is part of
// every read by one that says its name: where there is nothing new to note, it
// takes no lock of its own and no memory.
func (i *instances) readConfig(v visitor, path config.Path, version int64) {
	if e := i.find(v.key()); e != nil {
		s := e.state.Load()
		if at, found := s.hold(path); s.as(v) && (found && s.holds[at].sent == version || !found && len(s.holds) >= maxHolds) {
			e.sign(v.now)
			return
		}
	}
	if !v.named() {
		return
	}
	i.change(v.key(), v.now, false, func(s *namedState) {
		s.describe(v)
		if _, found := s.hold(path); found || len(s.holds) < maxHolds {
			s.at(path).sent = version
		}
	})
}

// readEnv notes that a client was sent all of an env as of a revision.
func (i *instances) readEnv(v visitor, env config.Path, revision int64) {
	if e := i.find(v.key()); e != nil {
		s := e.state.Load()
		of := slices.IndexFunc(s.visits, func(sp *visit) bool { return sp.env == env })
		if of >= 0 && s.as(v) && !slices.ContainsFunc(s.holds, func(h hold) bool { return h.sent > 0 && env.Contains(h.path.Value()) }) {
			s.visits[of].revision.Store(revision)
			e.sign(v.now)
			return
		}
	}
	text := env.String()
	pattern, err := config.ParsePattern(text)
	if err != nil || !v.named() {
		return
	}
	own := pattern.Prefix() // of a string that no request owns
	sp := &visit{env: own, texts: []string{text}, patterns: []config.Pattern{pattern}}
	sp.revision.Store(revision)
	i.change(v.key(), v.now, false, func(s *namedState) {
		s.describe(v)
		s.brought(sp)
	})
}

// opened notes that a client has opened a watch; nil if it says no name.
func (i *instances) opened(w *Watch) *named {
	v := visitor{user: w.identity.Subject, client: w.client, agent: w.request.Agent, protocol: w.protocol, now: w.since}
	if !v.named() {
		return nil
	}
	return i.change(v.key(), v.now, true, func(s *namedState) {
		s.client, s.agent, s.protocol = w.client, clipped(v.agent, maxInstanceAgent), v.protocol
		s.watches = append(slices.Clip(slices.Clone(s.watches)), w)
	})
}

// closed notes that a client has closed a watch that had brought it to a revision.
func (i *instances) closed(w *Watch, revision int64, now time.Time) {
	e := w.named
	if e == nil {
		return
	}
	sp := &visit{texts: w.patterns, patterns: w.selects}
	sp.revision.Store(revision)
	e.sign(now)
	i.edit(e, func(s *namedState) { // it is there: nobody is forgotten who has a watch open
		s.watches = slices.DeleteFunc(slices.Clone(s.watches), func(o *Watch) bool { return o == w })
		s.brought(sp)
	})
	if e.state.Load().idle() && !i.fits() && !i.makeRoom(now) {
		i.drop(e, now.UnixMilli()+1)
		i.lost.Add(1)
	}
}

// visiting describes the caller, as far as this node is concerned.
func (c *Center) visiting(id auth.Identity, request auth.Request, client config.Client, protocol string) visitor {
	return visitor{user: id.Subject, client: client, agent: request.Agent, protocol: protocol, now: c.now()}
}
