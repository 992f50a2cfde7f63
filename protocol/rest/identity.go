package rest

import (
	"context"
	"net/http"
	"runtime"
	"time"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

const tagIdentity = "Identity"

func identityRoutes() []Route {
	return []Route{
		control(Route{Method: "POST", Pattern: "/v1/auth/login", Op: "auth.login", ID: "login", Public: true, tag: tagIdentity,
			summary: "Log in", description: "Proves a password and makes a session, whose token is sent as a bearer token from then on.",
			body: smallBody, errors: []int{http.StatusTooManyRequests}}, (*api).login),
		control(Route{Method: "POST", Pattern: "/v1/auth/logout", Op: "auth.logout", ID: "logout", tag: tagIdentity,
			summary: "Log out", description: "Ends the session, or revokes the token, that the request carries."}, (*api).logout),
		control(Route{Method: "GET", Pattern: "/v1/auth/whoami", Op: "auth.whoami", ID: "whoami", tag: tagIdentity,
			summary: "Tell who you are and what you may do"}, (*api).whoAmI),
		control(Route{Method: "POST", Pattern: "/v1/auth/password", Op: "user.set_password", ID: "set-password", tag: tagIdentity,
			summary: "Change your own password", description: "It ends all your sessions, this one as well: log in anew. Tokens stay good.",
			body: smallBody, errors: []int{http.StatusTooManyRequests}}, (*api).setPassword),

		control(Route{Method: "GET", Pattern: "/v1/tokens", Op: "token.list", ID: "list-tokens", tag: tagIdentity,
			summary: "List a user's tokens and sessions", description: "Your own, or those of a user whose rights you manage."}, (*api).listTokens),
		control(Route{Method: "POST", Pattern: "/v1/tokens", Op: "token.create", ID: "create-token", tag: tagIdentity,
			summary: "Make an API token", description: "The token itself is in this answer and nowhere else. Grants narrow it to part of what its user may do.",
			body: smallBody, status: http.StatusCreated, errors: createStatuses}, (*api).createToken),
		control(Route{Method: "DELETE", Pattern: "/v1/tokens/{id}", Op: "token.revoke", ID: "revoke-token", tag: tagIdentity,
			summary: "Revoke a token", errors: readStatuses}, (*api).revokeToken),
	}
}

// newGrant is a role at a scope, as requests spell it.
type newGrant struct {
	Role    auth.Role   `json:"role" doc:"one that there is" example:"viewer" maxLength:"63"`
	Scope   config.Path `json:"scope" doc:"tenant, tenant/app, tenant/app/env or a config's path; empty for the whole installation" example:"acme/checkout"`
	Pattern string      `json:"pattern,omitempty" doc:"confines it to some of what lies below the scope: each part a name or '*', and a config's name may end in '*'" example:"prod/db-*" maxLength:"512"`
}

func (g newGrant) grant() auth.Grant {
	return auth.Grant{Role: g.Role, Scope: g.Scope, Pattern: g.Pattern}
}

// mintedToken is a token with its secret, which is shown this once.
type mintedToken struct {
	Secret string `json:"token" doc:"to be sent as a bearer token" example:"sp_k7wq3n5xv2bd_…"`
	auth.Token
}

func (a *api) login(ctx context.Context, in *struct {
	Body struct {
		Username string        `json:"username" example:"alice" minLength:"1" maxLength:"256"`
		Password config.Secret `json:"password"`
		TTL      Duration      `json:"ttl,omitzero" doc:"how long the session lasts, at most the server's limit" example:"8h"`
	}
}) (*answered[mintedToken], error) {
	id, err := a.auth.Authenticate(ctx, auth.Credentials{
		Username: in.Body.Username, Password: in.Body.Password, Address: auth.RequestFrom(ctx).Address,
	})
	if err != nil {
		a.noteFailure(ctx, in.Body.Username, err)
		return nil, err
	}
	t, secret, err := a.center.Login(auth.WithIdentity(ctx, id), in.Body.TTL.Duration)
	return answer(mintedToken{Secret: secret.Reveal(), Token: t}, err)
}

// noteFailure has it recorded that someone claimed to be who it could not prove
// to be.
func (a *api) noteFailure(ctx context.Context, name string, err error) {
	if kind := config.KindOf(err); name != "" && (kind == config.Unauthenticated || kind == config.Throttled) {
		a.center.LoginFailed(ctx, name)
	}
}

func (a *api) logout(ctx context.Context, _ *struct{}) (*empty, error) {
	return done(a.center.Logout(ctx))
}

func (a *api) whoAmI(ctx context.Context, _ *struct{}) (*answered[center.WhoAmI], error) {
	return answer(a.center.WhoAmI(ctx))
}

func (a *api) setPassword(ctx context.Context, in *struct {
	Body struct {
		Old config.Secret `json:"old"`
		New config.Secret `json:"new"`
	}
}) (*empty, error) {
	id := auth.FromContext(ctx)
	proved, err := a.auth.Authenticate(ctx, auth.Credentials{
		Username: id.Subject, Password: in.Body.Old, Address: auth.RequestFrom(ctx).Address,
	})
	if err == nil && proved.Subject != id.Subject {
		err = config.Errorf(config.Unauthenticated, "user.set_password", id.Subject, "the old password is not yours")
	}
	if err != nil {
		a.noteFailure(ctx, id.Subject, err)
		return nil, err
	}
	return done(a.center.SetPassword(ctx, in.Body.New))
}

func (a *api) listTokens(ctx context.Context, in *struct {
	PageQuery
	User string `query:"user" doc:"whose; left out, your own" maxLength:"256"`
}) (*answered[config.Page[auth.Token]], error) {
	return answer(a.center.Tokens(ctx, in.User, in.request()))
}

func (a *api) createToken(ctx context.Context, in *struct {
	Body struct {
		User        string     `json:"user,omitempty" doc:"whose; left out, your own"`
		Description string     `json:"description,omitempty" example:"the deployment pipeline"`
		Grants      []newGrant `json:"grants,omitempty" doc:"left out, all that its user may do"`
		TTL         Duration   `json:"ttl,omitzero" doc:"how long it is good; left out, until it is revoked" example:"720h"`
	}
}) (*answered[mintedToken], error) {
	n := center.NewToken{User: in.Body.User, Description: in.Body.Description, TTL: in.Body.TTL.Duration}
	for _, g := range in.Body.Grants {
		n.Grants = append(n.Grants, g.grant())
	}
	t, secret, err := a.center.CreateToken(ctx, n)
	return answer(mintedToken{Secret: secret.Reveal(), Token: t}, err)
}

func (a *api) revokeToken(ctx context.Context, in *struct {
	ID string `path:"id" doc:"the token's id, not the token" maxLength:"64" example:"k7wq3n5xv2bd"`
}) (*empty, error) {
	return done(a.center.RevokeToken(ctx, in.ID))
}

// serverVersion is what runs.
type serverVersion struct {
	Version string    `json:"version" example:"0.1.0"`
	Go      string    `json:"go" example:"go1.26.0"`
	Time    time.Time `json:"time" doc:"the server's clock"`
}

func (a *api) getVersion(context.Context, *struct{}) (*answered[serverVersion], error) {
	return answer(serverVersion{Version: a.version, Go: runtime.Version(), Time: time.Now().UTC()}, nil)
}
