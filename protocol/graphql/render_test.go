package graphql

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/graphql/internal/model"
)

// operationOf reads an operation that must be valid.
func (n *station) operationOf(query string, variables map[string]any) *operation {
	n.t.Helper()
	text, err := json.Marshal(request{Query: query, Variables: variables})
	n.must(err)
	asked, err := parseRequest(text)
	n.must(err)
	o, err := n.api.prepare(n.admin(), asked)
	n.must(err)
	return o
}

func (n *station) planOf(query string, variables map[string]any) *plan {
	n.t.Helper()
	o := n.operationOf(query, variables)
	asked, err := o.watch()
	n.must(err)
	p, err := newPlan(o, asked.content)
	n.must(err)
	return p
}

// deliveries returns what a watch of prod tells: a snapshot, and what comes of the
// changes; load has the contents.
func (n *station) deliveries(change ...func()) (all []center.Delivery, load model.Loader) {
	n.t.Helper()
	w, err := n.Center.Watch(n.admin(), center.WatchRequest{Patterns: []string{"acme/shop/prod"}}, func() {})
	n.must(err)
	n.t.Cleanup(w.Close)
	for i := 0; ; i++ {
		var d center.Delivery
		n.until("a delivery", func() bool {
			got, more, err := w.Next()
			n.must(err)
			d = got
			return more
		})
		all = append(all, d)
		if i == len(change) {
			return all, w.Content
		}
		change[i]()
	}
}

func pathOf(text string) config.Path {
	p, err := config.ParsePath(text)
	if err != nil {
		panic(err)
	}
	return p
}

// What is put together of pieces is what the library makes of the whole event.
func TestRenderingIsThatOfTheLibrary(t *testing.T) {
	n := launch(t)
	n.publish(pathA, "a: \"<é>\u2028\\n\"\n")
	n.publish("acme/shop/prod/c.txt", "é")
	all, content := n.deliveries(
		func() { n.publish(pathB, "b: []\n") },
		func() {
			n.must(n.Center.DeleteConfig(n.admin(), center.DeleteConfig{Path: pathOf(pathA)}))
		},
	)
	stale := 7
	everything := (&asker{schema: theSchema()}).selection("WatchEvent", map[string]int{})
	for name, query := range map[string]string{
		"everything":          `subscription{watch(paths:["acme"])` + everything + `}`,
		"everything, named":   `subscription S($no:Boolean=false){w:watch(paths:["acme"]){...e t:__typename n:current @include(if:$no)}} fragment e on WatchEvent` + everything,
		"without content":     `subscription{watch(paths:["acme"],content:false)` + everything + `}`,
		"changes twice":       `subscription{watch(paths:["acme"]){a:changes{path} revision b:changes{path deleted release{b:contentBase64 x:content}}}}`,
		"nothing but changes": `subscription{watch(paths:["acme"]){changes{release{__typename}}}}`,
		"no changes":          `subscription{watch(paths:["acme"]){current}}`,
	} {
		o := n.operationOf(query, nil)
		asked, err := o.watch()
		n.must(err)
		p, err := newPlan(o, asked.content)
		n.must(err)
		happenings := []happening{{stale: &stale, Delivery: center.Delivery{Revision: "1.x"}}}
		for _, d := range all {
			happenings = append(happenings, happening{Delivery: d})
		}
		for i := range happenings {
			h := &happenings[i]
			event := &watchEvent{Revision: h.Revision, Reset: h.Reset, Current: h.Current, Stale: h.stale}
			for _, c := range h.Changes {
				change := model.Change{Path: c.Path}
				if c.Release != nil {
					change.Release = model.NewServedRelease(c.Release, content)
					if !asked.content {
						change.Release = model.NewServedRelease(c.Release, nil)
					}
				}
				event.Changes = append(event.Changes, change)
			}
			want := n.api.execute(withEvent(t.Context(), event), o)
			if len(want.Errors) > 0 {
				t.Fatal(want.Errors)
			}
			var got buffer
			n.must(n.api.transport.renderer.write(p, h, content, &got))
			if diff := cmp.Diff(`{"data":`+string(want.Data)+`}`, string(got)); diff != "" {
				t.Errorf("%s, %d: %s", name, i, diff)
			}
		}
	}
}

