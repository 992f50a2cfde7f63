package graphql

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/problem"
	"github.com/setpointhq/setpoint/protocol/internal/socket"
)

func TestWaysToSayWhoIsThere(t *testing.T) {
	n := launch(t)
	n.publish(pathA, "a: 1\n")
	encoded := base64.StdEncoding.EncodeToString([]byte("vera:" + veraPassword))
	for name, c := range map[string]struct {
		dial    dial
		payload string
	}{
		"token":                     {payload: `{"token":"` + n.app + `"}`},
		"authorization with bearer": {payload: `{"authorization":"Bearer ` + n.app + `"}`},
		"as the header is written":  {payload: `{"Authorization":"Bearer ` + n.app + `"}`},
		"authorization with basic":  {payload: `{"authorization":"Basic ` + encoded + `"}`},
		"basic":                     {payload: `{"basic":{"username":"vera","password":"` + veraPassword + `"}}`},
		"header":                    {dial: dial{Auth: "Bearer " + n.app}, payload: `{}`},
		"header and no payload":     {dial: dial{Auth: "Basic " + encoded}, payload: `null`},
		"header and a name":         {dial: dial{Auth: "Bearer " + n.app}, payload: `{"instance":"i","labels":{"a":"b"},"slot":"blue"}`},
	} {
		t.Run(name, func(t *testing.T) {
			conn := n.connect(c.dial)
			if got := conn.Answer.Header.Get("Sec-Websocket-Protocol"); got != subprotocol {
				t.Errorf("want the subprotocol, got %q", got)
			}
			conn.Say(`{"type":"connection_init","payload":` + c.payload + `}`)
			conn.next("", "connection_ack")
			conn.watch("s", "acme/shop/prod")
			if got := told(conn.event("s")); len(got) != 1 {
				t.Errorf("got %q", got)
			}
		})
	}
}

// Everything that ends a connection, by what is said on it and with which code.
func TestCloseCodes(t *testing.T) {
	n := launch(t, func(s *Settings) { s.InitTimeout = 50 * time.Millisecond })
	n.publish(pathA, "a: 1\n")
	initial := `{"type":"connection_init","payload":{"token":"` + n.app + `"}}`
	begun := `{"id":"s","type":"subscribe","payload":{"query":"subscription{watch(paths:[\"acme/shop/prod\"]){revision}}"}}`
	for name, c := range map[string]struct {
		dial dial
		say  []string
		code socket.CloseCode
		says string
	}{
		"no init":                 {code: 4408, says: "timeout"},
		"no init, but a ping":     {say: []string{`{"type":"ping"}`}, code: 4408},
		"another subprotocol":     {dial: dial{Header: http.Header{"Sec-Websocket-Protocol": {"graphql-ws"}}}, code: 4406, says: subprotocol},
		"no subprotocol":          {dial: dial{Header: http.Header{"Sec-Websocket-Protocol": {}}}, say: []string{initial}, code: 4406},
		"nonsense":                {say: []string{`nonsense`}, code: 4400, says: "message: "},
		"nothing":                 {say: []string{``}, code: 4400},
		"null":                    {say: []string{`null`}, code: 4400, says: "object"},
		"a list":                  {say: []string{`[]`}, code: 4400},
		"no type":                 {say: []string{`{}`}, code: 4400, says: "message.type"},
		"an unknown type":         {say: []string{`{"type":"start"}`}, code: 4400, says: "start"},
		"a server's type":         {say: []string{`{"type":"next","id":"1"}`}, code: 4400, says: "only the server"},
		"a key twice":             {say: []string{`{"type":"ping","type":"pong"}`}, code: 4400, says: "twice"},
		"a payload that is none":  {say: []string{`{"type":"ping","payload":1}`}, code: 4400, says: "message.payload"},
		"subscribe without an id": {say: []string{initial, `{"type":"subscribe","payload":{"query":"{version{version}}"}}`}, code: 4400, says: "message.id"},
		"an id that is none":      {say: []string{initial, `{"type":"subscribe","id":7,"payload":{}}`}, code: 4400},
		"too long an id":          {say: []string{`{"type":"complete","id":"` + strings.Repeat("x", 129) + `"}`}, code: 4400, says: "128"},
		"subscribe ahead of init": {say: []string{begun}, code: 4401, says: "Unauthorized"},
		"a second init":           {say: []string{initial, initial}, code: 4429, says: "Too many"},
		"an id in use":            {say: []string{initial, begun, begun}, code: 4409, says: "Subscriber for s already exists"},
		"no credentials":          {say: []string{`{"type":"connection_init"}`}, code: 4403, says: "unauthenticated"},
		"a bad token":             {say: []string{`{"type":"connection_init","payload":{"token":"sp_x"}}`}, code: 4403, says: "unauthenticated"},
		"a bad password":          {say: []string{`{"type":"connection_init","payload":{"basic":{"username":"vera","password":"x"}}}`}, code: 4403},
		"an odd authorization":    {say: []string{`{"type":"connection_init","payload":{"authorization":"Digest x"}}`}, code: 4403, says: "neither"},
		"no name":                 {say: []string{`{"type":"connection_init","payload":{"basic":{"username":"","password":"x"}}}`}, code: 4400},
		"the header twice":        {say: []string{`{"type":"connection_init","payload":{"Authorization":"Bearer x","authorization":"Bearer x"}}`}, code: 4400, says: "one of"},
		"credentials twice":       {say: []string{`{"type":"connection_init","payload":{"token":"x","authorization":"Bearer x"}}`}, code: 4400, says: "one of"},
		"credentials again":       {dial: dial{Auth: "Bearer " + n.app}, say: []string{initial}, code: 4400, says: "already"},
		"an unknown key":          {say: []string{`{"type":"connection_init","payload":{"slott":"x"}}`}, code: 4400, says: "slott"},
		"an empty label":          {say: []string{`{"type":"connection_init","payload":{"labels":{"":"x"}}}`}, code: 4400, says: "label"},
		"labels that are none":    {say: []string{`{"type":"connection_init","payload":{"labels":["x"]}}`}, code: 4400, says: "labels"},
		"labels without values":   {say: []string{`{"type":"connection_init","payload":{"labels":"x"}}`}, code: 4400, says: "key=value"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := n.connect(c.dial)
			for _, text := range c.say {
				_ = conn.TryFrame(socket.Final|socket.OpText, []byte(text)) // it may be closed already
			}
			if got := conn.End(c.code, c.says); len(got.Reason) > 123 {
				t.Errorf("the reason is too long: %s", got.Reason)
			}
		})
	}
}

