package cluster

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/config"
)

func TestReceiptsAreByTheClockOfWhoAsks(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	theirs := now.Add(-time.Hour) // their clock is an hour slow
	answer := clients{Now: theirs.UnixMilli(), Receipts: []config.Receipt{{Instance: 1, Seen: theirs.Add(-time.Second).UnixMilli()}}}
	if err := answer.translate(question{Of: ofReceipts}, now); err != nil {
		t.Fatal(err)
	}
	if want := now.Add(-time.Second).UnixMilli(); answer.Receipts[0].Seen != want {
		t.Errorf("want %d, got %d", want, answer.Receipts[0].Seen)
	}
	// A node of a version before there were receipts takes the question for one
	// about instances: it knows nothing, which must not pass for nobody.
	old := clients{Instances: []config.Instance{{ID: "i"}}}
	if err := old.translate(question{Of: ofReceipts}, now); err == nil || !silent(err) {
		t.Errorf("want it taken for silent, got %v", err)
	}
	if err := old.translate(question{Of: ofInstances}, now); err != nil {
		t.Errorf("want its instances, got %v", err)
	}
}

func TestQuestionsGoOverTheWire(t *testing.T) {
	t.Parallel()
	for _, want := range []question{
		{Of: ofInstances}, {Of: ofInstances, Path: "acme/shop/prod", After: "a/b=&", Limit: 100}, {Of: ofReceipts, Path: "acme/shop/prod/a", Version: 7},
	} {
		got, err := questionOf(want.Of, want.values())
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	for _, bad := range []string{"x", "-1", "99999999999999999999"} {
		for _, field := range []string{"limit", "version"} {
			if _, err := questionOf(ofReceipts, map[string][]string{field: {bad}}); config.KindOf(err) != config.Invalid || err == nil {
				t.Errorf("%s=%s: want it refused, got %v", field, bad, err)
			}
		}
	}
}

func TestStartingNodesAnswerNothingOfTheirClients(t *testing.T) {
	t.Parallel()
	c := &Cluster{now: time.Now}
	if _, err := c.ownClients(question{Of: ofReceipts}); config.KindOf(err) != config.Unavailable {
		t.Errorf("got %v", err)
	}
	c.Attach(Parts{Receipts: func(config.Path, int64) []config.Receipt { return []config.Receipt{{Instance: 1}} }})
	if _, err := c.ownClients(question{Of: ofReceipts, Path: "no path"}); config.KindOf(err) != config.Invalid || err == nil {
		t.Errorf("got %v", err)
	}
	if got, err := c.ownClients(question{Of: ofReceipts, Path: "acme", Version: 1}); err != nil || len(got.Receipts) != 1 || got.Now == 0 {
		t.Errorf("got %+v, %v", got, err)
	}
}
