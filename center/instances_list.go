package center

import (
	"cmp"
	"context"
	"encoding/base64"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/view"
)

// maxInstancePage bounds a page of the instances of more than one config, of
// which each may have as many holdings as maxHolds.
const maxInstancePage = 200

// InstanceRequest asks for a page of instances.
type InstanceRequest struct {
	// Path is what they have to do with, or something below it.
	Path config.Path
	PageRequest
	// Of a config, Version wants those that were sent it or said something of it;
	// 0 is any. State wants those that said so of Version or, if that is 0, of what
	// they were sent: "applied", "refused" or "silent"; "" is any.
	Version int64
	State   string
}

// InstanceStates are the states that a listing of instances can be asked for.
const (
	InstanceApplied = string(config.AckApplied)
	InstanceRefused = string(config.AckRefused)
	InstanceSilent  = "silent"
)

// InstanceList is a page of instances.
type InstanceList struct {
	config.Page[config.Instance]
	// Counts are, of a config, how many instances there are to each version, the
	// newest first: over all of them, whatever page and filter were asked for.
	Counts []config.VersionCount `json:"counts,omitempty"`
	// Silent are the nodes that did not answer, and whose instances are missing.
	Silent []string `json:"silent,omitempty"`
}

// Instances lists the clients, on whatever node, that watch the path or something
// below it and, of those that say a name, those that have read or reported it and
// are remembered, by what they call themselves. Of their watches those that
// concern the path are shown.
func (c *Center) Instances(ctx context.Context, r InstanceRequest) (InstanceList, error) {
	const op = "instance.list"
	if _, err := c.authorize(ctx, op, auth.Read, r.Path); err != nil {
		return InstanceList{}, err
	}
	if err := exists(c.view.Snapshot(), op, r.Path); err != nil {
		return InstanceList{}, err
	}
	if err := r.check(op); err != nil {
		return InstanceList{}, err
	}
	after, err := parseInstanceKey(r.After)
	if err != nil {
		return InstanceList{}, located(op, r.Path.String(), err)
	}
	q := config.InstanceQuery{Path: r.Path}
	if r.Path.Level() != config.LevelConfig {
		r.Limit = min(r.size(), maxInstancePage)
		q.After, q.Limit = r.After, r.Limit
	}
	found := c.LocalInstances(q)
	var silent []string
	if c.nodes != nil {
		var others []config.Instance
		if others, silent, err = c.nodes.Instances(ctx, q); err != nil {
			return InstanceList{}, located(op, r.Path.String(), err)
		}
		found = append(found, others...)
		slices.Sort(silent)
	}
	slices.SortFunc(found, func(a, b config.Instance) int { return keyOfInstance(a).compare(keyOfInstance(b)) })
	var more *instanceKey
	if q.Limit > 0 {
		found, more = cutShort(found, q.Limit, after)
	}
	found = mergeInstances(found)
	list := InstanceList{Page: r.page(found, after), Silent: silent}
	if list.Next == "" && more != nil {
		list.Next = more.String()
	}
	if r.Path.Level() == config.LevelConfig {
		list.Counts = countVersions(r.Path, found)
	}
	return list, nil
}

func (r InstanceRequest) check(op string) error {
	if (r.Version != 0 || r.State != "") && r.Path.Level() != config.LevelConfig {
		return config.Errorf(config.Invalid, op, r.Path.String(), "instances are chosen by version and state for one config; name it")
	}
	if r.Version < 0 {
		return config.Errorf(config.Invalid, op, r.Path.String(), "version: want 1 or more, or leave it out")
	}
	switch r.State {
	case "", InstanceApplied, InstanceRefused, InstanceSilent:
		return nil
	}
	return config.Errorf(config.Invalid, op, r.Path.String(), "state: want %s, %s or %s, got %q", InstanceApplied, InstanceRefused, InstanceSilent, clipped(r.State, 40))
}

// page returns the instances of the page that is asked for.
func (r InstanceRequest) page(found []config.Instance, after instanceKey) config.Page[config.Instance] {
	var all iter.Seq[config.Instance] = func(yield func(config.Instance) bool) {
		for _, instance := range found {
			if r.After != "" && keyOfInstance(instance).compare(after) <= 0 {
				continue
			}
			if !yield(instance) {
				return
			}
		}
	}
	return pageOf(r.PageRequest, all, func(i config.Instance) (config.Instance, string, bool) {
		return i, keyOfInstance(i).String(), r.wants(i)
	})
}