// How errors end a connection is known of all kinds.
func TestCloseCodesOfErrors(t *testing.T) {
	want := map[config.ErrorKind]socket.CloseCode{
		config.Invalid: badRequest, config.Unauthenticated: forbidden, config.Denied: forbidden,
		config.Throttled: tryAgainLater, config.Unavailable: tryAgainLater, config.Timeout: tryAgainLater, config.Canceled: tryAgainLater,
	}
	for _, kind := range config.ErrorKinds() {
		code, known := want[kind]
		if !known {
			code = internalServer
		}
		if got := closeCodeOf(config.Errorf(kind, "", "", "x")); got != code {
			t.Errorf("%s: want %d, got %d", kind, code, got)
		}
	}
}

func TestWhoMayNotConnect(t *testing.T) {
	n := launch(t, func(s *Settings) { s.Origins = []string{"https://console.example"} })
	for name, c := range map[string]struct {
		dial dial
		want int
		says string
	}{
		"a bad token":          {dial{Auth: "Bearer sp_x"}, 401, ""},
		"an odd header":        {dial{Auth: "Digest x"}, 401, "neither"},
		"an unknown parameter": {dial{Query: "?token=x"}, 400, "query.token"},
		"bad labels":           {dial{Query: "?labels=x"}, 400, "key=value"},
		"another web site":     {dial{Header: http.Header{"Origin": {"https://evil.example"}}}, 403, "protocols.graphql.origins"},
		"another version":      {dial{Header: http.Header{"Sec-Websocket-Version": {"8"}}}, 426, "13"},
		"no connection":        {dial{Header: http.Header{"Connection": {"close"}}}, 426, ""},
		"no key":               {dial{Header: http.Header{"Sec-Websocket-Key": {}}}, 400, "16 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			r := n.try(c.dial).Answer
			body, err := io.ReadAll(r.Body)
			n.must(err)
			var p problem.Details
			if err := json.Unmarshal(body, &p); err != nil || r.StatusCode != c.want || !strings.Contains(p.Detail, c.says) || p.RequestID == "" {
				t.Errorf("want %d %q, got %d %s %v", c.want, c.says, r.StatusCode, body, err)
			}
		})
	}
	for _, origin := range []string{"https://console.example", n.URL} {
		n.connect(dial{Header: http.Header{"Origin": {origin}}})
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	n := launch(t, func(s *Settings) { s.MaxConnections = 1 })
	first := n.greeted(n.app)
	r := n.try(dial{}).Answer
	if body, _ := io.ReadAll(r.Body); r.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), "max_connections") {
		t.Errorf("got %d %s", r.StatusCode, body)
	}
	first.Conn.Close()
	n.until("a place", func() bool { return n.opened() == 0 })
	n.greeted(n.app)
}

func TestPings(t *testing.T) {
	n := launch(t)
	c := n.connect(dial{})
	c.Say(`{"type":"ping"}`)
	if m := c.next("", "pong"); m.Payload != nil {
		t.Errorf("want no payload, got %s", m.Payload)
	}
	c.Say(`{"type":"ping","payload":{"at":1.50}}`)
	if m := c.next("", "pong"); string(m.Payload) != `{"at":1.50}` {
		t.Errorf("want the payload back, got %s", m.Payload)
	}
	c.Say(`{"type":"pong","payload":{"unasked":true}}`)
	c.Say(`{"type":"connection_init","payload":{"token":"` + n.app + `"},"unheard":"of"}`)
	c.next("", "connection_ack")
}

