package auth

import "github.com/setpointhq/setpoint/config"

// Explanation says why something is allowed or not.
type Explanation struct {
	Allowed bool `json:"allowed"`
	// Because are the grants that decide: for what is allowed those that allow it,
	// for what is denied explicitly those that deny it; none if no grant reaches.
	Because []Reason `json:"because"`
	// Why is the same for people, in one sentence.
	Why string `json:"why"`
}

// Reason is a grant that decided, and how the identity came to have it.
type Reason struct {
	Grant
	// Group is the one that the grant is bound to; empty if it is bound to the
	// subject itself.
	Group string `json:"group,omitempty"`
	// Narrowing says that it is one of those that narrow a token.
	Narrowing bool `json:"narrowing,omitempty"`
}

// Explainer is implemented by an Authorizer that can say why.
type Explainer interface {
	Explain(id Identity, verb Verb, path config.Path) Explanation
}
