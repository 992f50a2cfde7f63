package center

import (
	"context"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/internal/view"
	"github.com/setpointhq/setpoint/store"
)

// Roles lists the roles that there are.
func (c *Center) Roles(ctx context.Context) ([]auth.RoleInfo, error) {
	if _, err := c.authenticated(ctx, "role.list"); err != nil {
		return nil, err
	}
	return auth.Roles(), nil
}

// BindingsRequest selects bindings.
type BindingsRequest struct {
	PageRequest
	User  string      // empty: everybody's
	Scope config.Path // bindings at this path and below
}

// Bindings lists the bindings where the caller grants rights.
func (c *Center) Bindings(ctx context.Context, r BindingsRequest) (config.Page[auth.Binding], error) {
	id, err := c.authorizeReach(ctx, "binding.list", auth.GrantRights, r.Scope)
	if err != nil {
		return config.Page[auth.Binding]{}, err
	}
	all := func(yield func(*Binding) bool) {
		for _, b := range sorted(c.directory.state.Load().bindings, r.After) {
			if !yield(b) {
				return
			}
		}
	}
	return pageOf(r.PageRequest, all, func(b *Binding) (auth.Binding, string, bool) {
		visible := (r.User == "" || r.User == b.User) && r.Scope.Contains(b.Scope) &&
			c.authz.Allowed(id, auth.GrantRights, b.Scope)
		shown := b.Binding
		shown.Revision = c.token(b.ModRevision)
		return shown, b.ID, visible
	}), nil
}

// CreateBinding gives a user a role at a scope. The caller must grant rights
// there and have every right of the role itself. Giving what is given already
// returns the binding that gives it.
func (c *Center) CreateBinding(ctx context.Context, b auth.Binding) (auth.Binding, error) {
	const op = "binding.create"
	id, err := c.authorize(ctx, op, auth.GrantRights, b.Scope)
	if err != nil {
		return b, err
	}
	if err := b.Scope.Validate(); err != nil {
		return b, located(op, "", err)
	}
	if b.Scope.Level() == config.LevelConfig {
		return b, config.Errorf(config.Invalid, op, b.Scope.String(), "roles are bound at a tenant, an app or an env")
	}
	if err := auth.ValidateRole(b.Role); err != nil {
		return b, located(op, b.Scope.String(), err)
	}
	for _, verb := range auth.Verbs() {
		if b.Role.Verbs()&verb != 0 && !c.authz.Allowed(id, verb, b.Scope) {
			return b, c.refuse(ctx, op, verb, b.Scope)
		}
	}
	b.CreatedBy, b.CreatedAt = c.stamp(id)
	revision, err := c.commit(ctx, op, func(snap *view.Snapshot) (store.Txn, error) {
		if old, ok := c.sameBinding(b); ok {
			b = old
			return store.Txn{}, nil
		}
		return c.bindingTxn(ctx, op, snap, &b)
	})
	if b.Revision == "" {
		b.Revision = c.token(revision)
	}
	return b, err
}

func (c *Center) bindingTxn(ctx context.Context, op string, snap *view.Snapshot, b *auth.Binding) (store.Txn, error) {
	u, ok := c.directory.user(b.User)
	if !ok {
		return store.Txn{}, errNoUser(op, b.User)
	}
	if _, ok := scopeAt(snap, b.Scope); !ok {
		return store.Txn{}, errNoScope(op, b.Scope)
	}
	b.ID = lowerText()[:12]
	key := record.Bindings.Key(b.ID)
	return store.Txn{
		Conds: []store.Cond{{Key: key}, {Key: record.Users.Key(b.User), Revision: u.ModRevision}},
		Writes: []store.Write{
			{Key: key, Value: record.Encode(b)},
			c.audited(ctx, audit.Record{Action: op, Path: b.Scope, Subject: b.User, Detail: map[string]string{"role": string(b.Role)}}),
		},
	}, nil
}

func (c *Center) sameBinding(b auth.Binding) (auth.Binding, bool) {
	for _, old := range sorted(c.directory.state.Load().bindings, "") {
		if old.User == b.User && old.Role == b.Role && old.Scope == b.Scope {
			same := old.Binding
			same.Revision = c.token(old.ModRevision)
			return same, true
		}
	}
	return auth.Binding{}, false
}

// DeleteBinding takes a role away again, at once on every node that has caught up.
func (c *Center) DeleteBinding(ctx context.Context, bindingID string) error {
	const op = "binding.delete"
	// Who may not take it away hears the same as who names none.
	scope := config.Path{}
	if b, ok := c.directory.binding(bindingID); ok && c.authz.Allowed(auth.FromContext(ctx), auth.GrantRights, b.Scope) {
		scope = b.Scope
	}
	if _, err := c.authorize(ctx, op, auth.GrantRights, scope); err != nil {
		return err
	}
	_, err := c.commit(ctx, op, func(*view.Snapshot) (store.Txn, error) {
		b, ok := c.directory.binding(bindingID)
		if !ok {
			return store.Txn{}, config.Errorf(config.NotFound, op, "", "there is no such binding")
		}
		if c.lastAdmin("", bindingID) {
			return store.Txn{}, errLastAdmin(op, b.User)
		}
		key := record.Bindings.Key(bindingID)
		return store.Txn{
			Conds: []store.Cond{{Key: key, Revision: b.ModRevision}},
			Writes: []store.Write{
				{Key: key, Delete: true},
				c.audited(ctx, audit.Record{Action: op, Path: b.Scope, Subject: b.User, Detail: map[string]string{"role": string(b.Role)}}),
			},
		}, nil
	})
	return err
}
