package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

func TestInstancesOverHTTP(t *testing.T) {
	s, _ := startCluster(t)
	s.publish("acme/shop/prod/app.yaml", "a: 1\n")
	first := s.subscribe(request{path: "/v1/watch?path=acme/shop/prod", auth: s.app, header: map[string]string{
		"Setpoint-Instance": "pod-1", "Setpoint-Labels": "zone=a", "User-Agent": "shop/1",
	}})
	at := first.want(true, "acme/shop/prod/app.yaml@1=a: 1\n")
	// A poll counts for as long as it waits.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	polled := make(chan error, 1)
	poll := s.request(request{path: "/v1/watch?wait=30s&path=acme/shop/prod/app.yaml&instance=pod-2&after=" + string(at.Revision)}).WithContext(ctx)
	go func() {
		resp, err := s.http.Do(poll)
		if err == nil {
			resp.Body.Close()
		}
		polled <- err
	}()
	s.await(func() bool { return s.center.Self(t.Context()).Watchers == 2 })

	held, err := config.ParsePath("acme/shop/prod/app.yaml")
	s.must(err)
	for _, where := range []string{prod, file} {
		var all []config.Instance
		for path := where + "/instances?limit=2"; path != ""; {
			var page center.InstanceList
			s.into(http.StatusOK, s.do(request{path: path}), &page)
			if diff := cmp.Diff([]string{"n3"}, page.Silent); diff != "" {
				t.Errorf("silent nodes (-want +got):\n%s", diff)
			}
			all = append(all, page.Items...)
			if path = ""; page.Next != "" {
				path = where + "/instances?limit=2&after=" + page.Next
			}
		}
		if len(all) != 3 || all[0].ID != "far" || all[2].ID != "pod-2" {
			t.Fatalf("%s: want far, pod-1 and pod-2, got %+v", where, all)
		}
		want := config.Instance{
			ID: "pod-1", Labels: map[string]string{"zone": "a"}, Address: "127.0.0.1", Agent: "shop/1", User: "app",
			Protocol: Name, Node: "n1", Since: all[1].Since, Connected: true, Seen: all[1].Seen,
			Watches: []string{"acme/shop/prod"}, Sent: at.Revision, Holds: []config.Holding{{Path: held, Sent: 1}},
		}
		if diff := cmp.Diff(want, all[1]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", where, diff)
		}
	}
	cancel()
	<-polled
	first.close()
	s.await(func() bool { return s.center.Self(t.Context()).Watchers == 0 })
	s.problem(http.StatusNotFound, "not_found", s.do(request{path: "/v1/tenants/acme/apps/shop/envs/ghost/instances"}))
	s.problem(http.StatusBadRequest, "invalid", s.do(request{path: prod + "/instances?after=x"}))
}

