package center

import (
	"context"
	"slices"
	"strings"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/internal/view"
	"github.com/setpointhq/setpoint/store"
)

// LaunchRef names a launch: by its id or, if that is empty, by a config that has
// no other launch under way.
type LaunchRef struct {
	Tenant string
	ID     string
	Path   config.Path
}

// scope is what the reference says of where the launch is.
func (r LaunchRef) scope() config.Path {
	if r.Path != (config.Path{}) {
		return r.Path
	}
	return config.Path{Tenant: r.Tenant}
}

// LaunchAct is what all acts on a launch have in common.
type LaunchAct struct {
	LaunchRef
	Comment string
	// Expected, if set, must be the launch's revision.
	Expected config.Token
	// OverrideFreeze acts although an env is frozen; it takes the right to manage it.
	OverrideFreeze bool
}

// LaunchesRequest selects launches.
type LaunchesRequest struct {
	PageRequest
	Tenant string
	// Path keeps those that have a config there or below.
	Path config.Path
	// All lists also those that have ended, the newest first; without it those
	// that have not are listed, the oldest first.
	All bool
}

// Launches lists the launches of a tenant whose configs the caller may all read.
func (c *Center) Launches(ctx context.Context, r LaunchesRequest) (config.Page[config.Launch], error) {
	const op = "rollout.list"
	page := config.Page[config.Launch]{Items: []config.Launch{}}
	scope := config.Path{Tenant: r.Tenant}
	id, err := c.authorizeReach(ctx, op, auth.Read, scope)
	if err != nil {
		return page, err
	}
	snap := c.view.Snapshot()
	if _, ok := snap.Tenant(r.Tenant); !ok {
		return page, errNoScope(op, scope)
	}
	shown := func(l *config.Launch) bool {
		return c.allows(id, auth.Read, l) &&
			slices.ContainsFunc(l.Items, func(i config.LaunchItem) bool { return r.Path.Contains(i.Path) })
	}
	if r.All {
		return c.launchHistory(ctx, op, r, shown)
	}
	return pageOf(r.PageRequest, snap.Launches(r.Tenant), func(l *view.Launch) (config.Launch, string, bool) {
		return c.showLaunch(snap, l.Launch, l.ModRevision), l.ID, l.ID > r.After && shown(&l.Launch)
	}), nil
}

// launchScan bounds how many launches one call reads to fill a page.
const launchScan = 2000

// launchHistory reads the launches of a tenant from the newest down. A page may
// come back short, even empty, and still name a next one.
func (c *Center) launchHistory(ctx context.Context, op string, r LaunchesRequest, shown func(*config.Launch) bool) (config.Page[config.Launch], error) {
	page := config.Page[config.Launch]{Items: []config.Launch{}}
	prefix := record.LaunchKey(r.Tenant, "")
	q := store.Query{Key: prefix, Prefix: true, Reverse: true, Limit: r.size()}
	if r.After != "" {
		q.After = prefix + r.After
	}
	for scanned := 0; scanned < launchScan; {
		got, err := c.store.Range(ctx, q)
		if err != nil {
			return page, located(op, r.Tenant, err)
		}
		for _, entry := range got.Entries {
			scanned++
			q.After = entry.Key
			l, err := record.Decode[config.Launch](entry.Value)
			if err != nil {
				c.log.ErrorContext(ctx, "a launch cannot be read", "key", entry.Key, "error", err)
				continue
			}
			if !shown(&l) {
				continue
			}
			page.Items = append(page.Items, c.showLaunch(c.view.Snapshot(), l, entry.Revision))
			if len(page.Items) == r.size() {
				page.Next = strings.TrimPrefix(entry.Key, prefix)
				return page, nil
			}
		}
		if !got.More {
			return page, nil
		}
	}
	page.Next = strings.TrimPrefix(q.After, prefix)
	return page, nil
}

