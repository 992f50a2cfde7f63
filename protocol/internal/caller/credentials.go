package caller

import (
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/config"
)

// Credentials reads the Authorization header, and takes the certificates of the
// connection. Neither means no credentials, which is for the chain of authenticators
// to refuse.
//
// A user name in a Basic header ends at the first colon (RFC 7617). So users of
// a provider, "corp:alice", cannot log in by it, whatever they send: they send
// name and password as JSON to POST /v1/auth/login, and a token from then on.
func Credentials(r *http.Request, address string) (auth.Credentials, error) {
	c, err := ParseCredentials(r.Header["Authorization"], address)
	c.Certificates = Certificates(r)
	return c, err
}

// ParseCredentials is Credentials for protocols that carry the header as
// something else: values is what the client sent, nil for nothing.
func ParseCredentials(values []string, address string) (auth.Credentials, error) {
	c := auth.Credentials{Address: address}
	if len(values) == 0 {
		return c, nil
	}
	if len(values) > 1 {
		return c, errAuthorization("there is more than one")
	}
	scheme, rest, _ := strings.Cut(values[0], " ")
	rest = strings.TrimSpace(rest)
	switch {
	case rest == "":
		return c, errAuthorization("it holds no credentials")
	case strings.EqualFold(scheme, "Bearer"):
		c.Token = config.NewSecret(rest)
		return c, nil
	case strings.EqualFold(scheme, "Basic"):
		plain, err := base64.StdEncoding.DecodeString(rest)
		if err != nil {
			return c, errAuthorization("its basic credentials are no base64")
		}
		name, password, ok := strings.Cut(string(plain), ":")
		if !ok || name == "" {
			return c, errAuthorization("its basic credentials are not name:password")
		}
		c.Username, c.Password = name, config.NewSecret(password)
		return c, nil
	}
	return c, errAuthorization("its scheme is neither Basic nor Bearer")
}

func errAuthorization(what string) error {
	return config.Errorf(config.Unauthenticated, "authenticate", "", "the Authorization header is of no use: %s", what)
}
