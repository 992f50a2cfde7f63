package ws

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/plugin"
	"github.com/setpointhq/setpoint/protocol/internal/problem"
	"github.com/setpointhq/setpoint/protocol/internal/socket"
)

func TestWaysToSayWhoIsCalling(t *testing.T) {
	n := start(t)
	n.publish(pathA, "a: 1\n")
	encoded := base64.StdEncoding.EncodeToString([]byte("vera:" + password))
	browser := http.Header{"Sec-Websocket-Protocol": {"setpoint.v1, setpoint.token." + n.app}}
	cases := map[string]struct {
		dial  dial
		hello string
	}{
		"bearer":                 {dial: dial{Auth: "Bearer " + n.app}},
		"basic":                  {dial: dial{Auth: "Basic " + encoded}},
		"subprotocol":            {dial: dial{Header: browser}},
		"hello with token":       {hello: `{"type":"hello","token":"` + n.app + `"}`},
		"hello with basic":       {hello: `{"type":"hello","basic":{"username":"vera","password":"` + password + `"}}`},
		"hello that names only":  {dial: dial{Auth: "Bearer " + n.app}, hello: `{"type":"hello","instance":"i"}`},
		"hello on a subprotocol": {dial: dial{Header: http.Header{"Sec-Websocket-Protocol": {"setpoint.v1"}}}, hello: `{"type":"hello","token":"` + n.app + `"}`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			conn := n.connect(c.dial)
			want := ""
			if c.dial.Header != nil {
				want = "setpoint.v1"
			}
			if got := conn.Answer.Header["Sec-Websocket-Protocol"]; strings.Join(got, ",") != want {
				t.Errorf("want subprotocol %q, got %q", want, got)
			}
			if c.dial.Auth != "" || strings.Contains(name, "subprotocol") && c.hello == "" {
				conn.next("welcome")
			}
			if c.hello != "" {
				conn.Say(c.hello)
				m := conn.next("welcome")
				if m.Protocol != "setpoint.v1" || m.Server != "test" || m.PingInterval != 30_000 || m.Retry < 1000 || m.Retry > 2000 || m.MaxMessage != 64<<10 || m.MaxSubscriptions != 64 {
					t.Errorf("got %+v", m)
				}
			}
			conn.Say(`{"type":"get","id":"1","path":"` + pathA + `"}`)
			if m := conn.next("config"); *m.Release.Text != "a: 1\n" {
				t.Errorf("got %+v", m)
			}
		})
	}
}

