package center

import (
	"context"
	"regexp"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/internal/view"
	"github.com/setpointhq/setpoint/store"
)

var userPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,127}$`)

// Users lists the users that the caller governs, by name.
func (c *Center) Users(ctx context.Context, r PageRequest) (config.Page[auth.User], error) {
	id, err := c.authorizeReach(ctx, "user.list", auth.GrantRights, config.Path{})
	if err != nil {
		return config.Page[auth.User]{}, err
	}
	all := func(yield func(*User) bool) {
		for _, u := range sorted(c.directory.state.Load().users, r.After) {
			if !yield(u) {
				return
			}
		}
	}
	return pageOf(r, all, func(u *User) (auth.User, string, bool) {
		return c.showUser(u), u.Name, c.sees(id, u.Name)
	}), nil
}

// User returns one user that the caller governs, or the caller itself.
func (c *Center) User(ctx context.Context, name string) (auth.User, error) {
	const op = "user.get"
	id, err := c.authenticated(ctx, op)
	if err != nil {
		return auth.User{}, err
	}
	if name != id.Subject && !c.sees(id, name) {
		return auth.User{}, c.refuse(ctx, op, auth.GrantRights, config.Path{})
	}
	u, ok := c.directory.user(name)
	if !ok {
		return auth.User{}, errNoUser(op, name)
	}
	return c.showUser(u), nil
}

// NewUser describes a user to make.
type NewUser struct {
	Name        string
	Service     bool // a program: has no password, uses API tokens
	Description string
	Password    config.Secret
	Groups      []string
}

// CreateUser makes a user with no rights but those of its groups. People, and
// members of groups, are made by whoever grants rights on the whole installation,
// other service users by whoever does so anywhere.
func (c *Center) CreateUser(ctx context.Context, n NewUser) (auth.User, error) {
	const op = "user.create"
	authorize := c.authorize
	if n.Service && len(n.Groups) == 0 {
		authorize = c.authorizeReach
	}
	id, err := authorize(ctx, op, auth.GrantRights, config.Path{})
	if err != nil {
		return auth.User{}, err
	}
	u := auth.User{Name: n.Name, Service: n.Service, Description: n.Description}
	if err := c.checkNewUser(op, n); err != nil {
		return auth.User{}, err
	}
	if !n.Service {
		if u.PasswordHash, err = c.hashPassword(ctx, op, n.Name, n.Password); err != nil {
			return auth.User{}, err
		}
	}
	if u.Groups, err = checkGroups(n.Groups); err != nil {
		return auth.User{}, located(op, n.Name, err)
	}
	u.CreatedBy, u.CreatedAt = c.stamp(id)
	revision, err := c.commit(ctx, op, func(*view.Snapshot) (store.Txn, error) {
		if _, taken := c.directory.user(n.Name); taken {
			return store.Txn{}, config.Errorf(config.Exists, op, n.Name, "there is a user of this name already")
		}
		if err := c.mayRegroup(ctx, op, nil, u.Groups); err != nil {
			return store.Txn{}, err
		}
		key := record.Users.Key(u.Name)
		return store.Txn{
			Conds:  []store.Cond{{Key: key}},
			Writes: []store.Write{{Key: key, Value: record.EncodeUser(u)}, c.auditedUser(ctx, op, nil, &u)},
		}, nil
	})
	u.Revision = c.token(revision)
	return u, err
}

// hashPassword holds the password to the policy and hashes it.
func (c *Center) hashPassword(ctx context.Context, op, user string, password config.Secret) (string, error) {
	if policy, ok := c.passwords.(auth.PasswordPolicy); ok {
		if err := policy.CheckPassword(user, password); err != nil {
			return "", located(op, user, err)
		}
	}
	hash, err := c.passwords.Hash(ctx, password)
	return hash, located(op, user, err)
}

func (c *Center) checkNewUser(op string, n NewUser) error {
	if !userPattern.MatchString(n.Name) {
		return config.Errorf(config.Invalid, op, "", "user name %.200q: use 1 to 128 letters, digits, '.', '_', '@' or '-', beginning with a letter or digit", n.Name)
	}
	if n.Service && !n.Password.Empty() {
		return config.Errorf(config.Invalid, op, n.Name, "a service user has no password; make an API token for it")
	}
	return c.checkComment(op, n.Name, n.Description)
}

// UserPatch changes what is not nil.
type UserPatch struct {
	Name        string
	Description *string
	Disabled    *bool
	Password    *config.Secret
	Groups      *[]string // takes who grants rights on the whole installation
	Expected    config.Token
}

// UpdateUser changes a user that the caller governs. A new password, or
// disabling, ends the user's sessions.
func (c *Center) UpdateUser(ctx context.Context, p UserPatch) (auth.User, error) {
	const op = "user.update"
	if err := c.authorizeGovern(ctx, op, p.Name); err != nil {
		return auth.User{}, err
	}
	id := auth.FromContext(ctx)
	if p.Groups != nil && !c.authz.Allowed(id, auth.GrantRights, config.Path{}) || p.Password != nil && !c.outranks(id, p.Name) {
		return auth.User{}, c.refuse(ctx, op, auth.GrantRights, config.Path{})
	}
	return c.changeUser(ctx, op, p)
}

// SetPassword changes the caller's own password and ends all of its sessions, the
// caller's own as well. The protocol proves the old password before it calls.
func (c *Center) SetPassword(ctx context.Context, password config.Secret) error {
	const op = "user.set_password"
	id, err := c.authenticated(ctx, op)
	if err != nil {
		return err
	}
	if id.Narrow != nil {
		return config.Errorf(config.Denied, op, id.Subject, "a token that is narrowed cannot change the password")
	}
	if id.Provider != "" {
		return config.Errorf(config.Denied, op, id.Subject, "the password is kept by %s, not here: change it there", id.Provider)
	}
	_, err = c.changeUser(ctx, op, UserPatch{Name: id.Subject, Password: &password})
	return err
}

func (c *Center) changeUser(ctx context.Context, op string, p UserPatch) (auth.User, error) {
	if err := c.checkComment(op, p.Name, deref(p.Description)); err != nil {
		return auth.User{}, err
	}
	var groups []string
	var err error
	if p.Groups != nil {
		if groups, err = checkGroups(*p.Groups); err != nil {
			return auth.User{}, located(op, p.Name, err)
		}
	}
	var hash string
	if p.Password != nil {
		if hash, err = c.hashPassword(ctx, op, p.Name, *p.Password); err != nil {
			return auth.User{}, err
		}
	}
	var next auth.User
	revision, err := c.commit(ctx, op, func(*view.Snapshot) (store.Txn, error) {
		u, ok := c.directory.user(p.Name)
		if !ok {
			return store.Txn{}, errNoUser(op, p.Name)
		}
		if err := c.expect(op, p.Name, p.Expected, u.ModRevision); err != nil {
			return store.Txn{}, err
		}
		if hash != "" && u.Service {
			return store.Txn{}, config.Errorf(config.Invalid, op, p.Name, "a service user has no password")
		}
		next = u.User
		if p.Groups != nil {
			next.Groups = groups
			if err := c.mayRegroup(ctx, op, u.Groups, groups); err != nil {
				return store.Txn{}, err
			}
		}
		set(&next.Description, p.Description)
		set(&next.Disabled, p.Disabled)
		if hash != "" {
			next.PasswordHash = hash
		}
		if err := c.keepsAdmin(op, p.Name, func(s *directoryState) { s.users[p.Name] = &User{User: next} }); err != nil {
			return store.Txn{}, err
		}
		key := record.Users.Key(p.Name)
		txn := store.Txn{
			Conds:  []store.Cond{{Key: key, Revision: u.ModRevision}},
			Writes: []store.Write{{Key: key, Value: record.EncodeUser(next)}, c.auditedUser(ctx, op, u.Groups, &next)},
		}
		if hash != "" || next.Disabled {
			c.dropTokens(&txn, p.Name, func(t *auth.Token) bool { return t.Session })
		}
		return txn, nil
	})
	next.Revision = c.token(revision)
	return next, err
}

// DeleteUser removes a user that the caller governs, with its tokens and bindings.
func (c *Center) DeleteUser(ctx context.Context, name string, expected config.Token) error {
	const op = "user.delete"
	if err := c.authorizeGovern(ctx, op, name); err != nil {
		return err
	}
	_, err := c.commit(ctx, op, func(*view.Snapshot) (store.Txn, error) {
		u, ok := c.directory.user(name)
		if !ok {
			return store.Txn{}, errNoUser(op, name)
		}
		if err := c.expect(op, name, expected, u.ModRevision); err != nil {
			return store.Txn{}, err
		}
		if err := c.keepsAdmin(op, name, func(s *directoryState) { delete(s.users, name) }); err != nil {
			return store.Txn{}, err
		}
		key := record.Users.Key(name)
		txn := store.Txn{
			Conds:  []store.Cond{{Key: key, Revision: u.ModRevision}},
			Writes: []store.Write{{Key: key, Delete: true}, c.audited(ctx, audit.Record{Action: op, Subject: name})},
		}
		c.dropTokens(&txn, name, func(*auth.Token) bool { return true })
		for _, b := range sorted(c.directory.state.Load().bindings, "") {
			if b.User == name {
				txn.Writes = append(txn.Writes, store.Write{Key: record.Bindings.Key(b.ID), Delete: true})
			}
		}
		return txn, nil
	})
	return err
}

func (c *Center) dropTokens(txn *store.Txn, user string, which func(*auth.Token) bool) {
	for id, t := range sorted(c.directory.state.Load().tokens, "") {
		if t.User == user && which(t) {
			txn.Writes = append(txn.Writes, store.Write{Key: record.Tokens.Key(id), Delete: true})
		}
	}
}

func (c *Center) showUser(u *User) auth.User {
	shown := u.User
	shown.Revision = c.token(u.ModRevision)
	return shown
}

func errLastAdmin(op, name string) error {
	return config.Errorf(config.Conflict, op, name, "nobody would be left to administer the installation: make another admin first")
}

func errNoUser(op, name string) error {
	return config.Errorf(config.NotFound, op, name, "there is no such user")
}
