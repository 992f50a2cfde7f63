package scalar

import (
	"encoding"

	"github.com/99designs/gqlgen/graphql"

	"github.com/setpointhq/setpoint/config"
)

// text reads what writes itself as text; null leaves it as it is.
func text(v any, into encoding.TextUnmarshaler) error {
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		return into.UnmarshalText([]byte(v))
	}
	return wrong("want a text")
}

// MarshalPath writes a path.
func MarshalPath(p config.Path) graphql.Marshaler { return graphql.MarshalString(p.String()) }

// UnmarshalPath reads a path; null is the root.
func UnmarshalPath(v any) (p config.Path, err error) {
	err = text(v, &p)
	return p, err
}

// MarshalToken writes a token.
func MarshalToken(t config.Token) graphql.Marshaler { return graphql.MarshalString(string(t)) }

// UnmarshalToken reads a token; null is the empty one.
func UnmarshalToken(v any) (config.Token, error) {
	s, err := UnmarshalString(v)
	return config.Token(s), err
}

// MarshalSelector writes a selector.
func MarshalSelector(s config.Selector) graphql.Marshaler { return graphql.MarshalString(s.String()) }

// UnmarshalSelector reads a selector; null is the empty one.
func UnmarshalSelector(v any) (s config.Selector, err error) {
	err = text(v, &s)
	return s, err
}

// MarshalNetwork writes a network.
func MarshalNetwork(n config.Network) graphql.Marshaler { return graphql.MarshalString(n.String()) }

// UnmarshalNetwork reads a network.
func UnmarshalNetwork(v any) (n config.Network, err error) {
	err = text(v, &n)
	return n, err
}

// MarshalSecret writes a secret in clear: only fields that are there to show it once
// have the type.
func MarshalSecret(s config.Secret) graphql.Marshaler { return graphql.MarshalString(s.Reveal()) }

// UnmarshalSecret reads a secret; null is the empty one.
func UnmarshalSecret(v any) (config.Secret, error) {
	s, err := UnmarshalString(v)
	return config.NewSecret(s), err
}
