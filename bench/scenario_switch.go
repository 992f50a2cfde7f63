package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

// switched is a blue-green launch of two configs. In the one slot both carry the
// mark 1, in the other both carry the mark 2.
type switched struct {
	t     *target
	paths []config.Path
	id    string
	// looked counts the states that were looked at.
	looked atomic.Int64
}

const (
	marksBlue, marksGreen = 1, 2
	switchedConfigs       = 2
)

// switches measures how long it takes from the request to switch a launch to
// when each of the instances that follow it has the configs of the other slot,
// while others read and publish.
func (r *run) switches(ctx context.Context) (_ []Result, err error) {
	s := &switched{t: r.target}
	if err := s.launch(ctx); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.abort()) }()
	beside, err := r.openBackground(ctx, scenarioSwitch)
	if err != nil {
		return nil, err
	}
	defer beside.conns.close()
	setup, err := s.capture(ctx, r)
	if err != nil {
		return nil, err
	}
	var ready listening
	floor, err := r.startFloor(ctx, floorFanout, setup, &ready)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, floor.stop()) }()
	bare, err := ready.server()
	if err != nil {
		return nil, err
	}
	c := contest{
		scenario: scenarioSwitch, subscribers: r.Instances,
		title: fmt.Sprintf("from the switch of a blue-green launch of 2 configs to each of %d instances over SSE, %d switches and back in a round, an event of %d bytes",
			r.Instances, r.Publishes, len(setup.Event)),
	}
	for _, subject := range []struct {
		name     string
		server   server
		measured measured
		judge    func([]byte) error
		sender   func(*conn) sender
	}{
		{"setpoint", r.target.server, r.target.measured(), s.whole, s.sender},
		{"bare TLS write", bare, floor.measured(), nil, func(c *conn) sender { return triggerSender(bare, c) }},
	} {
		fan, each, err := r.gatherAround(ctx, subject.server, subject.measured, gathering{n: r.Instances, speech: sse{}, request: s.request, judge: subject.judge})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", subject.name, err)
		}
		defer fan.close()
		conn, err := subject.server.dial(ctx)
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		c.add(subject.name, subject.measured.pids, beside.beside(thereAndBack(fanoutRound(fan, subject.sender(conn)))), each)
	}
	result, err := r.play(ctx, c)
	result.Notes = []string{
		beside.String(),
		fmt.Sprintf("whole states only, both configs of one slot: %d that came to the %d instances were looked at", s.looked.Load(), r.Instances),
	}
	return []Result{result}, err
}

// thereAndBack has a round switch back as often as it switches, so that each
// begins with the same slot.
func thereAndBack(next round) round {
	return func(ctx context.Context, e effort) (sample, error) {
		e.publishes *= 2
		return next(ctx, e)
	}
}

// launch releases two configs, and others of the same names by a launch.
func (s *switched) launch(ctx context.Context) error {
	publish := func(marks int64, o client.ReleaseOptions) (config.ChangeSet, error) {
		p := client.Publish{Comment: "for the benchmark", ReleaseOptions: o}
		for _, path := range s.paths {
			p.Items = append(p.Items, client.PublishItem{Path: path, Content: document(marks)})
		}
		return s.t.client.Publish(ctx, p)
	}
	for i := range switchedConfigs {
		s.paths = append(s.paths, s.t.env.Join(fmt.Sprintf("%s-%d.json", scenarioSwitch, i)))
	}
	if _, err := publish(marksBlue, client.ReleaseOptions{}); err != nil {
		return err
	}
	set, err := publish(marksGreen, client.ReleaseOptions{Rollout: &client.NewRollout{Strategy: config.Strategy{Kind: config.StrategyBlueGreen}}})
	if err != nil {
		return err
	}
	if set.Launch == nil {
		return errors.New("the server began no launch")
	}
	s.id = set.Launch.ID
	return nil
}

// capture switches as long as it takes to see what that sends to an instance.
func (s *switched) capture(ctx context.Context, r *run) (fanoutSetup, error) {
	setup, err := r.captureEvent(ctx, s.t.over(overSSE), s.request(0), mark(marksGreen), func(c *conn) (func() error, error) { return s.sender(c).send, nil })
	if err != nil {
		return setup, err
	}
	if err := s.whole(setup.Event); err != nil {
		return setup, err
	}
	_, err = s.t.client.SwitchLaunch(ctx, client.SwitchLaunch{LaunchAct: s.act(), To: config.SlotBlue})
	return setup, err
}

// abort ends the launch, also when the run was called off.
func (s *switched) abort() error {
	ctx, cancel := context.WithTimeout(context.Background(), undoPatience)
	defer cancel()
	_, err := s.t.client.AbortLaunch(ctx, s.act())
	return err
}

func (s *switched) act() client.LaunchAct {
	return client.LaunchAct{LaunchRef: client.LaunchRef{Tenant: s.t.env.Tenant, ID: s.id}}
}

// request is the watch of one of the instances, which says who it is.
func (s *switched) request(i int) [][]byte {
	who := fmt.Sprintf("Setpoint-Instance: checkout-7f9c8d6b54-%05d\r\nSetpoint-Labels: version=1.4.%d,zone=eu-%d,tier=web\r\n", i, i%7, i%3)
	return [][]byte{watchRequest(s.t.server, s.t.authorization, who, s.paths)}
}

// sender switches to the one slot and the other in turn.
func (s *switched) sender(c *conn) sender {
	path := fmt.Sprintf("/v1/tenants/%s/launches/%s/switch", s.t.env.Tenant, s.id)
	to := func(slot string) []byte {
		return s.t.server.request(http.MethodPost, path, s.t.authorization, "", []byte(`{"to":"`+slot+`"}`))
	}
	requests := [][]byte{to(config.SlotGreen), to(config.SlotBlue)}
	marks := []string{mark(marksGreen), mark(marksBlue)}
	turn := 0
	return sender{
		next: func() string { return marks[turn] },
		send: c.patiently(func() error {
			request := requests[turn]
			turn = 1 - turn
			return c.exchange(request, http.StatusOK)
		}),
	}
}

// whole wants an event that brings anything to bring both configs, of one slot.
func (s *switched) whole(event []byte) error {
	if !bytes.HasPrefix(event, []byte("event: changes\n")) {
		return nil
	}
	_, data, _ := bytes.Cut(event, []byte("\ndata: "))
	var changes struct {
		Changes []struct {
			Path    config.Path `json:"path"`
			Content string      `json:"content"`
		} `json:"changes"`
	}
	if err := json.Unmarshal(data, &changes); err != nil {
		return fmt.Errorf("an event that cannot be read: %w", err)
	}
	var paths []config.Path
	var marks []string
	for _, c := range changes.Changes {
		paths, marks = append(paths, c.Path), append(marks, markOf(c.Content))
	}
	s.looked.Add(1)
	if len(paths) != switchedConfigs || !slices.Contains(paths, s.paths[0]) || !slices.Contains(paths, s.paths[1]) || marks[0] != marks[1] || marks[0] == "" {
		return fmt.Errorf("want both configs of one slot in an event, it brings %v with %q", paths, marks)
	}
	return nil
}

// markOf is the mark of a document; "" if it is none.
func markOf(content string) string {
	var doc struct {
		Mark string `json:"mark"`
	}
	if json.Unmarshal([]byte(content), &doc) != nil {
		return ""
	}
	return doc.Mark
}
