package client_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/client/clienttest"
	"github.com/setpointhq/setpoint/config"
)

type limits struct {
	Rate  int    `json:"rate"`
	Burst int    `json:"burst"`
	Name  string `json:"name"`
}

func (l *limits) check() error {
	if l.Rate < 0 {
		return fmt.Errorf("rate: want none below 0, got %d", l.Rate)
	}
	return nil
}

func TestBind(t *testing.T) {
	srv := clienttest.NewServer(t)
	set := func(contents map[string]string) *client.Set {
		srv.PutAll(contents)
		return open(t, srv.Client(t, client.Options{}), client.SetOptions{})
	}(map[string]string{pathA: `{"rate":5,"unknown":true}`, pathC: "rate: 7", pathB: `{"rate":"x"}`})
	defaults := func() limits { return limits{Burst: 10} }
	tests := []struct {
		name, path string
		o          client.BindOptions[limits]
		want       limits
		kind       config.ErrorKind // if it is refused
		why        string
	}{
		{name: "json", path: pathA, want: limits{Rate: 5}},
		{name: "over defaults", path: pathA, o: client.BindOptions[limits]{Defaults: defaults}, want: limits{Rate: 5, Burst: 10}},
		{name: "completed", path: pathA, o: client.BindOptions[limits]{Validate: func(l *limits) error {
			l.Name = "done"
			return nil
		}}, want: limits{Rate: 5, Name: "done"}},
		{name: "other decoder", path: pathC, o: client.BindOptions[limits]{Decode: func(b []byte, v any) error {
			_, err := fmt.Sscanf(string(b), "rate: %d", &v.(*limits).Rate)
			return err
		}}, want: limits{Rate: 7}},
		{name: "not there, optional", path: env + "/none.json", o: client.BindOptions[limits]{Defaults: defaults, Optional: true}, want: limits{Burst: 10}},
		{name: "not there", path: env + "/none.json", kind: config.NotFound, why: "make the binding optional"},
		{name: "not in the set", path: "acme/shop/test/a.json", kind: config.Invalid, why: "open the set with it"},
		{name: "no config", path: env, kind: config.Invalid, why: "want the path of a config"},
		{name: "yaml without a decoder", path: pathC, kind: config.Invalid, why: "yaml.Unmarshal"},
		{name: "wrong type", path: pathB, kind: config.Invalid, why: "version 1"},
		{name: "not valid", path: pathA, o: client.BindOptions[limits]{Validate: func(*limits) error { return errors.New("not today") }}, kind: config.Invalid, why: "not today"},
		{name: "panics", path: pathA, o: client.BindOptions[limits]{Decode: func([]byte, any) error { panic("ouch") }}, kind: config.Invalid, why: "ouch"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, err := client.Bind(set, mustPath(t, tt.path), tt.o)
			if tt.why != "" {
				if config.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.why) {
					t.Errorf("want %s with %q, got %v", tt.kind, tt.why, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, *b.Value()); diff != "" {
				t.Errorf("value (-want +got):\n%s", diff)
			}
		})
	}
}

func TestABindingThatIsTakenAtASecondAttempt(t *testing.T) {
	srv := clienttest.NewServer(t)
	srv.Put(pathA, `{"rate":-1}`)
	set := open(t, srv.Client(t, client.Options{}), client.SetOptions{})
	if _, err := client.Bind(set, mustPath(t, pathA), client.BindOptions[limits]{Validate: (*limits).check}); err == nil {
		t.Fatal("want it refused")
	}
	reported(t, srv, pathA, 1, config.AckRefused)
	if _, err := client.Bind(set, mustPath(t, pathA), client.BindOptions[limits]{}); err != nil {
		t.Fatal(err)
	}
	set.Close()
	reports := srv.Reports()
	if last := reports[len(reports)-1]; last.State != config.AckApplied {
		t.Errorf("want it applied in the end, got %+v", reports)
	}
}

