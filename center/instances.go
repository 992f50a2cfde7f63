package center

import (
	"cmp"
	"context"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/view"
)

// instances are the watches that are open on this node. What there is to tell
// of one stands in the Watch itself, and what changes all the time is asked of
// it when somebody wants to know: an idle watch costs one entry of a map. There
// are never more than the protocols let in.
type instances struct {
	mu     sync.Mutex
	open   map[*Watch]struct{}
	latest time.Time // the since of the last one
}

func newInstances() *instances { return &instances{open: map[*Watch]struct{}{}} }

// add enters a watch as of now. No two have the same since, so that a node and
// a since name one of them.
func (i *instances) add(w *Watch, now time.Time) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !now.After(i.latest) {
		now = i.latest.Add(1)
	}
	w.since, i.latest = now, now
	i.open[w] = struct{}{}
}

func (i *instances) remove(w *Watch) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.open, w)
}

func (i *instances) size() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.open)
}

// list returns the watches that are open now.
func (i *instances) list() []*Watch {
	i.mu.Lock()
	defer i.mu.Unlock()
	all := make([]*Watch, 0, len(i.open))
	for w := range i.open {
		all = append(all, w)
	}
	return all
}

// wake notifies every watch.
func (i *instances) wake() {
	for _, w := range i.list() {
		w.notify()
	}
}

// InstanceList is a page of instances.
type InstanceList struct {
	config.Page[config.Instance]
	// Silent are the nodes that did not answer, and whose instances are missing.
	Silent []string `json:"silent,omitempty"`
}

// Instances lists the clients, on whatever node, that are watching the path or
// something below it, by what they call themselves. Of their watches those that
// concern the path are shown.
func (c *Center) Instances(ctx context.Context, path config.Path, r PageRequest) (InstanceList, error) {
	const op = "instance.list"
	if _, err := c.authorize(ctx, op, auth.Read, path); err != nil {
		return InstanceList{}, err
	}
	if err := exists(c.view.Snapshot(), op, path); err != nil {
		return InstanceList{}, err
	}
	after, err := parseInstanceKey(r.After)
	if err != nil {
		return InstanceList{}, located(op, path.String(), err)
	}
	found := c.LocalInstances(path)
	var silent []string
	if c.nodes != nil {
		var others []config.Instance
		if others, silent, err = c.nodes.Instances(ctx, path); err != nil {
			return InstanceList{}, located(op, path.String(), err)
		}
		found = append(found, others...)
	}
	slices.SortFunc(found, func(a, b config.Instance) int { return keyOfInstance(a).compare(keyOfInstance(b)) })
	all := func(yield func(config.Instance) bool) {
		for _, instance := range found {
			if r.After != "" && keyOfInstance(instance).compare(after) <= 0 {
				continue
			}
			if !yield(instance) {
				return
			}
		}
	}
	page := pageOf(r, all, func(i config.Instance) (config.Instance, string, bool) { return i, keyOfInstance(i).String(), true })
	slices.Sort(silent)
	return InstanceList{Page: page, Silent: silent}, nil
}

// LocalInstances lists the clients that watch the path, or something below it,
// on this node, in no order. It acts for the node itself and asks no rights.
func (c *Center) LocalInstances(path config.Path) []config.Instance {
	cluster := c.view.Snapshot().Cluster
	found := []config.Instance{}
	for _, w := range c.instances.list() {
		watches := w.concerning(path)
		if len(watches) == 0 {
			continue
		}
		instance := config.Instance{
			ID: w.client.ID, Labels: w.client.Labels, Address: w.request.Address, Agent: w.request.Agent,
			User: w.identity.Subject, Protocol: w.protocol, Node: c.node, Since: w.since, Watches: watches,
		}
		if revision := w.sub.Revision(); revision > 0 {
			instance.Sent = encodeToken(revision, cluster)
		}
		found = append(found, instance)
	}
	return found
}

// concerning returns those of the watch's patterns that can match the path or
// what is below it.
func (w *Watch) concerning(path config.Path) []string {
	var found []string
	for _, text := range w.patterns {
		if pattern, err := config.ParsePattern(text); err == nil && pattern.Reaches(path) {
			found = append(found, text)
		}
	}
	return found
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
