package center

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"time"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/record"
	"github.com/setpointhq/setpoint/internal/view"
	"github.com/setpointhq/setpoint/store"
)

const (
	joinTokenTTL    = time.Hour
	maxJoinTokenTTL = 24 * time.Hour
	// maxJoinTokens bounds the tokens that are good at one time.
	maxJoinTokens = 100
)

// NewJoinToken describes a join token to make.
type NewJoinToken struct {
	// TTL is how long it is good; 0 means an hour, at most 24.
	TTL time.Duration
	// Edge says that it lets in a node that keeps no data.
	Edge bool
}

// MintedJoinToken is a new join token, and what the node needs beside it.
type MintedJoinToken struct {
	config.JoinToken
	config.Invitation
	// Text is what the node shows. It is kept nowhere.
	Text config.Secret
}

// CreateJoinToken makes a token that lets one new node into the cluster. Its text
// is returned this once; the invitation says where the node must turn to.
func (c *Center) CreateJoinToken(ctx context.Context, n NewJoinToken) (MintedJoinToken, error) {
	const op = "cluster.create_join_token"
	id, err := c.authorize(ctx, op, auth.Operate, config.Path{})
	if err != nil {
		return MintedJoinToken{}, err
	}
	if n.TTL == 0 {
		n.TTL = joinTokenTTL
	}
	if n.TTL < 0 || n.TTL > maxJoinTokenTTL {
		return MintedJoinToken{}, config.Errorf(config.Invalid, op, "", "the token's life must be more than 0 and at most %s", maxJoinTokenTTL)
	}
	if c.nodes == nil {
		return MintedJoinToken{}, errAlone(op)
	}
	invitation, err := c.nodes.Invitation()
	if err != nil {
		return MintedJoinToken{}, located(op, "", err)
	}
	text, token := newJoinToken(invitation.Fingerprint)
	token.Edge = n.Edge
	token.CreatedBy, token.CreatedAt = c.stamp(id)
	token.ExpiresAt = token.CreatedAt.Add(n.TTL)
	_, err = c.commit(ctx, op, func(*view.Snapshot) (store.Txn, error) {
		txn := store.Txn{Writes: []store.Write{
			{Key: record.Joins.Key(token.ID), Value: record.Encode(token)},
			c.audited(ctx, audit.Record{Action: op, Subject: token.ID, Detail: joinDetail(token.JoinToken)}),
		}}
		err := c.dropJoinTokens(ctx, op, &txn)
		return txn, err
	})
	if err != nil {
		return MintedJoinToken{}, err
	}
	return MintedJoinToken{JoinToken: token.JoinToken, Invitation: invitation, Text: text}, nil
}

// newJoinToken makes the text of a token, and what is kept of it.
func newJoinToken(fingerprint string) (config.Secret, record.JoinToken) {
	text := config.JoinTokenText{ID: lowerText()[:12], Secret: config.NewSecret(lowerText()), Fingerprint: fingerprint}
	token := record.JoinToken{SecretHash: hashSecret(text.Secret)}
	token.ID = text.ID
	return text.Text(), token
}

// hashSecret is one round: nobody can guess 130 random bits.
func hashSecret(s config.Secret) []byte {
	sum := sha256.Sum256([]byte(s.Reveal()))
	return sum[:]
}

func joinDetail(t config.JoinToken) map[string]string {
	role := "member"
	if t.Edge {
		role = "edge"
	}
	return map[string]string{"token": t.ID, "role": role, "expires_at": t.ExpiresAt.Format(time.RFC3339)}
}

// dropJoinTokens adds the deletion of expired tokens to a transaction, and
// refuses it if too many are left.
func (c *Center) dropJoinTokens(ctx context.Context, op string, txn *store.Txn) error {
	page, err := c.store.Range(ctx, store.Query{Key: record.Joins.Prefix(), Prefix: true})
	if err != nil {
		return err
	}
	good := 0
	for _, entry := range page.Entries {
		token, err := record.Decode[record.JoinToken](entry.Value)
		if err != nil || c.expired(token.JoinToken) {
			txn.Writes = append(txn.Writes, store.Write{Key: entry.Key, Delete: true})
			continue
		}
		good++
	}
	if good >= maxJoinTokens {
		return config.Errorf(config.Exhausted, op, "", "there are %d join tokens that are still good, which is the most: revoke some", good)
	}
	return nil
}

func (c *Center) expired(t config.JoinToken) bool { return !c.now().Before(t.ExpiresAt) }

// JoinTokens lists the join tokens that are still good, by id.
func (c *Center) JoinTokens(ctx context.Context, r PageRequest) (config.Page[config.JoinToken], error) {
	const op = "cluster.list_join_tokens"
	if _, err := c.authorize(ctx, op, auth.Operate, config.Path{}); err != nil {
		return config.Page[config.JoinToken]{}, err
	}
	query := store.Query{Key: record.Joins.Prefix(), Prefix: true}
	if r.After != "" {
		query.After = record.Joins.Key(r.After)
	}
	got, err := c.store.Range(ctx, query)
	if err != nil {
		return config.Page[config.JoinToken]{}, located(op, "", err)
	}
	all := func(yield func(config.JoinToken) bool) {
		for _, entry := range got.Entries {
			token, err := record.Decode[record.JoinToken](entry.Value)
			if err != nil {
				c.log.ErrorContext(ctx, "a join token cannot be read; it lets nobody in", "key", entry.Key, "error", err)
				continue
			}
			if !yield(token.JoinToken) {
				return
			}
		}
	}
	return pageOf(r, all, func(t config.JoinToken) (config.JoinToken, string, bool) { return t, t.ID, !c.expired(t) }), nil
}