// wants reports whether an instance is among those asked for.
func (r InstanceRequest) wants(i config.Instance) bool {
	if r.Version == 0 && r.State == "" {
		return true
	}
	var h config.Holding
	if len(i.Holds) > 0 {
		h = i.Holds[0]
	}
	version := cmp.Or(r.Version, h.Sent)
	if r.Version == 0 && r.State == InstanceRefused {
		version = cmp.Or(h.Refused, h.Sent)
	}
	switch r.State {
	case InstanceApplied:
		version = cmp.Or(version, h.Applied)
		return h.State(version) == config.AckApplied
	case InstanceRefused:
		return h.State(version) == config.AckRefused
	case InstanceSilent:
		return version != 0 && h.Sent == version && h.State(version) == config.AckNone
	}
	return h.Sent == version || h.Applied == version || h.Refused == version
}

// cutShort leaves out what comes behind the last instance of a node that has more
// than it gave: others that belong there are missing. It returns where that is, or nil
// if everybody gave all. What comes before the place to go on from does not count.
func cutShort(sorted []config.Instance, limit int, after instanceKey) ([]config.Instance, *instanceKey) {
	given := map[string]int{}
	last := map[string]instanceKey{}
	for _, i := range sorted {
		if key := keyOfInstance(i); key.compare(after) > 0 {
			given[i.Node]++
			last[i.Node] = key
		}
	}
	var end *instanceKey
	for node, n := range given {
		if key := last[node]; n > limit && (end == nil || key.compare(*end) < 0) {
			end = &key
		}
	}
	if end == nil {
		return sorted, nil
	}
	beyond := slices.IndexFunc(sorted, func(i config.Instance) bool {
		key := keyOfInstance(i)
		return key.compare(*end) > 0 && !key.isNamesake(*end) // of one name there are all
	})
	if beyond >= 0 {
		sorted = sorted[:beyond]
	}
	key := keyOfInstance(sorted[len(sorted)-1])
	return sorted, &key
}

// mergeInstances has each named instance with all that it reported, to whatever
// node, and leaves out the nodes that it has left for another one.
func mergeInstances(sorted []config.Instance) []config.Instance {
	merged := make([]config.Instance, 0, len(sorted))
	for len(sorted) > 0 {
		n := 1
		for n < len(sorted) && sorted[0].ID != "" && sorted[n].ID == sorted[0].ID {
			n++
		}
		merged = append(merged, mergeNamesakes(sorted[:n])...)
		sorted = sorted[n:]
	}
	return merged
}

// mergeNamesakes does so for instances that have one name.
func mergeNamesakes(all []config.Instance) []config.Instance {
	if len(all) == 1 {
		return all
	}
	type reports map[config.Path]config.Holding
	said := map[string]reports{} // by user
	newest := map[string]config.Instance{}
	for _, i := range all {
		if best, known := newest[i.User]; !known || newer(i, best) {
			newest[i.User] = i
		}
		if said[i.User] == nil {
			said[i.User] = reports{}
		}
		for _, h := range i.Holds {
			said[i.User][h.Path] = mergeReports(said[i.User][h.Path], h)
		}
	}
	return slices.DeleteFunc(all, func(i config.Instance) bool {
		for at := range i.Holds {
			h := &i.Holds[at]
			whole := said[i.User][h.Path]
			whole.Path, whole.Sent = h.Path, h.Sent
			*h = whole
		}
		best := newest[i.User]
		return !i.Connected && (best.Node != i.Node || !best.Since.Equal(i.Since))
	})
}

// newer reports whether a says more of where the instance is than b does.
func newer(a, b config.Instance) bool {
	if a.Connected != b.Connected {
		return a.Connected
	}
	return a.Seen.After(b.Seen)
}

