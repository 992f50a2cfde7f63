package center_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

// A client that comes to a node which is behind it must not be taken back to an
// older state: another node can do better.
func TestWatchIsNotTakenBackByANodeThatIsBehind(t *testing.T) {
	isolate(t, 0, func(n *node, s *faulty) {
		resume := func(after config.Token) (center.Delivery, error) {
			w, err := n.Watch(n.admin(), center.WatchRequest{Patterns: []string{"acme/shop/prod"}, After: after}, func() {})
			if err != nil {
				return center.Delivery{}, err
			}
			defer w.Close()
			d, _, err := w.Next()
			return d, err
		}
		first, err := resume("")
		n.must(err)
		digits, cluster, _ := strings.Cut(string(first.Revision), ".")
		revision, err := strconv.ParseInt(digits, 36, 64)
		n.must(err)
		ahead := config.Token(strconv.FormatInt(revision+1000, 36) + "." + cluster)

		s.fail(errCutOff)
		_, err = resume(ahead)
		wantKind(t, config.Unavailable, err)
		d, err := resume(first.Revision)
		n.must(err)
		if d.Reset {
			t.Error("cut off: want a watch resumed where the node is, got a snapshot")
		}

		// In touch, it is known that nobody has come to there: the token is of a
		// past that was lost.
		s.fail(nil)
		pass(time.Second)
		d, err = resume(ahead)
		n.must(err)
		if !d.Reset || len(d.Changes) != 1 {
			t.Errorf("want a snapshot, got %+v", d)
		}
	})
}