func TestInstancesReportOverHTTP(t *testing.T) {
	s := start(t)
	s.publish("acme/shop/prod/app.yaml", "a: 1\n")
	s.publish("acme/shop/prod/app.yaml", "a: 2\n")
	headers := map[string]string{"Setpoint-Instance": "pod-1", "Setpoint-Labels": "version=1.4", "Setpoint-Slot": "green"}
	s.into(http.StatusOK, s.do(request{path: "/v1/configs/acme/shop/prod/app.yaml", auth: s.app, header: headers}), nil)
	report := func(body string) reply {
		return s.do(request{method: "POST", path: "/v1/instances/report", auth: s.app, header: headers, body: body})
	}
	s.into(http.StatusNoContent, report(`{"reports":[{"path":"acme/shop/prod/app.yaml","version":1,"state":"applied"},`+
		`{"path":"acme/shop/prod/app.yaml","version":2,"state":"refused","why":"no port"}]}`), nil)
	s.into(http.StatusNoContent, s.do(request{method: "POST", path: "/v1/instances/report?instance=pod-2", auth: s.app,
		body: `{"reports":[{"path":"acme/shop/prod/app.yaml","version":2,"state":"applied"}]}`}), nil)

	var list center.InstanceList
	s.into(http.StatusOK, s.do(request{path: file + "/instances"}), &list)
	at := config.Path{Tenant: "acme", App: "shop", Env: "prod", Name: "app.yaml"}
	want := center.InstanceList{
		Page: config.Page[config.Instance]{Items: []config.Instance{
			{ID: "pod-1", Labels: map[string]string{"version": "1.4"}, Slot: "green", Address: "127.0.0.1", User: "app", Protocol: Name,
				Holds: []config.Holding{{Path: at, Sent: 2, Applied: 1, Refused: 2, Why: "no port"}}},
			{ID: "pod-2", Address: "127.0.0.1", User: "app", Protocol: Name, Holds: []config.Holding{{Path: at, Applied: 2}}},
		}},
		Counts: []config.VersionCount{{Path: at, Version: 2, Sent: 1, Applied: 1, Refused: 1}, {Path: at, Version: 1, Applied: 1}},
	}
	if diff := cmp.Diff(want, list, cmpopts.IgnoreFields(config.Instance{}, "Since", "Seen", "Node", "Agent"),
		cmpopts.IgnoreFields(config.Holding{}, "AppliedAt", "RefusedAt")); diff != "" {
		t.Errorf("instances (-want +got):\n%s", diff)
	}
	for query, want := range map[string]int{"?version=2": 2, "?version=2&state=refused": 1, "?state=silent": 0, "?state=applied": 1, "?version=1&state=applied": 1} {
		var list center.InstanceList
		s.into(http.StatusOK, s.do(request{path: file + "/instances" + query}), &list)
		if len(list.Items) != want || len(list.Counts) != 2 {
			t.Errorf("%s: want %d, and the counts of all, got %+v", query, want, list)
		}
	}
	for _, query := range []string{"?version=-1", "?version=x", "?state=sad"} {
		s.problem(http.StatusBadRequest, "invalid", s.do(request{path: file + "/instances" + query}))
	}
	s.problem(http.StatusBadRequest, "invalid", s.do(request{path: prod + "/instances?state=applied"}))

	ok := `{"path":"acme/shop/prod/app.yaml","version":2,"state":"applied"}`
	for name, tt := range map[string]struct{ body, says string }{
		"nothing":         {`{}`, "1 to 256"},
		"an empty list":   {`{"reports":[]}`, "1 to 256"},
		"too many":        {`{"reports":[` + strings.Repeat(ok+",", 256) + ok + `]}`, "1 to 256"},
		"another field":   {`{"reports":[` + ok + `],"report":1}`, "report"},
		"another case":    {`{"Reports":[` + ok + `]}`, "Reports"},
		"a field twice":   {`{"reports":[{"path":"acme/shop/prod/app.yaml","version":2,"version":1,"state":"applied"}]}`, "twice"},
		"a fraction":      {`{"reports":[{"path":"acme/shop/prod/app.yaml","version":1.5,"state":"applied"}]}`, "version"},
		"no such state":   {`{"reports":[{"path":"acme/shop/prod/app.yaml","version":1,"state":"done"}]}`, "done"},
		"no such version": {`{"reports":[` + ok + `,{"path":"acme/shop/prod/app.yaml","version":3,"state":"applied"}]}`, "version 3"},
		"no such config":  {`{"reports":[{"path":"acme/shop/prod/ghost","version":1,"state":"applied"}]}`, "acme/shop/prod/ghost"},
		"no path":         {`{"reports":[{"path":"a/b/c/d/e","version":1,"state":"applied"}]}`, "path"},
		"no JSON":         {`reports`, "JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			p := s.problem(http.StatusBadRequest, "invalid", report(tt.body))
			if text := string(encodeJSON(p)); !strings.Contains(text, tt.says) {
				t.Errorf("want %q in it, got %s", tt.says, text)
			}
		})
	}
	s.problem(http.StatusBadRequest, "invalid", s.do(request{method: "POST", path: "/v1/instances/report", auth: s.app, body: `{"reports":[` + ok + `]}`}))
	s.problem(http.StatusBadRequest, "invalid", s.do(request{method: "POST", path: "/v1/instances/report?name=x", auth: s.app, header: headers, body: `{"reports":[` + ok + `]}`}))
	// The longest that there may be.
	long, err := json.Marshal(strings.Repeat("x", 1000))
	s.must(err)
	one := `{"path":"acme/shop/prod/app.yaml","version":2,"state":"refused","why":` + string(long) + `}`
	s.into(http.StatusNoContent, report(`{"reports":[`+strings.Repeat(one+",", 255)+one+`]}`), nil)
	s.problem(http.StatusRequestEntityTooLarge, "too_large", report(`{"reports":[`+strings.Repeat(" ", 2<<20)+`]}`))
}

func FuzzReportBody(f *testing.F) {
	for _, s := range []string{
		`{"reports":[{"path":"acme/shop/prod/app.yaml","version":3,"state":"applied"}]}`, `{"reports":[{"path":"a/b/c/d","version":-1,"state":"refused","why":"\ud83d\ude00"}]}`,
		`{}`, `{"reports":null}`, `{"reports":[{}]}`, `[`, `{"reports":[{"version":1e99}]}`, `{"reports":[{"path":1}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		var got instanceReports
		err := decodeBody(httptest.NewRecorder(), r, reportNames, &got)
		if err != nil {
			if config.KindOf(err) != config.Invalid {
				t.Errorf("want Invalid, got %v", err)
			}
			return
		}
		// What was taken is read again as it is.
		again, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		var same instanceReports
		if err := decodeBody(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(again)), reportNames, &same); err != nil {
			t.Fatalf("%s: %v", again, err)
		}
		if diff := cmp.Diff(got, same); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}