func TestWhoIsNotLetIn(t *testing.T) {
	n := start(t)
	for name, c := range map[string]struct {
		dial dial
		want int
		says string
	}{
		"a bad token":              {dial{Auth: "Bearer sp_x"}, 401, ""},
		"a bad token as browser":   {dial{Header: http.Header{"Sec-Websocket-Protocol": {"setpoint.v1, setpoint.token.sp_x"}}}, 401, ""},
		"a bad password":           {dial{Auth: "Basic " + base64.StdEncoding.EncodeToString([]byte("vera:wrong"))}, 401, ""},
		"an odd header":            {dial{Auth: "Digest x"}, 401, "neither Basic nor Bearer"},
		"credentials twice":        {dial{Auth: "Bearer " + n.app, Header: http.Header{"Sec-Websocket-Protocol": {"setpoint.v1, setpoint.token.x"}}}, 400, "twice"},
		"no token in it":           {dial{Header: http.Header{"Sec-Websocket-Protocol": {"setpoint.v1, setpoint.token."}}}, 400, "no token"},
		"another subprotocol":      {dial{Header: http.Header{"Sec-Websocket-Protocol": {"graphql-ws"}}}, 400, "setpoint.v1"},
		"a token alone":            {dial{Header: http.Header{"Sec-Websocket-Protocol": {"setpoint.token.x"}}}, 400, "setpoint.v1"},
		"an unknown parameter":     {dial{Query: "?token=x"}, 400, "query.token"},
		"a bad query":              {dial{Query: "?%zz"}, 400, "malformed"},
		"bad labels":               {dial{Query: "?labels=x"}, 400, "key=value"},
		"another web site":         {dial{Header: http.Header{"Origin": {"https://evil.example"}}}, 403, "protocols.ws.origins"},
		"an origin without a name": {dial{Header: http.Header{"Origin": {"null"}}}, 403, ""},
		"two origins":              {dial{Header: http.Header{"Origin": {n.URL, n.URL}}}, 403, ""},
		"no upgrade":               {dial{Header: http.Header{"Upgrade": {}}}, 426, "WebSocket"},
		"no connection":            {dial{Header: http.Header{"Connection": {"close"}}}, 426, ""},
		"another version":          {dial{Header: http.Header{"Sec-Websocket-Version": {"8"}}}, 426, "13"},
		"no key":                   {dial{Header: http.Header{"Sec-Websocket-Key": {}}}, 400, "16 bytes"},
		"a short key":              {dial{Header: http.Header{"Sec-Websocket-Key": {"YQ=="}}}, 400, "16 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			r := n.try(c.dial).Answer
			body, err := io.ReadAll(r.Body)
			n.must(err)
			var p problem.Details
			if err := json.Unmarshal(body, &p); err != nil || r.StatusCode != c.want || p.Status != c.want || !strings.Contains(p.Detail, c.says) {
				t.Errorf("want %d %q, got %d %s %v", c.want, c.says, r.StatusCode, body, err)
			}
			if r.Header.Get("Content-Type") != problem.ContentType || r.Header.Get("X-Request-Id") != p.RequestID || p.RequestID == "" {
				t.Errorf("got %v", r.Header)
			}
			if has := r.Header.Get("Www-Authenticate") != ""; has != (c.want == 401) {
				t.Errorf("got %v", r.Header)
			}
			if has := r.Header.Get("Upgrade") == "websocket"; has != (c.want == 426) {
				t.Errorf("got %v", r.Header)
			}
		})
	}
	n.until("no connection left", func() bool { return n.gateway.opened() == 0 })
}

func TestHTTP2IsToldToUseAnother(t *testing.T) {
	n := start(t)
	browser := http.Client{Transport: &http.Transport{TLSClientConfig: n.TLS, ForceAttemptHTTP2: true}}
	defer browser.CloseIdleConnections()
	r, err := browser.Get(n.URL + path)
	n.must(err)
	defer r.Body.Close()
	if r.ProtoMajor != 2 || r.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("want 426 over HTTP/2, got %d over %s", r.StatusCode, r.Proto)
	}
}

func TestOrigins(t *testing.T) {
	n := start(t, func(s *Settings) { s.Origins = []string{"https://console.example", "http://localhost:5173"} })
	own := strings.Replace(n.URL, "https://", "", 1)
	for origin, want := range map[string]int{
		"https://console.example":      101,
		"http://localhost:5173":        101,
		n.URL:                          101,
		"http://" + own:                101, // a proxy may end TLS
		"https://CONSOLE.example":      403,
		"http://console.example":       403,
		"https://console.example:8443": 403,
		"https://console.example.evil": 403,
		"https://evil@" + own:          403,
		n.URL + "/":                    403,
		"ftp://" + own:                 403,
		"":                             403,
	} {
		if got := n.try(dial{Auth: "Bearer " + n.app, Header: http.Header{"Origin": {origin}}}).Answer.StatusCode; got != want {
			t.Errorf("%q: want %d, got %d", origin, want, got)
		}
	}
}

func TestHelloIsAwaited(t *testing.T) {
	n := start(t, func(s *Settings) { s.HelloTimeout = 20 * time.Millisecond })
	c := n.connect(dial{})
	if p := c.problem("", "unauthenticated"); !strings.Contains(p.Detail, "20ms") {
		t.Errorf("got %+v", p)
	}
	c.end(socket.BadPolicy)
}

