package check

import "time"

// RevocationBound is how soon a revoked token is refused by every node that is
// connected with the others, from when the revocation was answered.
const RevocationBound = time.Second

// Revocation is how one node took to the end of a token.
type Revocation struct {
	Node string
	// Took is from the answer to the revocation until the node first refused the
	// token. Refused is false if it had not when the test gave up.
	Took    time.Duration
	Refused bool
	// Relapsed says that the node let the token in again after that.
	Relapsed bool
}

// Revoked wants every node to have refused the token in time, and for good.
func Revoked(all []Revocation) []string {
	var wrong problems
	for _, r := range all {
		switch {
		case !r.Refused:
			wrong.add("%s still lets the token in %s after it was revoked", r.Node, r.Took)
		case r.Took > RevocationBound:
			wrong.add("%s refused the token %s after it was revoked; promised is %s", r.Node, r.Took, RevocationBound)
		}
		if r.Relapsed {
			wrong.add("%s let the token in again after it had refused it", r.Node)
		}
	}
	return wrong.list()
}