// Launch returns one launch, ended or not.
func (c *Center) Launch(ctx context.Context, r LaunchRef) (config.Launch, error) {
	const op = "rollout.get"
	id, err := c.authorizeLaunch(ctx, op, auth.Read, &r)
	if err != nil {
		return config.Launch{}, err
	}
	snap := c.view.Snapshot()
	if l, ok := snap.Launch(r.Tenant, r.ID); ok && c.allows(id, auth.Read, &l.Launch) {
		return c.showLaunch(snap, l.Launch, l.ModRevision), nil
	}
	l, revision, err := c.loadLaunch(ctx, r.Tenant, r.ID)
	if err == nil && !c.allows(id, auth.Read, &l) {
		err = errNoLaunch(r)
	}
	return c.showLaunch(snap, l, revision), located(op, r.Tenant, err)
}

// authorizeLaunch authorizes at what the reference says and completes it by the
// launch's id.
func (c *Center) authorizeLaunch(ctx context.Context, op string, verb auth.Verb, r *LaunchRef) (id auth.Identity, err error) {
	if r.Path == (config.Path{}) {
		return c.authorizeReach(ctx, op, verb, config.Path{Tenant: r.Tenant})
	}
	r.Tenant = r.Path.Tenant
	if id, err = c.authorize(ctx, op, verb, r.Path); err != nil {
		return id, err
	}
	snap := c.view.Snapshot()
	if r.ID == "" {
		r.ID, err = launchOf(snap, r.Path)
	} else if l, ok := snap.Launch(r.Tenant, r.ID); ok && !slices.ContainsFunc(l.Items, func(i config.LaunchItem) bool { return i.Path == r.Path }) {
		err = errNoLaunch(*r)
	}
	return id, located(op, r.Path.String(), err)
}

// launchOf finds the one launch of a config.
func launchOf(snap *view.Snapshot, path config.Path) (string, error) {
	cfg, err := configAt(snap, path)
	if err != nil {
		return "", err
	}
	ids := launchIDs(&cfg.Rollout)
	switch len(ids) {
	case 0:
		return "", config.Errorf(config.NotFound, "", path.String(), "no launch of the config is under way")
	case 1:
		return ids[0], nil
	}
	return "", config.Errorf(config.Conflict, "", path.String(), "several launches of the config are under way; name one: %s", strings.Join(ids, ", "))
}

// allows reports whether an identity may do the verb on all configs of a launch.
func (c *Center) allows(id auth.Identity, verb auth.Verb, l *config.Launch) bool {
	return !slices.ContainsFunc(l.Items, func(i config.LaunchItem) bool { return !c.authz.Allowed(id, verb, i.Path) })
}

func errNoLaunch(r LaunchRef) error {
	return config.Errorf(config.NotFound, "", r.scope().String(), "there is no launch %q, or it ended long ago", clipText(r.ID))
}

// loadLaunch reads a launch from the store.
func (c *Center) loadLaunch(ctx context.Context, tenant, id string) (config.Launch, int64, error) {
	missing := errNoLaunch(LaunchRef{Tenant: tenant, ID: id})
	if _, shown := c.view.Snapshot().Tenant(tenant); !shown || strings.Contains(id, "/") || id == "" {
		return config.Launch{}, 0, missing
	}
	page, err := c.store.Range(ctx, store.Query{Key: record.LaunchKey(tenant, id)})
	if err != nil {
		return config.Launch{}, 0, err
	}
	if len(page.Entries) == 0 {
		return config.Launch{}, 0, missing
	}
	l, err := record.Decode[config.Launch](page.Entries[0].Value)
	return l, page.Entries[0].Revision, err
}

// showLaunch completes a launch for those who asked for it.
func (c *Center) showLaunch(snap *view.Snapshot, l config.Launch, revision int64) config.Launch {
	if revision > 0 {
		l.Revision = c.token(revision)
	}
	if !l.State.Ended() {
		l.Warnings = c.edit(snap, "", l.StartedAt).warnings(&launchEdit{next: l})
	}
	return l
}