func TestHelloThatIsRefused(t *testing.T) {
	n := start(t)
	for text, want := range map[string]string{
		`{"type":"hello"}`:               "unauthenticated",
		`{"type":"hello","token":"sp_"}`: "unauthenticated",
		`{"type":"hello","basic":{"username":"vera","password":"x"}}`:                                 "unauthenticated",
		`{"type":"hello","basic":{"username":"","password":"x"}}`:                                     "invalid",
		`{"type":"hello","token":"x","basic":{"username":"vera","password":"x"}}`:                     "invalid",
		`{"type":"hello","token":"` + n.app + `","labels":{"":"x"}}`:                                  "invalid",
		`{"type":"hello","token":"` + n.app + `","instance":"a\u0000"}`:                               "invalid",
		`{"type":"hello","token":"` + n.app + `","id":"` + longID + `"}`:                              "invalid",
		`{"type":"hello","token":"` + n.app + `","slot":"` + longID + longID + longID + longID + `"}`: "invalid",
		`{"type":"ping"}`:                         "unauthenticated",
		`{"type":"subscribe","id":"","paths":[]}`: "invalid",
		`nonsense`: "invalid",
	} {
		c := n.connect(dial{})
		c.Say(text)
		c.problem("", want)
		c.end(socket.BadPolicy)
	}
	// Guesses are recorded, and slowed down like those over any protocol.
	for range 50 {
		c := n.connect(dial{})
		c.Say(`{"type":"hello","basic":{"username":"vera","password":"guess"}}`)
		if c.next("error").Problem.Code == "throttled" {
			return
		}
	}
	t.Error("want guessing throttled")
}

var longID = strings.Repeat("x", longestID+1)

func TestHelloComesFirstAndOnce(t *testing.T) {
	n := start(t)
	c := n.welcomed(n.app)
	c.Say(`{"type":"hello","token":"` + n.app + `"}`)
	c.problem("", "invalid")
	c.Say(`{"type":"hello","id":"h","instance":"x"}`)
	c.problem("h", "invalid")
	c.Say(`{"type":"ping"}`) // it stays
	c.next("pong")
}

// The hello has the last word on which instance it is.
func TestInstanceIsNamed(t *testing.T) {
	n := start(t)
	n.publish(pathA, "a: 1\n")
	c := n.connect(dial{
		Auth: "Bearer " + n.app, Query: "?instance=query&slot=blue",
		Header: http.Header{"Setpoint-Instance": {"header"}, "Setpoint-Labels": {"zone=eu"}, "User-Agent": {"tester"}},
	})
	c.next("welcome")
	c.Say(`{"type":"hello","instance":"mine","labels":{"zone":"us"}}`)
	c.next("welcome")
	c.Say(`{"type":"subscribe","id":"s","paths":["acme/shop/prod"]}`)
	c.want("s", true, pathA+"@1=a: 1\n")
	c.Say(`{"type":"ack","id":"k","reports":[{"path":"` + pathA + `","version":1,"state":"applied"}]}`)
	c.Say(`{"type":"ping"}`)
	c.next("pong")
	list, err := n.Center.Instances(n.admin(), center.InstanceRequest{Path: config.Path{Tenant: "acme", App: "shop", Env: "prod", Name: "a.yaml"}})
	n.must(err)
	if len(list.Items) != 1 {
		t.Fatalf("want one instance, got %+v", list)
	}
	got := list.Items[0]
	if got.ID != "mine" || got.Labels["zone"] != "us" || got.Slot != "blue" || got.Protocol != Name || got.Agent != "tester" || got.Address != "127.0.0.1" || got.User != "app" || !got.Connected {
		t.Errorf("got %+v", got)
	}
	if len(got.Holds) != 1 || got.Holds[0].Applied != 1 {
		t.Errorf("want version 1 applied, got %+v", got.Holds)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	n := start(t, func(s *Settings) { s.MaxConnections = 1 })
	first := n.welcomed(n.app)
	r := n.try(dial{Auth: "Bearer " + n.app}).Answer
	body, err := io.ReadAll(r.Body)
	n.must(err)
	if r.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), "max_connections") || r.Header.Get("Retry-After") == "" {
		t.Errorf("got %d %v %s", r.StatusCode, r.Header, body)
	}
	first.Conn.Close()
	n.until("a place", func() bool { return n.gateway.opened() == 0 })
	n.welcomed(n.app)
}

