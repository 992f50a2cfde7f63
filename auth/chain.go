package auth

import (
	"context"

	"github.com/setpointhq/setpoint/config"
)

// Chain asks authenticators in order. The first whose sort of credentials it is
// decides alone, so that no driver is a second chance to guess.
type Chain []Authenticator

// Authenticate returns the identity that the credentials prove. Without
// credentials, or with none that a driver takes, it is Unauthenticated with a
// text that says what to send: never is nobody let through in silence.
func (c Chain) Authenticate(ctx context.Context, cred Credentials) (Identity, error) {
	for _, a := range c {
		id, ok, err := a.Authenticate(ctx, cred)
		switch {
		case err != nil:
			return Identity{}, err
		case ok && id.Anonymous():
			return Identity{}, config.Errorf(config.Internal, "authenticate", "", "%T took the credentials and proved nobody", a)
		case ok:
			return id, nil
		}
	}
	return Identity{}, config.Errorf(config.Unauthenticated, "authenticate", "", "%s", howTo(cred))
}

func howTo(cred Credentials) string {
	switch {
	case cred.Empty():
		return "no credentials were sent; log in, or send an API token as a bearer token"
	case !cred.Said():
		return "nobody is known here by a certificate alone; log in, or send an API token as a bearer token"
	}
	return "credentials of this sort are not accepted here; log in, or send an API token as a bearer token"
}

// Empty reports whether nothing was sent that could prove anything.
func (c Credentials) Empty() bool { return !c.Said() && len(c.Certificates) == 0 }

// Said reports whether the caller says who it is: whether there is more than the
// certificate of the connection, which many callers may share. What is said counts,
// and the certificate then does not.
func (c Credentials) Said() bool {
	return c.Username != "" || !c.Password.Empty() || !c.Token.Empty()
}
