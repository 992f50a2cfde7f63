package cluster

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/config"
)

// bodies is one value of everything that is decoded.
func bodies() []checked {
	return []checked{
		&identity{}, &report{}, &hello{}, &helloAnswer{}, &clients{}, &authority{}, &joinRequest{}, &joinAnswer{},
		&renewal{}, &leaderRequest{}, &nothing{}, &problem{}, &remembered{},
	}
}

func TestDecodeRefusesWhatCannotBe(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, body string
		into       checked
		kind       config.ErrorKind
	}{
		{"nothing", "", &hello{}, config.Invalid},
		{"no JSON", "hello", &hello{}, config.Invalid},
		{"two values", `{"to":"n1"}{}`, &leaderRequest{}, config.Invalid},
		{"half a value", `{"to":"n1"`, &leaderRequest{}, config.Invalid},
		{"another type", `{"to":1}`, &leaderRequest{}, config.Invalid},
		{"a name that cannot be", `{"to":"../n1"}`, &leaderRequest{}, config.Invalid},
		{"too much", `{"to":"` + strings.Repeat("n", maxBody) + `"}`, &leaderRequest{}, config.TooLarge},
		{"a report without a name", `{"boot":"b","node":{"role":"voter"}}`, &report{}, config.Invalid},
		{"a report without a role", `{"boot":"b","node":{"name":"n1"}}`, &report{}, config.Invalid},
		{"a report of no run", `{"node":{"name":"n1","role":"edge"}}`, &report{}, config.Invalid},
		{"a member at no address", `{"name":"n1","members":[{"id":"1","peer":"nowhere"}]}`, &identity{}, config.Invalid},
		{"a member without a number", `{"name":"n1","members":[{"id":"x","peer":"h:1"}]}`, &identity{}, config.Invalid},
		{"an answer without members", `{"cluster_token":"t"}`, &joinAnswer{}, config.Invalid},
		{"a member that says no address", `{"name":"n1"}`, &joinRequest{}, config.Invalid},
		{"an edge that says one", `{"name":"n1","edge":true,"peer":"h:1"}`, &joinRequest{}, config.Invalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := decode(strings.NewReader(tc.body), maxBody, tc.into); err == nil || config.KindOf(err) != tc.kind {
				t.Errorf("want %s, got %v", tc.kind, err)
			}
		})
	}
	later := `{"to":"n1","final":true,"of_a_later_version":{"x":1}}`
	if err := decode(strings.NewReader(later), maxBody, &leaderRequest{}); err != nil {
		t.Errorf("want what later versions add passed over, got %v", err)
	}
}

func TestErrorsKeepTheirKindOverTheWire(t *testing.T) {
	t.Parallel()
	for _, kind := range config.ErrorKinds() {
		for _, retry := range []bool{false, true} {
			err := error(config.Errorf(kind, "op", "path", "the text"))
			if retry {
				err = passing{err}
			}
			w := httptest.NewRecorder()
			writeError(w, err)
			got := refusal("h1:7403", w.Result())
			if config.KindOf(got) != kind || errors.Is(got, errRetry) != retry || silent(got) {
				t.Errorf("%s: got %v", kind, got)
			}
			if told := strings.Contains(got.Error(), "the text"); told == (kind == config.Internal) {
				t.Errorf("%s: got the text %v", kind, got)
			}
		}
	}
	w := httptest.NewRecorder()
	http.Error(w, "<html>", http.StatusBadGateway)
	if got := refusal("h1:7403", w.Result()); !silent(got) || !strings.Contains(got.Error(), "what answers there is no node: it says 502") {
		t.Errorf("got %v", got)
	}
}

func FuzzDecode(f *testing.F) {
	for which, seed := range []string{
		`{"name":"n1","boot":"b","time":"2026-11-23T15:00:00Z","version":"1","format":1,"token":"t","cluster":"c1","formed":true,"members":[{"name":"n1","id":"1","peer":"h:1","started":true}]}`,
		`{"boot":"b","time":"2026-11-23T15:00:00Z","node":{"name":"n1","role":"voter","peer":"h:1"},"revision":1,"engine":{"cluster":"c","term":2,"applied":3,"no_space":["1"]}}`,
		`{"report":{"boot":"b","node":{"name":"e1","role":"edge"}},"wait":true}`,
		`{"members":[{"id":"ff","peer":"[::1]:1","learner":true}],"edges":[{"report":{"boot":"b","node":{"name":"e1","role":"edge"}},"ago_seconds":1.5}],"questions":[{"id":"x","path":"a"}]}`,
		`{"instances":[{"id":"i","address":"1.2.3.4:5","watches":["a/b/c"],"since":"2026-11-23T15:00:00Z"}],"silent":["n1"]}`,
		`{"ca":"PEM"}`,
		`{"name":"n4","peer":"h4:7403","version":"1","format":1,"token":"spj_x","request":"PEM"}`,
		`{"ca":"PEM","certificate":"PEM","cluster_token":"t","members":[{"name":"n1","id":"1","peer":"h:1"}]}`,
		`{"request":"PEM"}`, `{"to":"n1","final":true}`, `{}`, `{"kind":"conflict","text":"t","retry":true}`,
		`{"format":1,"version":"1","name":"n1","token":"setpoint","cluster":"c1","members":[{"name":"n1","id":"1","peer":"h:1"}]}`,
	} {
		f.Add(uint8(which), []byte(seed))
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		all := bodies()
		into := all[int(which)%len(all)]
		if decode(bytes.NewReader(body), maxBody, into) != nil {
			return
		}
		written, err := json.Marshal(into)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		again, ok := reflect.New(reflect.TypeOf(into).Elem()).Interface().(checked)
		if !ok {
			t.Fatal("no body")
		}
		if err := decode(bytes.NewReader(written), maxBody*2, again); err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, written)
		}
		rewritten, err := json.Marshal(again)
		if diff := cmp.Diff(string(written), string(rewritten)); err != nil || diff != "" {
			t.Errorf("read again it differs (-want +got):\n%s", diff)
		}
	})
}

func FuzzSettingsTexts(f *testing.F) {
	for _, seed := range []string{"n1=h1:7403", "n1=[::1]:7403", "=:", "a=b=c:1", "n1=h1:99999"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		members, err := parseMembers([]string{text})
		if err != nil {
			return
		}
		for name, addr := range members {
			if name+"="+addr != text || !isName(name) || checkHostPort(addr, true) != nil {
				t.Errorf("%q was read as %q at %q", text, name, addr)
			}
		}
	})
}
