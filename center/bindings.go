package center

import (
	"cmp"
	"context"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/internal/view"
	"github.com/setpointhq/setpoint/store"
)

// BindingsRequest selects bindings.
type BindingsRequest struct {
	PageRequest
	User  string    // empty: everybody's
	Group string    // empty: every group's
	Role  auth.Role // empty: of every role
	// Pattern and Deny, if not nil, are what the bindings must have.
	Pattern *string
	Deny    *bool
	Scope   config.Path // bindings at this path and below
}

// selects reports whether a binding is asked for.
func (r *BindingsRequest) selects(b *auth.Binding) bool {
	whose := (r.User == "" || r.User == b.User) && (r.Group == "" || r.Group == b.Group)
	what := (r.Role == "" || r.Role == b.Role) && (r.Pattern == nil || *r.Pattern == b.Pattern) && (r.Deny == nil || *r.Deny == b.Deny)
	return whose && what && r.Scope.Contains(b.Scope)
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
		visible := r.selects(&b.Binding) && c.authz.Allowed(id, auth.GrantRights, b.Scope)
		shown := b.Binding
		shown.Revision = c.token(b.ModRevision)
		return shown, b.ID, visible
	}), nil
}

// CreateBinding gives a user, or a group, a role at a scope, or denies it. The
// caller must grant rights there and, to give a role, have every right of it
// itself. What is there already is returned as it is.
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
	if err := c.checkBinding(b); err != nil {
		return b, located(op, b.Scope.String(), err)
	}
	b.CreatedBy, b.CreatedAt = c.stamp(id)
	revision, err := c.commit(ctx, op, func(snap *view.Snapshot) (store.Txn, error) {
		if err := c.mayBind(ctx, op, b); err != nil {
			return store.Txn{}, err
		}
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

// checkBinding refuses what no binding can be, whoever makes it.
func (c *Center) checkBinding(b auth.Binding) error {
	if (b.User == "") == (b.Group == "") {
		return config.Errorf(config.Invalid, "", "", "name either a user or a group")
	}
	if b.Group != "" {
		if err := checkGroup(b.Group); err != nil {
			return err
		}
	}
	if _, _, external := auth.SplitExternal(b.User); external {
		if err := auth.CheckExternal(b.User); err != nil {
			return err
		}
	}
	if err := c.checkRole(b.Role); err != nil {
		return err
	}
	if b.Deny && b.Scope.Level() == config.LevelRoot && c.directory.Verbs(b.Role)&auth.GrantRights != 0 {
		return config.Errorf(config.Invalid, "", "", "the right to grant rights is not denied on the whole installation, as nobody might be left to take that back; disable the user, or take its bindings away")
	}
	return auth.CheckPattern(b.Scope, b.Pattern)
}

// mayBind refuses a caller who would give rights that it does not have, or deny
// what others gave from above, and a denial that leaves no admin.
func (c *Center) mayBind(ctx context.Context, op string, b auth.Binding) error {
	if !b.Deny {
		return c.mayGrant(ctx, op, b.Grant())
	}
	if err := c.mayDeny(ctx, op, b); err != nil {
		return err
	}
	return c.keepsAdmin(op, cmp.Or(b.User, b.Group), func(s *directoryState) { s.bindings["new"] = &Binding{Binding: b} })
}

func (c *Center) bindingTxn(ctx context.Context, op string, snap *view.Snapshot, b *auth.Binding) (store.Txn, error) {
	if _, ok := scopeAt(snap, b.Scope); !ok {
		return store.Txn{}, errNoScope(op, b.Scope)
	}
	b.ID = lowerText()[:12]
	key := record.Bindings.Key(b.ID)
	txn := store.Txn{
		Conds:  []store.Cond{{Key: key}},
		Writes: []store.Write{{Key: key, Value: record.Encode(b)}, c.auditedBinding(ctx, op, b)},
	}
	if _, _, external := auth.SplitExternal(b.User); b.User != "" && !external {
		u, ok := c.directory.user(b.User)
		if !ok {
			return store.Txn{}, errNoUser(op, b.User)
		}
		txn.Conds = append(txn.Conds, store.Cond{Key: record.Users.Key(b.User), Revision: u.ModRevision})
	}
	if made, ok := c.directory.role(b.Role); ok {
		txn.Conds = append(txn.Conds, store.Cond{Key: record.Roles.Key(string(b.Role)), Revision: made.ModRevision})
	}
	inFormat(&txn, b.Group != "" || b.Deny || b.Pattern != "")
	return txn, nil
}

// auditedBinding is the record of a binding that was made or taken away.
func (c *Center) auditedBinding(ctx context.Context, op string, b *auth.Binding) store.Write {
	more := map[string]string{"role": string(b.Role), "group": b.Group, "pattern": b.Pattern}
	if b.Deny {
		more["effect"] = "deny"
	}
	return c.audited(ctx, audit.Record{Action: op, Path: b.Scope, Subject: cmp.Or(b.User, b.Group), Detail: detail(more)})
}

func (c *Center) sameBinding(b auth.Binding) (auth.Binding, bool) {
	for _, old := range sorted(c.directory.state.Load().bindings, "") {
		if old.User == b.User && old.Group == b.Group && old.Grant() == b.Grant() {
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
		if b.Deny {
			if err := c.mayLift(ctx, op, b.Grant()); err != nil {
				return store.Txn{}, err
			}
		}
		if err := c.keepsAdmin(op, cmp.Or(b.User, b.Group), func(s *directoryState) { delete(s.bindings, bindingID) }); err != nil {
			return store.Txn{}, err
		}
		key := record.Bindings.Key(bindingID)
		return store.Txn{
			Conds:  []store.Cond{{Key: key, Revision: b.ModRevision}},
			Writes: []store.Write{{Key: key, Delete: true}, c.auditedBinding(ctx, op, &b.Binding)},
		}, nil
	})
	return err
}