// mergeReports puts together what an instance told two nodes of one config.
func mergeReports(a, b config.Holding) config.Holding {
	merged := a
	if b.AppliedAt.After(a.AppliedAt) {
		merged.Applied, merged.AppliedAt = b.Applied, b.AppliedAt
	}
	if b.RefusedAt.After(a.RefusedAt) {
		merged.Refused, merged.RefusedAt, merged.Why = b.Refused, b.RefusedAt, b.Why
	}
	// A node that was told of the refusal knows what put an end to it there; the
	// other one may know what did so later.
	for _, h := range []config.Holding{a, b} {
		if merged.Refused != 0 && h.Refused == 0 && h.AppliedAt.After(merged.RefusedAt) {
			merged.Refused, merged.RefusedAt, merged.Why = 0, h.RefusedAt, ""
		}
	}
	return merged
}

// countVersions counts instances by what they have of a config; one that is
// connected twice counts once, with the newer version.
func countVersions(path config.Path, all []config.Instance) []config.VersionCount {
	counts := map[int64]*config.VersionCount{}
	of := func(version int64) *config.VersionCount {
		if counts[version] == nil {
			counts[version] = &config.VersionCount{Path: path, Version: version}
		}
		return counts[version]
	}
	type who struct{ user, id string }
	best := map[who]config.Holding{}
	count := func(h config.Holding) {
		if h.Sent > 0 {
			of(h.Sent).Sent++
			if h.State(h.Sent) == config.AckNone {
				of(h.Sent).Silent++
			}
		}
		if h.Applied > 0 {
			of(h.Applied).Applied++
		}
		if h.Refused > 0 {
			of(h.Refused).Refused++
		}
	}
	for _, i := range all {
		var h config.Holding
		if len(i.Holds) > 0 {
			h = i.Holds[0]
		}
		if i.ID == "" {
			count(h)
			continue
		}
		key := who{i.User, i.ID}
		if known, twice := best[key]; !twice || h.Sent > known.Sent {
			best[key] = h
		}
	}
	for _, h := range best {
		count(h)
	}
	sorted := make([]config.VersionCount, 0, len(counts))
	for _, n := range counts {
		sorted = append(sorted, *n)
	}
	slices.SortFunc(sorted, func(a, b config.VersionCount) int { return cmp.Compare(b.Version, a.Version) })
	return sorted
}

// exists refuses a path at which there is nothing. The root is always there.
func exists(snap *view.Snapshot, op string, path config.Path) error {
	switch path.Level() {
	case config.LevelRoot:
		return nil
	case config.LevelConfig:
		if cfg, ok := snap.Config(path); !ok || cfg.MetaRevision == 0 {
			return located(op, "", errNoConfig(path))
		}
		return nil
	}
	if _, ok := scopeAt(snap, path); !ok {
		return errNoScope(op, path)
	}
	return nil
}

// instanceKey orders instances and names one of them.
type instanceKey struct {
	id, node string
	since    int64 // nanoseconds
}

func keyOfInstance(i config.Instance) instanceKey {
	return instanceKey{id: i.ID, node: i.Node, since: i.Since.UnixNano()}
}

func (k instanceKey) compare(other instanceKey) int {
	return cmp.Or(strings.Compare(k.id, other.id), strings.Compare(k.node, other.node), cmp.Compare(k.since, other.since))
}

// isNamesake reports whether both are of one name.
func (k instanceKey) isNamesake(other instanceKey) bool { return k.id != "" && k.id == other.id }

// String renders the key for the next of a page.
func (k instanceKey) String() string {
	return base64.RawURLEncoding.EncodeToString([]byte(k.id + "\x00" + k.node + "\x00" + strconv.FormatInt(k.since, 36)))
}

// parseInstanceKey reads what String renders; "" is the zero key.
func parseInstanceKey(text string) (instanceKey, error) {
	if text == "" {
		return instanceKey{}, nil
	}
	bad := config.Errorf(config.Invalid, "", "", "the place to go on from is not one that this server gives out")
	plain, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return instanceKey{}, bad
	}
	// From the end: nobody says that a client's name has no NUL in it.
	rest, digits, found := cutLast(string(plain))
	id, node, also := cutLast(rest)
	since, err := strconv.ParseInt(digits, 36, 64)
	if !found || !also || err != nil {
		return instanceKey{}, bad
	}
	return instanceKey{id: id, node: node, since: since}, nil
}

func cutLast(s string) (before, after string, found bool) {
	i := strings.LastIndexByte(s, 0)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}