func TestShutdown(t *testing.T) {
	n := start(t)
	n.publish(pathA, "a: 1\n")
	known, unknown := n.welcomed(n.app), n.connect(dial{})
	known.Say(`{"type":"subscribe","id":"s","paths":["acme/shop/prod"]}`)
	known.want("s", true, pathA+"@1=a: 1\n")
	n.stop()
	for _, c := range []*client{known, unknown} {
		if m := c.next("bye"); m.Reason != "shutdown" || m.Retry < 1000 || m.Retry > 2000 {
			t.Errorf("got %+v", m)
		}
		c.end(socket.GoingAway)
	}
	if got := n.try(dial{Auth: "Bearer " + n.app}).Answer.StatusCode; got != http.StatusServiceUnavailable {
		t.Errorf("want 503, got %d", got)
	}
	if got := n.gateway.opened(); got != 0 {
		t.Errorf("want no connection, got %d", got)
	}
}

// Close does not wait for a client that takes nothing in any longer than it may.
func TestShutdownCutsWhoDoesNotRead(t *testing.T) {
	n := start(t)
	n.large()
	c := n.welcomed(n.app)
	n.fill(c)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := n.gateway.Close(ctx); err == nil {
		t.Error("want it cut, got a clean end")
	}
	n.until("no connection left", func() bool { return n.gateway.opened() == 0 })
}

func TestDescription(t *testing.T) {
	n := start(t)
	browser := http.Client{Transport: &http.Transport{TLSClientConfig: n.TLS}}
	defer browser.CloseIdleConnections()
	for _, name := range []string{"/asyncapi.yaml", "/asyncapi.json"} {
		r, err := browser.Get(n.URL + name)
		n.must(err)
		body, err := io.ReadAll(r.Body)
		n.must(err)
		r.Body.Close()
		if r.StatusCode != http.StatusOK || !strings.Contains(string(body), "read_env") || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/asyncapi+") {
			t.Errorf("%s: got %d %v", name, r.StatusCode, r.Header)
		}
		if isJSON := json.Valid(body); isJSON != strings.HasSuffix(name, "json") {
			t.Errorf("%s: JSON %v", name, isJSON)
		}
		q, err := http.NewRequest(http.MethodGet, n.URL+name, nil)
		n.must(err)
		q.Header.Set("If-None-Match", r.Header.Get("Etag"))
		if r, err = browser.Do(q); err != nil || r.StatusCode != http.StatusNotModified {
			t.Errorf("%s: want 304, got %v %v", name, r, err)
		}
		r.Body.Close()
		if r, err = browser.Post(n.URL+name, "", nil); err != nil || r.StatusCode != http.StatusMethodNotAllowed || r.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: want 405, got %v %v", name, r, err)
		}
		r.Body.Close()
	}
}

func TestSettings(t *testing.T) {
	var s Settings
	s.Defaults()
	n := s
	if err := n.Validate(); err != nil {
		t.Error(err)
	}
	s.Origins = []string{"https://a.example", "http://b.example:8080"}
	if err := s.Validate(); err != nil {
		t.Error(err)
	}
	for key, change := range map[string]func(*Settings){
		"origins": func(s *Settings) { s.Origins = []string{"https://a.example/"} }, "trusted_proxies": func(s *Settings) { s.TrustedProxies = []string{"x"} },
		"max_connections": func(s *Settings) { s.MaxConnections = 0 }, "max_subscriptions": func(s *Settings) { s.MaxSubscriptions = 0 },
		"max_patterns": func(s *Settings) { s.MaxPatterns = center.MaxPatterns + 1 }, "max_message": func(s *Settings) { s.MaxMessage = 17 * plugin.MiB },
		"hello_timeout": func(s *Settings) { s.HelloTimeout = 0 }, "ping_interval": func(s *Settings) { s.PingInterval = 0 },
		"write_timeout": func(s *Settings) { s.WriteTimeout = -1 }, "retry": func(s *Settings) { s.Retry = 0 },
		"fragment_cache": func(s *Settings) { s.Fragments = 0 }, "frame_cache": func(s *Settings) { s.Frames = 0 },
	} {
		changed := s
		change(&changed)
		if err := changed.Validate(); err == nil || !strings.Contains(err.Error(), place+"."+key) {
			t.Errorf("want %s refused, got %v", key, err)
		}
	}
}
