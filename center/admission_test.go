package center_test

import (
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

func TestATenantHasSoManyWatchesAndNoMore(t *testing.T) {
	n := start(t, func(l *center.Limits) { l.TenantWatches = 2 })
	n.house()
	_, err := n.CreateTenant(n.admin(), config.Tenant{Name: "other"})
	n.must(err)
	watch := func(patterns ...string) (*center.Watch, error) {
		return n.Watch(n.admin(), center.WatchRequest{Patterns: patterns}, func() {})
	}
	first, err := watch("acme/shop/prod", "acme/shop/dev") // one tenant, one watch
	n.must(err)
	second, err := watch("acme/shop/prod")
	n.must(err)
	_, err = watch("acme/shop/prod")
	wantKind(t, config.Throttled, err)
	if err != nil && !strings.Contains(err.Error(), "acme") {
		t.Errorf("want the tenant named, got %v", err)
	}
	for range 3 { // what is refused takes no place
		_, err = n.Watch(n.admin(), center.WatchRequest{Patterns: []string{"other/shop/prod"}, After: "what is this?"}, func() {})
		wantKind(t, config.Invalid, err)
	}
	others, err := watch("other/shop/prod")
	n.must(err)
	defer others.Close()

	second.Close()
	second.Close() // which makes no second place
	third, err := watch("acme/shop/prod")
	n.must(err)
	_, err = watch("acme/shop/prod")
	wantKind(t, config.Throttled, err)
	first.Close()
	third.Close()
}

// Those who come back to a node that has yet to catch up wait for it, but not all
// of them.
func TestClientsWaitForANodeThatIsBehindButNotAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := joinWith(t, prepared(t), func(o *center.Options) { o.Limits.WaitingWatches = 2 })
		n.house()
		n.publish("acme/shop/prod/app.json", `{}`)
		watch := func(after config.Token) (*center.Watch, error) {
			return n.Watch(n.admin(), center.WatchRequest{Patterns: []string{"acme/shop/prod"}, After: after}, func() {})
		}
		current, err := watch("")
		n.must(err)
		defer current.Close()
		d, _, err := current.Next()
		n.must(err)
		digits, cluster, _ := strings.Cut(string(d.Revision), ".")
		revision, err := strconv.ParseInt(digits, 36, 64)
		n.must(err)
		next := config.Token(strconv.FormatInt(revision+1, 36) + "." + cluster)

		resumed := make(chan error, 2)
		for range cap(resumed) {
			go func() {
				w, err := watch(next)
				if err == nil {
					w.Close()
				}
				resumed <- err
			}()
		}
		synctest.Wait()
		_, err = watch(next)
		wantKind(t, config.Unavailable, err)
		here, err := watch(d.Revision) // who need not wait is let in
		n.must(err)
		here.Close()

		begun := time.Now()
		n.publish("acme/shop/prod/app.json", `{"a": 1}`)
		for range cap(resumed) {
			n.must(<-resumed)
		}
		if waited := time.Since(begun); waited != 0 {
			t.Errorf("want them let in when the revision comes, they waited %s more", waited)
		}
		w, err := watch(next)
		n.must(err)
		w.Close()
	})
}
