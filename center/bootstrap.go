package center

import (
	"context"
	"crypto/rand"
	"errors"
	"strconv"
	"time"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/store"
)

// AdminUser is the user that the first start makes.
const AdminUser = "admin"

// CheckFormat refuses data that a newer program has laid out in a way that this
// one would misread.
func CheckFormat(ctx context.Context, s store.Store) error {
	page, err := s.Range(ctx, store.Query{Key: record.FormatKey})
	if err != nil || len(page.Entries) == 0 {
		return located("start", "", err)
	}
	format, err := record.DecodeFormat(page.Entries[0].Value)
	if err != nil {
		return config.Errorf(config.Invalid, "start", record.FormatKey, "the store does not say how its data is laid out: %w", err)
	}
	if format > record.Format {
		return config.Errorf(config.Unsupported, "start", "", "the data was written by a newer Setpoint (layout %d; this program knows up to %d): start that version or a later one", format, record.Format)
	}
	return nil
}

// inFormat adds to a change of rights what keeps programs that would misread it
// from starting on the data: to them it would give more than it does.
func inFormat(txn *store.Txn, misread bool) {
	if misread {
		txn.Writes = append(txn.Writes, store.Write{Key: record.FormatKey, Value: []byte(strconv.Itoa(record.Format))})
	}
}

// Bootstrap prepares an empty store: the installation's id, and the user admin
// with the given password or, if that is empty, a random one, which is returned
// this once and stored nowhere in clear. On a store that was prepared before it does nothing, and created is
// false. Of several nodes that start at once, one prepares.
//
// It acts for the server itself, before the view runs, and so asks no rights.
func Bootstrap(ctx context.Context, s store.Store, passwords auth.PasswordHasher, given config.Secret, now time.Time) (password config.Secret, created bool, err error) {
	const op = "bootstrap"
	page, err := s.Range(ctx, store.Query{Key: record.ClusterKey, KeysOnly: true})
	if err != nil || len(page.Entries) > 0 {
		return config.Secret{}, false, bootstrapError(err)
	}
	password, user, binding, err := newAdmin(ctx, passwords, given, now)
	if err != nil {
		return config.Secret{}, false, bootstrapError(err)
	}
	id := auditID(now)
	_, err = s.Commit(ctx, store.Txn{
		Conds: []store.Cond{{Key: record.ClusterKey}},
		Writes: []store.Write{
			{Key: record.ClusterKey, Value: []byte(randomID())},
			{Key: record.FormatKey, Value: []byte(strconv.Itoa(record.Format))},
			{Key: record.Users.Key(user.Name), Value: record.EncodeUser(user)},
			{Key: record.Bindings.Key(binding.ID), Value: record.Encode(binding)},
			{Key: record.AuditKey("", id), Value: record.Encode(audit.Record{
				ID: id, Time: now.UTC(), Actor: audit.Actor{Subject: "system"}, Action: op, Subject: user.Name, Outcome: audit.Done,
			})},
		},
	})
	if errors.Is(err, store.ErrConflict) {
		return config.Secret{}, false, nil
	}
	return password, err == nil, bootstrapError(err)
}

// ResetAdmin gives the user admin the given password or a new random one, enables it and grants
// it the installation: the way back in for whoever can start the server on the
// data. Its sessions and tokens end.
func ResetAdmin(ctx context.Context, s store.Store, passwords auth.PasswordHasher, given config.Secret, now time.Time) (config.Secret, error) {
	const op = "bootstrap.reset_admin"
	password, user, binding, err := newAdmin(ctx, passwords, given, now)
	if err != nil {
		return config.Secret{}, bootstrapError(err)
	}
	tokens, err := s.Range(ctx, store.Query{Key: record.Tokens.Prefix(), Prefix: true})
	if err != nil {
		return config.Secret{}, bootstrapError(err)
	}
	id := auditID(now)
	txn := store.Txn{Writes: []store.Write{
		{Key: record.Users.Key(user.Name), Value: record.EncodeUser(user)},
		{Key: record.Bindings.Key(binding.ID), Value: record.Encode(binding)},
		{Key: record.AuditKey("", id), Value: record.Encode(audit.Record{
			ID: id, Time: now.UTC(), Actor: audit.Actor{Subject: "system"}, Action: op, Subject: user.Name, Outcome: audit.Done,
		})},
	}}
	for _, entry := range tokens.Entries {
		if t, err := record.DecodeToken(entry.Value); err == nil && t.User == user.Name {
			txn.Writes = append(txn.Writes, store.Write{Key: entry.Key, Delete: true})
		}
	}
	_, err = s.Commit(ctx, txn)
	return password, bootstrapError(err)
}

func newAdmin(ctx context.Context, passwords auth.PasswordHasher, password config.Secret, now time.Time) (config.Secret, auth.User, auth.Binding, error) {
	if password.Empty() {
		password = config.NewSecret(rand.Text())
	} else if policy, ok := passwords.(auth.PasswordPolicy); ok {
		if err := policy.CheckPassword(AdminUser, password); err != nil {
			return config.Secret{}, auth.User{}, auth.Binding{}, err
		}
	}
	hash, err := passwords.Hash(ctx, password)
	user := auth.User{
		Name: AdminUser, Description: "made at the first start", CreatedAt: now.UTC(), CreatedBy: "system", PasswordHash: hash,
	}
	binding := auth.Binding{ID: AdminUser, User: AdminUser, Role: auth.RoleAdmin, CreatedAt: now.UTC(), CreatedBy: "system"}
	return password, user, binding, err
}

// randomID returns 8 random characters of 5 bits, lower case.
func randomID() string { return lowerText()[:8] }

func lowerText() string {
	text := []byte(rand.Text())
	for i, b := range text {
		if b >= 'A' && b <= 'Z' {
			text[i] = b + 'a' - 'A'
		}
	}
	return string(text)
}

func bootstrapError(err error) error { return located("bootstrap", "", err) }
