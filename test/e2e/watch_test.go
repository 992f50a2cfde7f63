package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

const watchedEnv = "acme/shop/prod"

// TestWatchersThatAreCutOffMissNothing cuts watchers off a hundred times while a
// thousand changes of all sorts go on. They are the SDK's, one that resumes by
// Last-Event-ID, and one that polls.
func TestWatchersThatAreCutOffMissNothing(t *testing.T) {
	const changes, cuts, every = 1000, 100, 25
	s := start(t, "PROTOCOLS_REST_STREAM_RETRY=1ms")
	root := s.root()
	build(t, root, watchedEnv, "acme/shop/other")
	p := newPublisher(t, root)

	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	watchers := map[string]func(context.Context, *server, *scissors, func(client.Event)) error{
		"the SDK": watchBySDK, "a browser": watchByLastEventID, "a poller": watchByPolling,
	}
	var blades []*scissors
	observers := map[string]*observer{}
	for name, watch := range watchers {
		cutter := newScissors(t, s.addr)
		blades = append(blades, cutter)
		o := newObserver(t, name, p.twins)
		observers[name] = o
		watching.Go(func() {
			if err := watch(ctx, s, cutter, o.take); err != nil && ctx.Err() == nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	watching.Go(func() { watchTwinsByReading(ctx, t, s, p.twins) })

	for i := range changes {
		p.change(i)
		// Changes and cuts go on side by side to the end.
		for _, cutter := range blades {
			s.until("cuts", func() bool { return cutter.cuts.Load() >= int64((i+1)*cuts/changes) })
		}
		if i%every != every-1 {
			continue
		}
		// What is lost could be made good by a later change: so look in between.
		version := p.put(p.mark, fmt.Sprintf("after: %d\n", i))
		want, err := root.Snapshot(t.Context(), path(t, watchedEnv), client.ReadOptions{Strong: true})
		if err != nil {
			t.Fatal(err)
		}
		for name, o := range observers {
			s.until(name+" at the mark", func() bool { return o.knows(p.mark, version) })
			o.wantState(want)
		}
	}
	cancel()
	watching.Wait()
	for name, o := range observers {
		t.Logf("%s: %d events", name, o.events)
	}
}

// publisher makes changes of all sorts.
type publisher struct {
	t     testing.TB
	c     *client.Client
	rand  *rand.Rand
	names []config.Path
	gone  map[config.Path]bool
	made  map[config.Path]int64 // the latest version of each
	twins [2]config.Path
	mark  config.Path // published when there is time to compare
}

func newPublisher(t testing.TB, c *client.Client) *publisher {
	p := &publisher{
		t: t, c: c, rand: rand.New(rand.NewPCG(4, 4)), gone: map[config.Path]bool{}, made: map[config.Path]int64{},
		twins: [2]config.Path{path(t, watchedEnv+"/twin-a.yaml"), path(t, watchedEnv+"/twin-b.yaml")},
		mark:  path(t, watchedEnv+"/mark.yaml"),
	}
	for i := range 12 {
		p.names = append(p.names, path(t, fmt.Sprintf("%s/app-%02d.yaml", watchedEnv, i)))
	}
	for _, name := range p.names {
		p.put(name, "begun: true\n")
	}
	return p
}

// change makes the i-th change.
func (p *publisher) change(i int) {
	p.t.Helper()
	one := p.names[p.rand.IntN(len(p.names))]
	content := fmt.Sprintf("change: %d\npad: %s\n", i, strings.Repeat("x", p.rand.IntN(500)))
	var err error
	switch n := i % 10; {
	case n < 3: // the twins, always with the same content
		p.publish(content, p.twins[0], p.twins[1])
	case n == 3: // several, of another env too
		p.publish(content, one, p.names[0], path(p.t, "acme/shop/other/app.yaml"))
	case n == 4 && p.gone[one]:
		_, err = p.c.UndeleteConfig(p.t.Context(), one, "")
		p.gone[one] = false
	case n == 4:
		err = p.c.DeleteConfig(p.t.Context(), client.DeleteConfig{Path: one})
		p.gone[one] = true
	case n == 5 && !p.gone[one]:
		var set config.ChangeSet
		set, err = p.c.Rollback(p.t.Context(), client.Rollback{Path: one, Version: p.made[one] - p.rand.Int64N(min(p.made[one], 20))})
		p.note(set)
	default:
		p.put(one, content)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *publisher) put(at config.Path, content string) (version int64) {
	p.t.Helper()
	p.publish(content, at)
	return p.made[at]
}

func (p *publisher) publish(content string, paths ...config.Path) {
	p.t.Helper()
	var set client.Publish
	for i, at := range paths {
		if i > 0 && at == paths[0] {
			continue
		}
		set.Items = append(set.Items, client.PublishItem{Path: at, Content: []byte(content)})
		p.gone[at] = false
	}
	made, err := p.c.Publish(p.t.Context(), set)
	if err != nil {
		p.t.Fatal(err)
	}
	p.note(made)
}

func (p *publisher) note(set config.ChangeSet) {
	for _, item := range set.Items {
		p.made[item.Path] = item.Version
	}
}

// watchTwinsByReading reads the whole env again and again, and wants the twins
// to be alike in every snapshot.
func watchTwinsByReading(ctx context.Context, t testing.TB, s *server, twins [2]config.Path) {
	c := s.root()
	pace := time.NewTicker(5 * time.Millisecond)
	defer pace.Stop()
	for ctx.Err() == nil {
		<-pace.C
		snap, err := c.Snapshot(ctx, path(t, watchedEnv), client.ReadOptions{})
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			t.Error(err)
			return
		}
		digest := map[config.Path]string{}
		for _, r := range snap.Configs {
			digest[r.Path] = r.Digest
		}
		if digest[twins[0]] != digest[twins[1]] {
			t.Errorf("a snapshot has half a change set: %s and %s", digest[twins[0]], digest[twins[1]])
		}
	}
}

func watchBySDK(ctx context.Context, s *server, via *scissors, take func(client.Event)) error {
	c := s.as(s.token, func(o *client.Options) { o.Endpoints = []string{"https://" + via.Addr().String()} })
	for e, err := range c.Watch(ctx, client.WatchRequest{Patterns: []string{watchedEnv}}) {
		if err != nil {
			return err
		}
		take(e)
	}
	return nil
}

// wireEvent is an event, or a poll's answer, as it comes.
type wireEvent struct {
	Revision config.Token `json:"revision"`
	Reset    bool         `json:"reset"`
	Current  bool         `json:"current"`
	Changes  []struct {
		client.Change
		Text *string `json:"content"`
	} `json:"changes"`
}

func (w wireEvent) event() client.Event {
	e := client.Event{Revision: w.Revision, Reset: w.Reset, Current: w.Current}
	for _, c := range w.Changes {
		if c.Text != nil {
			c.Content = []byte(*c.Text)
		}
		e.Changes = append(e.Changes, c.Change)
	}
	return e
}

// watchByLastEventID reads the stream as browsers do.
func watchByLastEventID(ctx context.Context, s *server, via *scissors, take func(client.Event)) error {
	plain := s.http()
	plain.Timeout = 0
	last := ""
	for ctx.Err() == nil {
		resp, err := get(ctx, s, plain, via, "path="+url.QueryEscape(watchedEnv), "Accept", "text/event-stream", "Last-Event-ID", last)
		if err != nil {
			continue // cut before the answer began
		}
		if resp.StatusCode != http.StatusOK {
			resp.Body.Close()
			return errors.New(resp.Status)
		}
		err = readEvents(resp.Body, func(e sse) error {
			if e.id != "" {
				last = e.id
			}
			return takeEvent(e, take)
		})
		resp.Body.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func takeEvent(e sse, take func(client.Event)) error {
	if e.event != "changes" && e.event != "current" {
		return fmt.Errorf("an event %q: %s", e.event, e.data)
	}
	var w wireEvent
	if err := json.Unmarshal([]byte(e.data), &w); err != nil {
		return err
	}
	if e.id != string(w.Revision) {
		return fmt.Errorf("event id %q of revision %q", e.id, w.Revision)
	}
	take(w.event())
	return nil
}

// watchByPolling asks for one answer after another.
func watchByPolling(ctx context.Context, s *server, via *scissors, take func(client.Event)) error {
	plain := s.http()
	after := ""
	for ctx.Err() == nil {
		resp, err := get(ctx, s, plain, via, "wait=1s&path="+url.QueryEscape(watchedEnv)+"&after="+url.QueryEscape(after))
		if err != nil {
			continue
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			continue // cut in the middle of the answer
		}
		switch resp.StatusCode {
		case http.StatusNotModified:
			after = resp.Header.Get("Setpoint-Revision")
		case http.StatusOK:
			var w wireEvent
			if err := json.Unmarshal(body, &w); err != nil || !w.Current {
				return fmt.Errorf("a poll's answer %.200s: %w", body, err)
			}
			after = string(w.Revision)
			take(w.event())
		default:
			return fmt.Errorf("%s: %s", resp.Status, body)
		}
	}
	return nil
}

// get asks for a watch, through scissors. headers that are empty are not sent.
func get(ctx context.Context, s *server, plain *http.Client, via *scissors, query string, headers ...string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+via.Addr().String()+"/v1/watch?"+query, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", bearer(s.token))
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i+1] != "" {
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	return plain.Do(req)
}

// sse is one server-sent event.
type sse struct{ event, id, data string }

// readEvents reads events until the stream ends, or take refuses one. What is
// cut off in the middle is dropped.
func readEvents(r io.Reader, take func(sse) error) error {
	lines := bufio.NewReader(r)
	var e sse
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return nil //nolint:nilerr // an end of any sort is one to come back from
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "event":
			e.event = value
		case "id":
			e.id = value
		case "data":
			e.data += value
		case "":
			if line != "\n" {
				continue // a comment
			}
			if e.data != "" {
				if err := take(e); err != nil {
					return err
				}
			}
			e = sse{}
		}
	}
}
