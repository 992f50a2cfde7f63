package hostile

import (
	"errors"
	"fmt"
	"os"

	"github.com/setpointhq/setpoint/client"
)

// revoked are watches whose token is revoked in their middle: they end, whether
// much happens on them or nothing.
var revoked = []attack{
	{"in the midst of changes", all, revoke(app)},
	{"in the silence", all, revoke(hushed)},
}

func revoke(path string) func(*node, *dialect) error {
	return func(n *node, d *dialect) error {
		root := n.as(n.token)
		token, err := root.CreateToken(n.t.Context(), client.NewToken{})
		if err != nil {
			return err
		}
		c, s, err := d.open(n, wish{token: token.Secret.Reveal(), paths: []string{path}})
		if err != nil {
			return err
		}
		defer c.Close()
		if _, err := current(s); err != nil {
			return err
		}
		if err := errors.Join(root.RevokeToken(n.t.Context(), token.ID), deadline(c)); err != nil {
			return err
		}
		for err == nil {
			_, err = s.next()
		}
		if err := wantRefusal("unauthenticated", []string{"event error", "error", "status 16", "close 4403"}, err); err != nil {
			return err
		}
		for err = nil; err == nil; { // nothing comes after it but the end
			var got news
			if got, err = s.next(); len(got.versions) > 0 {
				return fmt.Errorf("want the end, got %v", got.versions)
			}
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return errors.New("want the end, got nothing")
		}
		return nil
	}
}
