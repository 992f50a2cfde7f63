package protocoltest

import (
	"fmt"
	"strings"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

func instanceScenarios() []scenario {
	return []scenario{
		{"a watching client is listed by what it says", []Part{PartWatches, PartPresence}, instanceWatching},
		{"a reading client is listed by what it says", []Part{PartReads}, instanceReading},
		{"reports are noted", []Part{PartReports}, instanceReports},
		{"reports that cannot be", []Part{PartReports}, instanceBadReports},
		{"listed page by page, and by what they said", []Part{PartInstances}, instancesInPages},
	}
}

// described is a client with all that it can say.
func described() config.Client {
	return config.Client{ID: "node-7", Labels: map[string]string{"region": "eu", "version": "2.0"}, Slot: "green"}
}

// listed returns the instances of a config of prod.
func (s *stage) listed(name string) []config.Instance {
	s.Helper()
	list, err := s.arrange.ListInstances(s.ctx, center.InstanceRequest{Path: s.prod.Join(name)})
	s.ok(err)
	return list.Items
}

// isListed fails unless a described client is listed as one of the protocol.
func (s *stage) isListed(all []config.Instance, connected bool) {
	s.Helper()
	if len(all) != 1 {
		s.Fatalf("want 1 instance, got %d: %+v", len(all), all)
	}
	want := config.Instance{
		ID: "node-7", Labels: described().Labels, Slot: "green", Address: "127.0.0.1", User: s.newest,
		Protocol: s.proto.Name, Node: "n1", Connected: connected,
	}
	unsaid := cmpopts.IgnoreFields(config.Instance{}, "Agent", "Since", "Seen", "Watches", "Sent", "Holds")
	if diff := cmp.Diff(want, all[0], unsaid); diff != "" {
		s.Errorf("the instance (-want +got):\n%s", diff)
	}
}

func instanceWatching(s *stage) {
	s.publish("a.json", "1")
	app, _ := s.application(described())
	w := s.watch(app, WatchRequest{Patterns: []string{s.prod.String()}})
	w.current()
	all := s.listed("a.json")
	s.isListed(all, true)
	s.want("what it watches", []string{s.prod.String()}, all[0].Watches)
}

func instanceReading(s *stage) {
	s.publish("a.json", "1")
	app, _ := s.application(described())
	_, err := app.Get(s.ctx, Read{Path: s.prod.Join("a.json")})
	s.ok(err)
	all := s.listed("a.json")
	s.isListed(all, false)
	s.want("the version that it was sent", int64(1), all[0].Holds[0].Sent)
}

func instanceReports(s *stage) {
	s.publish("a.json", "1", "b.json", "1")
	s.publish("a.json", "2")
	app, _ := s.application(described())
	a, b := s.prod.Join("a.json"), s.prod.Join("b.json")
	s.ok(app.Report(s.ctx, []center.InstanceReport{
		{Path: a, Version: 1, State: config.AckApplied},
		{Path: a, Version: 2, State: config.AckRefused, Why: "größe: 想要一个数字\n\"x\""},
		{Path: b, Version: 1, State: config.AckApplied},
	}))
	all := s.listed("a.json")
	s.isListed(all, false)
	h := all[0].Holds[0]
	s.want("what it said", []any{int64(1), int64(2), "größe: 想要一个数字\n\"x\""}, []any{h.Applied, h.Refused, h.Why})
	s.want("what it said of the other", int64(1), s.listed("b.json")[0].Holds[0].Applied)
	s.ok(app.Report(s.ctx, []center.InstanceReport{{Path: a, Version: 2, State: config.AckApplied}}))
	h = s.listed("a.json")[0].Holds[0]
	s.want("what it says in the end", []int64{2, 0}, []int64{h.Applied, h.Refused})

	s.ok(app.Report(s.ctx, []center.InstanceReport{{Path: a, Version: 2, State: config.AckRefused, Why: strings.Repeat("x", 2000)}}))
	if why := s.listed("a.json")[0].Holds[0].Why; len(why) < 900 || len(why) > 1010 {
		s.Errorf("want about 1,000 bytes of a long reason, got %d", len(why))
	}
}

func instanceBadReports(s *stage) {
	s.publish("a.json", "1")
	app, _ := s.application(described())
	nameless, _ := s.application(config.Client{})
	a := s.prod.Join("a.json")
	many := make([]center.InstanceReport, center.MaxReports+1)
	for i := range many {
		many[i] = center.InstanceReport{Path: a, Version: 1, State: config.AckApplied}
	}
	for _, c := range []struct {
		what    string
		as      *actor
		reports []center.InstanceReport
		want    config.ErrorKind
	}{
		{"nothing", app, nil, config.Invalid},
		{"too many", app, many, config.Invalid},
		{"without a name", nameless, many[:1], config.Invalid},
		{"a version that is not there", app, []center.InstanceReport{many[0], {Path: a, Version: 2, State: config.AckApplied}}, config.Invalid},
		{"a config that is not there", app, []center.InstanceReport{{Path: s.prod.Join("x.json"), Version: 1, State: config.AckApplied}}, config.Invalid},
		{"an odd state", app, []center.InstanceReport{{Path: a, Version: 1, State: "perhaps"}}, config.Invalid},
		{"another env", app, []center.InstanceReport{{Path: s.dev.Join("a.json"), Version: 1, State: config.AckApplied}}, config.Denied},
	} {
		s.refused("a report of "+c.what, c.want, c.as.Report(s.ctx, c.reports))
	}
	for _, i := range s.listed("a.json") {
		for _, h := range i.Holds {
			if h.Applied != 0 || h.Refused != 0 {
				s.Errorf("want nothing noted of reports that were refused, got %+v", h)
			}
		}
	}
	s.ok(app.Report(s.ctx, many[:center.MaxReports]))
}

func instancesInPages(s *stage) {
	a := s.admin()
	s.publish("a.json", "1")
	path := s.prod.Join("a.json")
	for i := range 5 {
		caller := s.node.admin
		caller.Instance = config.Client{ID: fmt.Sprintf("node-%d", i), Labels: map[string]string{"n": fmt.Sprint(i)}}
		c := newActor(newReference(s.node, caller))
		state := config.AckApplied
		if i == 3 {
			state = config.AckRefused
		}
		s.ok(c.Report(s.ctx, []center.InstanceReport{{Path: path, Version: 1, State: state, Why: "no"}}))
	}
	for what, r := range map[string]center.InstanceRequest{
		"all":         {Path: path},
		"of an env":   {Path: s.prod},
		"who refused": {Path: path, Version: 1, State: center.InstanceRefused},
	} {
		want, err := s.arrange.ListInstances(s.ctx, r)
		s.ok(err)
		got, err := a.ListInstances(s.ctx, r)
		s.ok(err)
		s.want("the instances: "+what, want, got)
	}
	var ids []string
	r := center.InstanceRequest{Path: path, PageRequest: center.PageRequest{Limit: 2}}
	for {
		page, err := a.ListInstances(s.ctx, r)
		s.ok(err)
		for _, i := range page.Items {
			ids = append(ids, i.ID)
		}
		if page.Next == "" || len(page.Items) == 0 {
			break
		}
		r.After = page.Next
	}
	s.want("the instances of all pages", []string{"node-0", "node-1", "node-2", "node-3", "node-4"}, ids)
	bad := center.InstanceRequest{Path: path, State: "odd"}
	_, err := a.ListInstances(s.ctx, bad)
	s.refused("an odd state", config.Invalid, err)
}