// Those that mean the same have one plan, and those that do not have not.
func TestPlans(t *testing.T) {
	n := launch(t)
	alike := []*plan{
		n.planOf(`subscription{watch(paths:["acme"]){revision changes{path}}}`, nil),
		n.planOf(`subscription Named ($p: [Pattern!]!, $a: Token) { # with a comment
			watch(after: $a, paths: $p) { ...on WatchEvent { revision } changes { ...f } } } fragment f on Change { path path }`,
			map[string]any{"p": []string{"x"}, "a": "1.x"}),
		n.planOf(`subscription($yes:Boolean!){watch(paths:[]){revision current @skip(if:$yes) changes @include(if:$yes){path}}}`, map[string]any{"yes": true}),
	}
	for _, p := range alike {
		if diff := cmp.Diff(alike[0], p, cmp.AllowUnexported(plan{})); diff != "" {
			t.Error(diff)
		}
	}
	if alike[0].content || alike[0].stale {
		t.Errorf("got %+v", alike[0])
	}
	other := n.planOf(`subscription{watch(paths:[]){changes{path}revision stale}}`, nil)
	if other.hash == alike[0].hash || !other.stale {
		t.Errorf("got %+v", other)
	}
	with := n.planOf(`subscription{watch(paths:[]){changes{release{content}}}}`, nil)
	without := n.planOf(`subscription{watch(paths:[],content:false){changes{release{content}}}}`, nil)
	if !with.content || without.content || with.hash != without.hash {
		t.Errorf("got %+v, %+v", with, without)
	}
}

// All who are told the same share its rendering, for which contents are fetched once,
// however many ask at a time, and not at all where none is selected.
func TestRenderingIsShared(t *testing.T) {
	n := launch(t)
	n.publish(pathA, "a: 1\n")
	n.publish(pathB, "b: 1\n")
	all, content := n.deliveries()
	d := all[0]
	var mu sync.Mutex
	loads := 0
	load := func(ctx context.Context, r *config.Release) ([]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		loads++
		return content(ctx, r)
	}
	r := n.api.transport.renderer
	var running sync.WaitGroup
	for i := range 50 {
		running.Go(func() {
			p := n.planOf(fmt.Sprintf(`subscription S%d{watch(paths:["acme/shop/prod"]){changes{release{content}}}}`, i), nil)
			if _, err := r.answer(p, &happening{Delivery: d}, load); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	// Of another revision the changes are those that were rendered.
	d.Revision += "x"
	if _, err := r.answer(n.planOf(`subscription{watch(paths:[]){changes{release{content}}}}`, nil), &happening{Delivery: d}, load); err != nil {
		t.Error(err)
	}
	if loads != 2 {
		t.Errorf("want each content fetched once, got %d", loads)
	}
	if _, err := r.answer(n.planOf(`subscription{watch(paths:[]){changes{release{digest}}}}`, nil), &happening{Delivery: d}, load); err != nil || loads != 2 {
		t.Errorf("want none fetched, got %d %v", loads, err)
	}
}

// An error is that of the content, and is not remembered.
func TestContentThatCannotBeFetched(t *testing.T) {
	n := launch(t)
	n.publish(pathA, "a: 1\n")
	all, content := n.deliveries()
	d := all[0]
	p := n.planOf(`subscription{watch(paths:[]){changes{release{content}}}}`, nil)
	failing := func(context.Context, *config.Release) ([]byte, error) {
		return nil, config.Errorf(config.Unavailable, "", "", "no majority")
	}
	r := n.api.transport.renderer
	if _, err := r.answer(p, &happening{Delivery: d}, failing); config.KindOf(err) != config.Unavailable || !strings.Contains(err.Error(), "no majority") {
		t.Errorf("got %v", err)
	}
	broken := func(context.Context, *config.Release) ([]byte, error) { return nil, errors.New("the disk") }
	if _, err := r.answer(p, &happening{Delivery: d}, broken); config.KindOf(err) != config.Internal {
		t.Errorf("got %v", err)
	}
	if _, err := r.answer(p, &happening{Delivery: d}, content); err != nil {
		t.Error(err)
	}
}