// RevokeJoinToken takes a join token back. A node that it has let in stays.
func (c *Center) RevokeJoinToken(ctx context.Context, id string) error {
	const op = "cluster.revoke_join_token"
	if _, err := c.authorize(ctx, op, auth.Operate, config.Path{}); err != nil {
		return err
	}
	for range commitTries {
		entry, found, err := c.joinToken(ctx, id)
		if err != nil {
			return located(op, id, err)
		}
		if !found {
			return config.Errorf(config.NotFound, op, id, "there is no such join token; it may have expired")
		}
		_, err = c.store.Commit(ctx, once(store.Txn{
			Conds: []store.Cond{{Key: entry.Key, Revision: entry.Revision}},
			Writes: []store.Write{
				{Key: entry.Key, Delete: true},
				c.audited(ctx, audit.Record{Action: op, Subject: id, Detail: map[string]string{"token": id}}),
			},
		}))
		if !errors.Is(err, store.ErrConflict) {
			return located(op, id, err)
		}
	}
	return errBusyToken(op, id)
}

// joinToken asks the store for a token: what lets a node in must not come from
// a picture that may be old.
func (c *Center) joinToken(ctx context.Context, id string) (store.Entry, bool, error) {
	page, err := c.store.Range(ctx, store.Query{Key: record.Joins.Key(id)})
	if err != nil || len(page.Entries) == 0 {
		return store.Entry{}, false, err
	}
	return page.Entries[0], true, nil
}

func errBusyToken(op, id string) error {
	return config.Errorf(config.Conflict, op, id, "others kept changing the token; it was tried %d times", commitTries)
}

// CheckJoinToken says whether RedeemJoinToken would let the node in, and whether
// as an edge. It leaves the token as it is, for a node that cannot be let in for
// other reasons. Its errors are the same.
func (c *Center) CheckJoinToken(ctx context.Context, token config.Secret, node, key string) (edge bool, err error) {
	_, stored, err := c.goodJoin(ctx, token, node, key)
	return stored.Edge, err
}

// RedeemJoinToken lets the node in that shows the token's text, and says whether
// as an edge. The first that does is the only one: the token is bound to its
// name and key, and may be shown by it again until it expires, so that a join
// that broke off can be repeated. Whatever else is wrong, the error is the same,
// and Unauthenticated.
//
// It acts for the server itself, on behalf of a node that nobody knows yet, and
// asks no rights. Where the node called from may be in the context.
func (c *Center) RedeemJoinToken(ctx context.Context, token config.Secret, node, key string) (edge bool, err error) {
	for range commitTries {
		entry, stored, err := c.goodJoin(ctx, token, node, key)
		if err != nil || stored.UsedBy != "" {
			return stored.Edge, err
		}
		stored.UsedBy, stored.Key = node, key
		joining := auth.WithIdentity(ctx, auth.Identity{Subject: "system", Method: "join token"})
		_, err = c.store.Commit(ctx, once(store.Txn{
			Conds: []store.Cond{{Key: entry.Key, Revision: entry.Revision}},
			Writes: []store.Write{
				{Key: entry.Key, Value: record.Encode(stored)},
				c.audited(joining, audit.Record{Action: opJoin, Subject: node, Detail: joinDetail(stored.JoinToken)}),
			},
		}))
		if err == nil {
			return stored.Edge, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return false, located(opJoin, node, err)
		}
	}
	return false, errBusyToken(opJoin, node)
}

// opJoin is what the audit calls a node that is let in.
const opJoin = "cluster.join"

// goodJoin is provenJoin with an error for a token that is not good, of which the
// audit hears.
func (c *Center) goodJoin(ctx context.Context, token config.Secret, node, key string) (store.Entry, record.JoinToken, error) {
	entry, stored, ok, err := c.provenJoin(ctx, token, node, key)
	switch {
	case err != nil:
		return entry, record.JoinToken{}, located(opJoin, node, err)
	case !ok:
		c.refusedJoin(ctx, opJoin, node)
		return entry, record.JoinToken{}, config.Errorf(config.Unauthenticated, opJoin, "", "the join token is not good here: it may be mistyped, expired, revoked or used by another node; 'setpoint cluster add' makes a new one")
	}
	return entry, stored, nil
}

// provenJoin finds the token of a text; ok is false if it is not good for the
// node with the key.
func (c *Center) provenJoin(ctx context.Context, token config.Secret, node, key string) (entry store.Entry, stored record.JoinToken, ok bool, err error) {
	text, malformed := config.ParseJoinToken(token)
	if malformed != nil || node == "" || len(node) > maxNodeName || key == "" || len(key) > maxNodeKey {
		return entry, stored, false, nil //nolint:nilerr // what is no token is refused like a wrong one
	}
	entry, found, err := c.joinToken(ctx, text.ID)
	if err != nil || !found {
		return entry, stored, false, err
	}
	if stored, err = record.Decode[record.JoinToken](entry.Value); err != nil {
		return entry, stored, false, err
	}
	proven := subtle.ConstantTimeCompare(stored.SecretHash, hashSecret(text.Secret)) == 1
	unbound := stored.UsedBy == "" || stored.UsedBy == node && subtle.ConstantTimeCompare([]byte(stored.Key), []byte(key)) == 1
	return entry, stored, proven && unbound && !c.expired(stored.JoinToken), nil
}

// maxNodeKey bounds, in bytes, what a node shows of its key.
const maxNodeKey = 4096

// refusedJoin has it recorded that someone wanted in. The name is what it claimed.
func (c *Center) refusedJoin(ctx context.Context, op, node string) {
	actor := actorOf(ctx)
	actor.RequestID, actor.Subject = "", node[:min(len(node), 128)]
	c.refusals.add(refusal{actor: actor, action: op, outcome: audit.Failed})
}
