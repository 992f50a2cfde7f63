package cli

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// cells are the words of each line.
func cells(text string) [][]string {
	var rows [][]string
	for line := range strings.Lines(text) {
		rows = append(rows, strings.Fields(line))
	}
	return rows
}

func TestClusterStatus(t *testing.T) {
	const header = "NODE ROLE LEADER HEALTH VERSION LAG STORE FREE WATCHERS CERTIFICATE"
	for name, c := range map[string]struct {
		answer string
		code   int
		want   []string
	}{
		"well": {
			`{"id":"x","leader":"n1","writable":true,"nodes":[
				{"name":"n1","role":"voter","leader":true,"healthy":true,"version":"1.2","revision":"a.x","store_size":2048,"disk_free":1073741824,"disk_total":2147483648,"watchers":3,"certificate_expires":"2027-03-01T12:00:00Z"},
				{"name":"e1","role":"edge","healthy":true,"version":"1.2","revision":"9.x","lag":1}]}`,
			0,
			[]string{header, "n1 voter yes ok 1.2 0 2.0 KiB 1.0 GiB 3 2027-03-01", "e1 edge no ok 1.2 1 0 B - 0 -"},
		},
		"in trouble": {
			`{"id":"x","writable":false,"problems":["nothing can be written:\nno leader"],"nodes":[
				{"name":"n1","role":"voter","healthy":false,"stale_seconds":12.7,"problems":["it is cut off"]},
				{"name":"n2","role":"learner","healthy":false,"problems":["no\u001b answer"]},
				{"name":"n3","role":"voter","healthy":false}]}`,
			1,
			[]string{
				header, "n1 voter no stale 12s - - 0 B - 0 -", "n2 learner no problem - - 0 B - 0 -", "n3 voter no problem - - 0 B - 0 -", "",
				"problem: nothing can be written: no leader", "problem: n1: it is cut off", "problem: n2: no\uFFFD answer", "problem: n3: it is not healthy",
			},
		},
		"not writable":   {`{"writable":false,"nodes":[]}`, 1, []string{header, "", "problem: nothing can be written"}},
		"a node is sick": {`{"writable":true,"nodes":[{"name":"n1","role":"voter","healthy":true,"problems":["clock is off"]}]}`, 1, []string{header, "n1 voter no ok - - 0 B - 0 -", "", "problem: n1: clock is off"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := run(t, answer(c.answer), "cluster", "status")
			if diff := cmp.Diff(cells(strings.Join(c.want, "\n")+"\n"), cells(got.stdout)); diff != "" || got.code != c.code || got.stderr != "" {
				t.Errorf("want code %d, got %d %q (-want +got):\n%s", c.code, got.code, got.stderr, diff)
			}
			asJSON := run(t, answer(c.answer), "cluster", "status", "-o", "json")
			if asJSON.code != c.code || strings.Contains(asJSON.stdout, "problem: ") || !strings.Contains(asJSON.stdout, `"nodes"`) {
				t.Errorf("want JSON alone and code %d, got %d %s", c.code, asJSON.code, asJSON.stdout)
			}
		})
	}
}

func TestClusterAddPrintsTheLineToType(t *testing.T) {
	member := `{"token":"spj_x_y_z","id":"x","edge":false,"expires_at":"2026-11-23T12:00:00Z","addresses":["h1:7403","h2:7403"],"fingerprint":"0f"}`
	for name, c := range map[string]struct {
		answer string
		args   []string
		want   string
	}{
		"a member":    {member, nil, "setpoint serve --name NAME --join h1:7403,h2:7403 --token spj_x_y_z\n"},
		"with a name": {member, []string{"n4"}, "setpoint serve --name n4 --join h1:7403,h2:7403 --token spj_x_y_z\n"},
		"an edge":     {strings.Replace(member, "false", "true", 1), []string{"--edge"}, "setpoint serve --edge --name NAME --join h1:7403,h2:7403 --token spj_x_y_z\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got := run(t, answer(c.answer), append([]string{"cluster", "add"}, c.args...)...)
			if got.stdout != c.want || got.code != 0 || !strings.Contains(got.stderr, "the only time") || strings.Contains(got.stderr, "spj_") {
				t.Errorf("want %q, got %+v", c.want, got)
			}
		})
	}
	got := run(t, answer(member), "cluster", "add", "n4", "-o", "json")
	for _, want := range []string{`"token": "spj_x_y_z"`, `"command": "setpoint serve --name n4 `, `"fingerprint": "0f"`} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("want %s, got %s", want, got.stdout)
		}
	}
}

func TestClusterActsAskForWhatTheyAreToldTo(t *testing.T) {
	for line, want := range map[string]string{
		"cluster promote n4":              "POST /v1/cluster/members/n4/promote",
		"cluster remove n4 --yes":         "DELETE /v1/cluster/members/n4",
		"cluster move-leader":             "POST /v1/cluster/leader",
		"cluster move-leader n2":          "POST /v1/cluster/leader",
		"cluster revoke-token k7wq3n5x":   "DELETE /v1/cluster/tokens/k7wq3n5x",
		"cluster tokens":                  "GET /v1/cluster/tokens",
		"cluster members":                 "GET /v1/cluster/members",
		"instances acme/shop/prod":        "GET /v1/tenants/acme/apps/shop/envs/prod/instances",
		"instances acme/shop/prod/a.yaml": "GET /v1/tenants/acme/apps/shop/envs/prod/configs/a.yaml/instances",
	} {
		asked := ""
		got := run(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked = r.Method + " " + r.URL.Path
			w.Write([]byte(`{}`))
		}), strings.Fields(line)...)
		if asked != want || got.code != 0 {
			t.Errorf("%s: want %s, got %s: %+v", line, want, asked, got)
		}
	}
}

func TestReadsOfANodeThatIsCutOffAreMarked(t *testing.T) {
	got := run(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Setpoint-Stale-Seconds", "12")
		w.Write([]byte(`a: 1`))
	}), "get", "acme/shop/prod/a.yaml")
	if got.stdout != "a: 1" || !strings.Contains(got.stderr, "cut off from the others for 12s") {
		t.Errorf("want the content and a warning, got %+v", got)
	}
}
