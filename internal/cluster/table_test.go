package cluster

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/config"
)

func from(name, boot, url string) *hello {
	return &hello{Report: report{Boot: boot, Node: config.Node{Name: name, Role: config.Edge, URL: url}}, Wait: true}
}

func edgeNames(all []heard) []string {
	var out []string
	for _, h := range all {
		out = append(out, h.Report.Node.Name)
	}
	return out
}

func TestTableKeepsNodesOfOneNameApart(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, tc := range []struct {
		name  string
		later time.Duration
		next  *hello
		taken bool
	}{
		{"the same run", time.Second, from("e1", "a", "u1"), false},
		{"the same run at another address", time.Second, from("e1", "a", "u2"), false},
		{"the next run", time.Second, from("e1", "b", "u1"), false},
		{"another node", time.Second, from("e1", "b", "u2"), true},
		{"another node, after a while", silentAfter, from("e1", "b", "u2"), false},
		{"another name", time.Second, from("e2", "b", "u2"), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var heard table
			if err := heard.put(from("e1", "a", "u1"), now); err != nil {
				t.Fatal(err)
			}
			err := heard.put(tc.next, now.Add(tc.later))
			if tc.taken != (config.KindOf(err) == config.Exists) || !tc.taken && err != nil {
				t.Errorf("want taken %t, got %v", tc.taken, err)
			}
		})
	}
}

func TestTableForgets(t *testing.T) {
	t.Parallel()
	var heard table
	now := time.Now()
	for _, name := range []string{"e1", "e2", "e3"} {
		if err := heard.put(from(name, name, ""), now); err != nil {
			t.Fatal(err)
		}
	}
	heard.dropBoot("e1", "of an earlier run")
	heard.dropBoot("e2", "e2")
	if diff := cmp.Diff([]string{"e1", "e3"}, edgeNames(heard.edges(now))); diff != "" {
		t.Error(diff)
	}
	if err := heard.put(from("e3", "e3", ""), now.Add(forgetAfter)); err != nil {
		t.Fatal(err)
	}
	now = now.Add(forgetAfter + time.Second)
	if diff := cmp.Diff([]string{"e3"}, edgeNames(heard.edges(now))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"e3"}, heard.askable(now)); diff != "" {
		t.Error(diff)
	}
}

func TestTableLearnsWhatIsNews(t *testing.T) {
	t.Parallel()
	var known table
	now := time.Now()
	if err := known.put(from("e1", "mine", ""), now); err != nil {
		t.Fatal(err)
	}
	known.learn([]heard{
		{Report: from("e1", "older", "").Report, Ago: 3},
		{Report: from("e2", "theirs", "").Report, Ago: 2},
	}, now)
	for name, boot := range map[string]string{"e1": "mine", "e2": "theirs"} {
		if e, ok := known.get(name); !ok || e.report.Boot != boot {
			t.Errorf("%s: want %s, got %+v", name, boot, e)
		}
	}
	if e, _ := known.get("e2"); now.Sub(e.at) != 2*time.Second {
		t.Errorf("want it to be as old as it is, got %s", now.Sub(e.at))
	}
}

func TestTableAsksAtTheNextHello(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var heard table
		if err := heard.put(from("e1", "a", ""), time.Now()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if got := heard.questions(ctx, "e1"); got != nil {
			t.Errorf("want nothing to ask, got %v", got)
		}

		answered := make(chan *clients)
		go func() {
			found, err := heard.ask(t.Context(), "e1", question{Path: "acme"})
			if err != nil {
				t.Error(err)
			}
			answered <- found
		}()
		asked := heard.questions(t.Context(), "e1") // waits for it
		if len(asked) != 1 || asked[0].Path != "acme" {
			t.Fatalf("got %+v", asked)
		}
		heard.answered("e1", "another", nil)
		heard.answered("e2", asked[0].ID, nil)
		heard.answered("e1", asked[0].ID, &clients{Instances: []config.Instance{{ID: "i"}}})
		if got := <-answered; got == nil || len(got.Instances) != 1 || got.Instances[0].ID != "i" {
			t.Errorf("got %+v", got)
		}
		heard.answered("e1", asked[0].ID, nil) // once more, too late

		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := heard.ask(ctx, "e1", question{}); config.KindOf(err) != config.Timeout {
			t.Errorf("want nobody to answer, got %v", err)
		}
		if _, err := heard.ask(ctx, "e9", question{}); config.KindOf(err) != config.NotFound {
			t.Errorf("want nobody of that name, got %v", err)
		}
	})
}

func TestTableIsBounded(t *testing.T) {
	t.Parallel()
	var heard table
	now := time.Now()
	for i := range maxHeard {
		if err := heard.put(from("e"+hex(uint64(i)), "b", ""), now); err != nil {
			t.Fatal(err)
		}
	}
	if err := heard.put(from("one-more", "b", ""), now); config.KindOf(err) != config.Exhausted || !strings.Contains(err.Error(), "10000 nodes") {
		t.Errorf("want it refused, got %v", err)
	}
}
