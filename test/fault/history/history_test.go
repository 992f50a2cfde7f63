package history

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/config"
)

func TestGap(t *testing.T) {
	ops := []Op{
		{Kind: Publish, Outcome: OK, Return: 10}, {Kind: Publish, Outcome: OK, Return: 70}, {Kind: Publish, Outcome: OK, Return: 30},
		{Kind: Publish, Outcome: Unknown, Return: 50}, {Kind: Read, Outcome: OK, Return: 50},
	}
	writes := func(o Op) bool { return o.Kind.Writes() }
	cases := []struct {
		name     string
		from, to time.Duration
		want     time.Duration
	}{
		{"between answers", 0, 80, 40},
		{"up to the end", 60, 200, 130},
		{"from the beginning", 35, 75, 35},
		{"nothing at all", 80, 90, 10},
	}
	for _, c := range cases {
		if got := Gap(ops, c.from, c.to, writes); got != c.want {
			t.Errorf("%s: want %d, got %d", c.name, c.want, got)
		}
	}
}

func TestPosition(t *testing.T) {
	if got, err := Position("2s.k3j9"); err != nil || got != 2*36+28 {
		t.Errorf("want 100, got %d, %v", got, err)
	}
	for _, bad := range []string{"", "2s", ".k3j9", "!.k3j9"} {
		if got, err := Position(config.Token(bad)); err == nil {
			t.Errorf("%q: want an error, got %d", bad, got)
		}
	}
}

func TestHistoryKeepsOrder(t *testing.T) {
	h := New()
	h.Add(Op{Client: "late", Call: 20})
	h.Add(Op{Client: "early", Call: 10})
	h.See("b", Seen{At: 1})
	h.See("a", Seen{At: 2})
	h.See("b", Seen{At: 3})
	h.Complain("c", errors.New("denied"))
	var clients []string
	for _, o := range h.Ops() {
		clients = append(clients, o.Client)
	}
	if diff := cmp.Diff([]string{"early", "late"}, clients); diff != "" {
		t.Error(diff)
	}
	want := []Watch{{Name: "a", Seen: []Seen{{At: 2}}}, {Name: "b", Seen: []Seen{{At: 1}, {At: 3}}}}
	if diff := cmp.Diff(want, h.Watches()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"c: denied"}, h.Complaints()); diff != "" {
		t.Error(diff)
	}
}
