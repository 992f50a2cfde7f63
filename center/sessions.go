package center

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/setpointhq/setpoint/audit"
	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/view"
	"github.com/setpointhq/setpoint/store"
)

// maxTokensEnded bounds how many tokens one commit ends.
const maxTokensEnded = 500

// Login makes a session for a caller that has just proved who it is, by its
// password or by what a provider says of it. A TTL of 0 takes the limit
// session_ttl, which is also the most. For the whole session its subject is in
// the groups that the provider named now.
func (c *Center) Login(ctx context.Context, ttl time.Duration) (auth.Token, config.Secret, error) {
	const op = "auth.login"
	id, err := c.authenticated(ctx, op)
	if err != nil {
		return auth.Token{}, config.Secret{}, err
	}
	switch {
	case id.TokenID != "":
		return auth.Token{}, config.Secret{}, config.Errorf(config.Denied, op, id.Subject, "a login needs a password, not a token")
	case id.Narrow != nil:
		return auth.Token{}, config.Secret{}, config.Errorf(config.Denied, op, id.Subject, "what is narrowed cannot log in: the session would not be")
	}
	t, err := c.session(op, id, ttl)
	if err != nil {
		return auth.Token{}, config.Secret{}, err
	}
	t, text := c.newToken(ctx, t)
	if err := c.issue(ctx, op, t); err != nil {
		return auth.Token{}, config.Secret{}, err
	}
	return t, text, nil
}

// session describes a session of the identity.
func (c *Center) session(op string, id auth.Identity, ttl time.Duration) (auth.Token, error) {
	if err := checkVouched(id); err != nil {
		return auth.Token{}, located(op, "", err)
	}
	if ttl <= 0 || ttl > c.limits.SessionTTL {
		ttl = c.limits.SessionTTL
	}
	t := auth.Token{User: id.Subject, Session: true, Provider: id.Provider, Groups: slices.Clone(id.Groups)}
	t.ExpiresAt = c.now().UTC().Round(0).Add(ttl)
	if c.limits.SessionIdle < ttl {
		t.IdleAfter = config.Seconds(c.limits.SessionIdle.Seconds())
	}
	return t, nil
}

// checkVouched refuses an identity with names that its provider cannot give. The
// names are kept with the session and believed for as long as it lasts.
func checkVouched(id auth.Identity) error {
	if id.Provider == "" {
		if strings.Contains(id.Subject, ":") || len(id.Groups) > 0 {
			return config.Errorf(config.Internal, "", id.Subject, "the name or the groups are a provider's, and no provider is named")
		}
		return nil
	}
	if len(id.Groups) > auth.MaxExternalGroups {
		return config.Errorf(config.TooLarge, "", id.Subject, "%d groups; at most %d are taken", len(id.Groups), auth.MaxExternalGroups)
	}
	for _, name := range append([]string{id.Subject}, id.Groups...) {
		if err := auth.CheckExternal(name); err != nil {
			return err
		}
		if provider, _, _ := auth.SplitExternal(name); provider != id.Provider {
			return config.Errorf(config.Internal, "", id.Subject, "provider %q cannot vouch for %q", id.Provider, name)
		}
	}
	return nil
}

// LogoutEverywhere ends all sessions of the caller, the one that it uses among
// them, and returns how many. API tokens, which are made on purpose, stay.
func (c *Center) LogoutEverywhere(ctx context.Context) (int, error) {
	const op = "auth.logout_everywhere"
	id, err := c.authenticated(ctx, op)
	if err != nil {
		return 0, err
	}
	if id.Narrow != nil {
		return 0, config.Errorf(config.Denied, op, id.Subject, "a token that is narrowed can end itself only")
	}
	return c.endSessions(ctx, op, id.Subject)
}

// EndSessions ends all sessions of a user that the caller governs, and returns
// how many. The user may be known elsewhere, "corp:alice": whoever grants rights
// on the whole installation governs those.
func (c *Center) EndSessions(ctx context.Context, user string) (int, error) {
	const op = "user.end_sessions"
	if err := c.authorizeGovern(ctx, op, user); err != nil {
		return 0, err
	}
	if _, _, external := auth.SplitExternal(user); external {
		if err := auth.CheckExternal(user); err != nil {
			return 0, located(op, "", err)
		}
	} else if _, ok := c.directory.user(user); !ok {
		return 0, errNoUser(op, user)
	}
	return c.endSessions(ctx, op, user)
}

// endSessions ends a bounded number of sessions with each commit, and one record,
// until none is left. That there was none is on record too.
func (c *Center) endSessions(ctx context.Context, op, user string) (int, error) {
	for ended := 0; ; {
		var some int
		_, err := c.commit(ctx, op, func(*view.Snapshot) (store.Txn, error) {
			some = 0
			var txn store.Txn
			c.dropTokens(&txn, user, func(t *auth.Token) bool {
				if !t.Session || some == maxTokensEnded {
					return false
				}
				some++
				return true
			})
			provider := ""
			if p, _, external := auth.SplitExternal(user); external {
				provider = p
			}
			txn.Writes = append(txn.Writes, c.audited(ctx, audit.Record{
				Action: op, Subject: user,
				Detail: detail(map[string]string{"sessions": strconv.Itoa(some), "provider": provider}),
			}))
			return txn, nil
		})
		if err != nil {
			return ended, err
		}
		if ended += some; some < maxTokensEnded {
			return ended, nil
		}
	}
}
