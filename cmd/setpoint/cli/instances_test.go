package cli

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestInstancesTellOfNodesThatDidNotAnswer(t *testing.T) {
	got := run(t, answer(`{"items":[
		{"id":"pod-1","user":"app","address":"192.0.2.1","node":"n2","labels":{"zone":"a","version":"1.4"},"connected":true,"watches":["acme/shop/prod","acme/x"],
		 "holds":[{"path":"acme/shop/prod/a","sent":2,"applied":2},{"path":"acme/shop/prod/b","sent":2,"applied":1},{"path":"acme/shop/prod/c","sent":2,"refused":2}]}
	],"silent":["n3","n4"]}`), "instances", "acme/shop/prod")
	want := [][]string{
		strings.Fields("INSTANCE APP USER ADDRESS AGENT NODE SINCE SEEN CONFIGS LABELS WATCHES"),
		strings.Fields("pod-1 1.4 app 192.0.2.1 - n2 - connected 1 applied, 1 refused, 1 silent version=1.4,zone=a acme/shop/prod acme/x"),
	}
	if diff := cmp.Diff(want, cells(got.stdout)); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
	if got.code != 0 || !strings.Contains(got.stderr, "no answer from n3, n4") {
		t.Errorf("want it said who is missing, got %+v", got)
	}
}

func TestInstancesOfAConfigTellWhatBecameOfItsVersions(t *testing.T) {
	asked := ""
	got := run(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.RawQuery
		_, _ = w.Write([]byte(`{"items":[
			{"id":"pod-1","user":"app","address":"192.0.2.1","node":"n2","protocol":"rest","labels":{"version":"1.4"},"connected":true,
			 "holds":[{"path":"acme/shop/prod/a.yaml","sent":3,"applied":2,"refused":3,"why":"line 1\nline 2"}]},
			{"node":"n1","user":"app","protocol":"grpc","connected":true}
		],"counts":[{"version":3,"sent":1,"refused":1},{"version":2,"applied":1}]}`))
	}), "instances", "acme/shop/prod/a.yaml", "--version", "3", "--state", "refused")
	want := [][]string{
		strings.Fields("VERSION SENT APPLIED REFUSED SILENT"),
		strings.Fields("3 1 0 1 0"),
		strings.Fields("2 0 1 0 0"),
		{},
		strings.Fields("INSTANCE APP SENT APPLIED REFUSED NODE ADDRESS PROTOCOL USER SINCE SEEN WHY"),
		strings.Fields("pod-1 1.4 3 2 3 n2 192.0.2.1 rest app - connected line 1 line 2"),
		strings.Fields("- - - - - n1 - grpc app - connected -"),
	}
	if diff := cmp.Diff(want, cells(got.stdout)); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
	if want := "limit=500&state=refused&version=3"; asked != want || got.code != 0 {
		t.Errorf("want %s asked, got %s: %+v", want, asked, got)
	}
	for line, want := range map[string]string{
		"instances acme/shop/prod --state refused":       "name it, acme/shop/prod/CONFIG",
		"instances acme/shop/prod --version 3":           "name it, acme/shop/prod/CONFIG",
		"instances acme/shop/prod/a.yaml --state sad":    "want applied, refused, silent",
		"instances acme/shop/prod/a.yaml --version=-1":   "want 1 or more",
		"instances acme/shop/prod/a.yaml --version=many": "invalid",
	} {
		if got := run(t, answer(`{}`), strings.Fields(line)...); got.code != exitUsage || !strings.Contains(got.stderr, want) {
			t.Errorf("%s: want a usage error with %q, got %+v", line, want, got)
		}
	}
}