func TestBoundValuesChange(t *testing.T) {
	srv := clienttest.NewServer(t)
	srv.PutAll(map[string]string{pathA: `{"rate":1}`, pathB: `{"rate":1}`})
	set := open(t, srv.Client(t, client.Options{}), client.SetOptions{})
	told := make(chan string, 10)
	bind := func(path string, optional bool) *client.Bound[limits] {
		b, err := client.Bind(set, mustPath(t, path), client.BindOptions[limits]{
			Optional: optional,
			Defaults: func() limits { return limits{Rate: -1} },
			OnChange: func(old, now *limits) { told <- fmt.Sprintf("%s: %d to %d", path, old.Rate, now.Rate) },
		})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	a, b, none := bind(pathA, false), bind(pathB, false), bind(env+"/later.json", true)
	oldB := b.Value()
	old := set.State()
	srv.Put(pathA, `{"rate":2}`)
	state := wait(t, set, serves(t, pathA, `{"rate":2}`))
	if a.Value().Rate != 2 || a.In(old).Rate != 1 || a.In(state) != a.Value() {
		t.Errorf("want 2 now and 1 before, got %+v and %+v", a.Value(), a.In(old))
	}
	if b.Value() != oldB {
		t.Error("want what did not change to be the same")
	}
	srv.Put(env+"/later.json", `{"rate":3}`)
	wait(t, set, serves(t, env+"/later.json", `{"rate":3}`))
	srv.Delete(env + "/later.json")
	wait(t, set, serves(t, env+"/later.json", ""))
	if none.Value().Rate != -1 {
		t.Errorf("want the defaults again, got %+v", none.Value())
	}
	for _, want := range []string{pathA + ": 1 to 2", env + "/later.json: -1 to 3", env + "/later.json: 3 to -1"} {
		if got := <-told; want != got {
			t.Errorf("want to be told %q, got %q", want, got)
		}
	}
	late := bind(pathA, false)
	if late.In(old) != nil || late.Value().Rate != 2 {
		t.Errorf("want no value from before the binding, got %+v", late.In(old))
	}
}

func TestARefusalKeepsTheWholeStateBefore(t *testing.T) {
	srv := clienttest.NewServer(t)
	srv.PutAll(map[string]string{pathA: `{"rate":1}`, pathB: `{"rate":1}`, pathC: "1"})
	var log record
	set := open(t, srv.Client(t, client.Options{Log: log.logger()}), client.SetOptions{})
	var bound [2]*client.Bound[limits]
	for i, path := range []string{pathA, pathB} {
		var err error
		if bound[i], err = client.Bind(set, mustPath(t, path), client.BindOptions[limits]{Validate: (*limits).check}); err != nil {
			t.Fatal(err)
		}
	}
	before := set.State()
	srv.PutAll(map[string]string{pathA: `{"rate":2}`, pathB: `{"rate":-2}`, pathC: "2"})
	report, err := srv.WaitReport(t.Context(), func(r clienttest.Report) bool { return r.State == config.AckRefused })
	if err != nil {
		t.Fatal(err)
	}
	if report.Path != pathB || report.Version != 2 || report.Why != "version 2: rate: want none below 0, got -2" {
		t.Errorf("want version 2 of %s refused with the reason, got %+v", pathB, report)
	}
	if set.State() != before || bound[0].Value().Rate != 1 || bound[1].Value().Rate != 1 {
		t.Errorf("want the state before as a whole, got %v", show(set.State()))
	}
	if st := set.Status(); !st.Connected || st.Refused == nil || !strings.Contains(log.String(), "refused a config") {
		t.Errorf("want the refusal told, got %+v and %s", st, log.String())
	}
	// What is behind it waits for it: the state is one.
	srv.Put(pathC, "3")
	srv.Put(pathB, `{"rate":3}`)
	wantState(t, wait(t, set, serves(t, pathC, "3")), `a.json=2:{"rate":2}`, `b.json=3:{"rate":3}`, "c.yaml=3:3")
	if bound[0].Value().Rate != 2 || bound[1].Value().Rate != 3 || set.Status().Refused != nil {
		t.Errorf("want both new, got %+v and %+v", bound[0].Value(), bound[1].Value())
	}
	for _, want := range []clienttest.Report{{Path: pathA, Version: 2}, {Path: pathB, Version: 3}, {Path: pathC, Version: 3}} {
		if _, err := srv.WaitReport(t.Context(), func(r clienttest.Report) bool {
			return r.Path == want.Path && r.Version == want.Version && r.State == config.AckApplied
		}); err != nil {
			t.Error(err)
		}
	}
	for _, r := range srv.Reports() {
		if r.State == config.AckApplied && (r.Path == pathB && r.Version == 2 || r.Path == pathC && r.Version == 2) {
			t.Errorf("reported as applied what never was in force: %+v", r)
		}
	}
	// What must be there cannot go.
	srv.Delete(pathA)
	log.wait(t, "nothing is served there")
	if bound[0].Value().Rate != 2 {
		t.Errorf("want what was there to stay, got %+v", bound[0].Value())
	}
}

func TestBindingsOfOneSetAreNeverHalfChanged(t *testing.T) {
	srv := clienttest.NewServer(t)
	put := func(i int) {
		content := fmt.Sprintf(`{"rate":%d,"burst":%d}`, i, i)
		srv.PutAll(map[string]string{pathA: content, pathB: content})
	}
	put(0)
	set := open(t, srv.Client(t, client.Options{}), client.SetOptions{})
	a, err := client.Bind(set, mustPath(t, pathA), client.BindOptions[limits]{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := client.Bind(set, mustPath(t, pathB), client.BindOptions[limits]{})
	if err != nil {
		t.Fatal(err)
	}
	const last = 300
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for seen := 0; seen < last; {
				state := set.State()
				x, y := a.In(state), b.In(state)
				if *x != *y || x.Rate != x.Burst || x.Rate < seen {
					t.Errorf("half of a change, or one back, after %d: %+v and %+v", seen, x, y)
					return
				}
				seen = x.Rate
				var raw limits
				c, _ := state.Get(mustPath(t, pathA))
				if err := json.Unmarshal(c.Content, &raw); err != nil || raw != *x {
					t.Errorf("want the value of the content %s, got %+v", c.Content, x)
					return
				}
				if v := b.Value(); v.Rate < seen {
					t.Errorf("went back from %d to %d", seen, v.Rate)
					return
				}
			}
		})
	}
	for i := range last {
		put(i + 1)
	}
	readers.Wait()
}

func TestALogLevelFollowsItsConfig(t *testing.T) {
	srv := clienttest.NewServer(t)
	set := func() *client.Set {
		srv.Put(pathB, "1")
		return open(t, srv.Client(t, client.Options{}), client.SetOptions{})
	}()
	bound, err := client.Bind(set, mustPath(t, pathA), client.BindOptions[logging]{Optional: true})
	if err != nil {
		t.Fatal(err)
	}
	var out record
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: liveLevel{bound}}))
	log.Debug("one")
	srv.Put(pathA, `{"level":"debug"}`)
	wait(t, set, serves(t, pathA, `{"level":"debug"}`))
	log.Debug("two")
	srv.Put(pathA, `{"level":"loud"}`)
	reported(t, srv, pathA, 2, config.AckRefused)
	log.Debug("three")
	for text, want := range map[string]bool{"one": false, "two": true, "three": true} {
		if got := strings.Contains(out.String(), text); want != got {
			t.Errorf("%s: want it logged %v, got %s", text, want, out.String())
		}
	}
}