// The last to say which instance it is is connection_init.
func TestInstanceIsNamed(t *testing.T) {
	for _, labels := range []string{`{"zone":"us"}`, `"zone=us"`} {
		t.Run(labels, func(t *testing.T) { instanceIsNamed(t, labels) })
	}
}

func instanceIsNamed(t *testing.T, labels string) {
	n := launch(t)
	n.publish(pathA, "a: 1\n")
	c := n.connect(dial{
		Auth: "Bearer " + n.app, Query: "?instance=query&slot=blue",
		Header: http.Header{"Setpoint-Labels": {"zone=eu"}, "User-Agent": {"tester"}},
	})
	c.Say(`{"type":"connection_init","payload":{"instance":"mine","labels":` + labels + `}}`)
	c.next("", "connection_ack")
	c.watch("s", "acme/shop/prod")
	c.event("s")
	c.subscribe("r", `mutation($p:Path!){report(reports:[{path:$p,version:1,state:APPLIED}])}`, map[string]any{"p": pathA})
	c.next("r", "next")
	c.next("r", "complete")
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

func TestOperationsOverWebSocket(t *testing.T) {
	n := launch(t)
	n.publish(pathA, "a: 1\n")
	c := n.greeted(n.app)
	c.subscribe("q", `query($p:Path!){read(path:$p){release{version content}}}`, map[string]any{"p": pathA})
	if m := c.next("q", "next"); string(m.Payload) != `{"data":{"read":{"release":{"version":1,"content":"a: 1\n"}}}}` {
		t.Errorf("got %s", m.Payload)
	}
	c.next("q", "complete")
	// What goes wrong in a field is part of the answer.
	c.subscribe("q", `query($p:Path!){read(path:$p){revision}}`, map[string]any{"p": pathB})
	var a answer
	c.Must(json.Unmarshal(c.next("q", "next").Payload, &a))
	if len(a.Errors) != 1 || a.Errors[0].Extensions.Code != "not_found" {
		t.Errorf("got %+v", a)
	}
	c.next("q", "complete")
	for what, ask := range map[string]struct{ payload, code string }{
		"nothing":         {`null`, "invalid"},
		"no query":        {`{}`, "invalid"},
		"no text":         {`{"query":7}`, "invalid"},
		"bad syntax":      {`{"query":"{"}`, "invalid"},
		"an unknown one":  {`{"query":"{nothing}"}`, "invalid"},
		"a bad variable":  {`{"query":"query($p:Path!){read(path:$p){revision}}","variables":{}}`, "invalid"},
		"two fields":      {`{"query":"subscription{a:watch(paths:[\"a\"]){revision} b:watch(paths:[\"a\"]){revision}}"}`, "invalid"},
		"a skipped field": {`{"query":"subscription{watch(paths:[\"a\"])@skip(if:true){revision}}"}`, "invalid"},
		"a stranger":      {`{"query":"subscription{watch(paths:[\"acme/other/prod\"]){revision}}"}`, "denied"},
		"a bad pattern":   {`{"query":"subscription{watch(paths:[\"?\"]){revision}}"}`, "invalid"},
		"no patterns":     {`{"query":"subscription{watch(paths:[]){revision}}"}`, "invalid"},
		"a bad token":     {`{"query":"subscription{watch(paths:[\"acme/shop/prod\"],after:\"?\"){revision}}"}`, "invalid"},
	} {
		c.Say(`{"id":"` + what + `","type":"subscribe","payload":` + ask.payload + `}`)
		c.refused(what, ask.code)
	}
	if got := n.Center.Self(t.Context()).Watchers; got != 0 {
		t.Errorf("want no watch left open, got %d", got)
	}
	c.Say(`{"type":"ping"}`) // none of it has ended the connection
	c.next("", "pong")
}

// A large answer comes in pieces, compressed or not.
func TestLargeAnswers(t *testing.T) {
	n := launch(t)
	large := "# " + strings.Repeat("é", 150_000) + "\n"
	n.publish(pathA, large)
	c := n.greeted(n.app)
	c.subscribe("q", `query($p:Path!){read(path:$p){release{content}}}`, map[string]any{"p": pathA})
	var a struct {
		Data struct {
			Read struct{ Release struct{ Content string } }
		}
	}
	c.Must(json.Unmarshal(c.next("q", "next").Payload, &a))
	if a.Data.Read.Release.Content != large {
		t.Errorf("got %d bytes", len(a.Data.Read.Release.Content))
	}
	c.next("q", "complete")
}

func TestShutdownSendsClientsElsewhere(t *testing.T) {
	n := launch(t)
	n.publish(pathA, "a: 1\n")
	known, unknown := n.greeted(n.app), n.connect(dial{})
	known.watch("s", "acme/shop/prod")
	known.event("s")
	n.stop()
	for _, c := range []*listener{known, unknown} {
		c.End(socket.GoingAway, "the server is shutting down; retry_after_ms=1")
	}
	if got := n.try(dial{}).Answer.StatusCode; got != http.StatusServiceUnavailable {
		t.Errorf("want 503, got %d", got)
	}
	if got := n.opened(); got != 0 {
		t.Errorf("want no connection, got %d", got)
	}
}
