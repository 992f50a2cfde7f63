package graphql

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol/internal/socket"
)

// want reads what a watch tells.
func (c *listener) want(id string, reset bool, want ...string) toldWatch {
	c.T.Helper()
	w := c.event(id)
	if diff := cmp.Diff(want, told(w)); diff != "" || w.Reset != reset || w.Revision == "" {
		c.T.Errorf("reset %v; want %v: %s", w.Reset, reset, diff)
	}
	return w
}

func TestSubscription(t *testing.T) {
	n := launch(t)
	n.publish(pathA, "a: 1\n")
	c := n.greeted(n.app)
	c.watch("é\"1", "acme/shop/prod")
	if w := c.want("é\"1", true, pathA+"@1=a: 1\n"); !w.Current || w.Stale != nil {
		t.Errorf("want it current, got %+v", w)
	}
	set := n.publish(pathA, "a: 2\n")
	if w := c.want("é\"1", false, pathA+"@2=a: 2\n"); w.Revision != set.Revision || w.Current {
		t.Errorf("want revision %s, got %+v", set.Revision, w)
	}
	n.publish("acme/shop/test/other.yaml", "a: 1\n")
	_, err := n.Center.Publish(n.admin(), center.Publish{Tenant: "acme", Items: []center.PublishItem{
		{Path: config.Path{Tenant: "acme", App: "shop", Env: "prod", Name: "b.yaml"}, Content: []byte("b: 1\n")},
		{Path: config.Path{Tenant: "acme", App: "shop", Env: "prod", Name: "c.yaml"}, Content: []byte("c: 1\n")},
	}})
	n.must(err)
	c.want("é\"1", false, pathB+"@1=b: 1\n", "acme/shop/prod/c.yaml@1=c: 1\n")
	n.must(n.Center.DeleteConfig(n.admin(), center.DeleteConfig{Path: config.Path{Tenant: "acme", App: "shop", Env: "prod", Name: "a.yaml"}}))
	c.want("é\"1", false, pathA+"@deleted")
}

// What is selected is what is told, under the names that the client gave.
func TestSelections(t *testing.T) {
	n := launch(t)
	n.publish(pathA, "a: 1\n")
	c := n.greeted(n.app)
	fragments := `fragment c on Change{p:path release{...r}} fragment r on ServedRelease{version b:contentBase64 @include(if:$yes) content @skip(if:$yes)}`
	for name, s := range map[string]struct {
		query string
		want  string
	}{
		"aliases":       {`subscription($yes:Boolean!){w:watch(paths:"acme/shop/prod"){x:changes{...c} y:changes{path __typename}}}` + fragments, `{"data":{"w":{"x":[{"p":"acme/shop/prod/a.yaml","release":{"version":1,"b":"YTogMQo="}}],"y":[{"path":"acme/shop/prod/a.yaml","__typename":"Change"}]}}}`},
		"no content":    {`subscription{watch(paths:["acme/shop/prod"],content:false){reset changes{release{content size}}}}`, `{"data":{"watch":{"reset":true,"changes":[{"release":{"content":null,"size":5}}]}}}`},
		"the kind only": {`subscription{watch(paths:["acme/shop/prod"]){__typename}}`, `{"data":{"watch":{"__typename":"WatchEvent"}}}`},
		"deferred":      {`subscription{watch(paths:["acme/shop/prod"]){reset ...@defer{current}}}`, `{"data":{"watch":{"reset":true,"current":true}}}`},
	} {
		c.subscribe(name, s.query, map[string]any{"yes": true})
		if got := string(c.next(name, "next").Payload); got != s.want {
			t.Errorf("%s: want\n%s, got\n%s", name, s.want, got)
		}
	}
	for name, query := range map[string]string{
		"too much":          `subscription{watch(paths:["acme/shop/prod"]){` + strings.Repeat("revision reset current changes{path deleted} ", 1) + manyAliases(400, "revision") + `}}`,
		"too much content":  `subscription{watch(paths:["acme/shop/prod"]){changes{release{` + manyAliases(5, "content") + `}}}}`,
		"nothing of it all": `subscription{watch(paths:["acme/shop/prod"]){changes{path @skip(if:true)}}}`,
	} {
		c.subscribe(name, query, nil)
		if e := c.refused(name, map[bool]string{true: "too_large", false: "invalid"}[strings.HasPrefix(name, "too")]); e.Message == "" {
			t.Errorf("%s: got %+v", name, e)
		}
	}
}

func manyAliases(n int, field string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "alias%d:%s ", i, field)
	}
	return b.String()
}

func TestManySubscriptions(t *testing.T) {
	n := launch(t, func(s *Settings) { s.MaxSubscriptions = 3 })
	c := n.greeted(n.app)
	for _, id := range []string{"1", "2", "3"} {
		c.watch(id, pathA)
		c.want(id, true)
	}
	c.watch("4", pathA)
	if e := c.refused("4", "limit_exceeded"); !strings.Contains(e.Message, "max_subscriptions") {
		t.Errorf("got %+v", e)
	}
	n.publish(pathA, "a: 1\n")
	for _, id := range []string{"1", "2", "3"} {
		c.want(id, false, pathA+"@1=a: 1\n")
	}
	c.Say(`{"id":"2","type":"complete"}`)
	c.Say(`{"id":"2","type":"complete"}`) // which crossed another
	n.until("one less", func() bool { return n.Center.Self(t.Context()).Watchers == 2 })
	n.publish(pathA, "a: 2\n")
	c.want("1", false, pathA+"@2=a: 2\n")
	c.want("3", false, pathA+"@2=a: 2\n")
	c.watch("2", pathA) // the id is free again
	c.want("2", true, pathA+"@2=a: 2\n")
	c.Conn.Close()
	n.until("no watch left", func() bool { return n.Center.Self(t.Context()).Watchers == 0 })
}

func TestResuming(t *testing.T) {
	n := launch(t)
	n.publish(pathA, "a: 1\n")
	c := n.greeted(n.app)
	c.watch("s", "acme/shop/prod")
	last := c.want("s", true, pathA+"@1=a: 1\n").Revision
	again := map[string]any{"paths": []string{"acme/shop/prod"}, "after": last}
	c.subscribe("again", watchAll, again)
	if w := c.want("again", false); !w.Current || w.Revision != last {
		t.Errorf("want to go on from %s, got %+v", last, w)
	}
	c.Conn.Close()
	for i := 2; i <= 4; i++ {
		n.publish(pathA, fmt.Sprintf("a: %d\n", i))
	}
	c = n.greeted(n.app)
	c.subscribe("s", watchAll, again)
	if w := c.want("s", false, pathA+"@4=a: 4\n"); !w.Current {
		t.Errorf("want it current, got %+v", w)
	}
	again["after"] = "5.elsewhere"
	c.subscribe("o", watchAll, again)
	c.want("o", true, pathA+"@4=a: 4\n")
}

// Messages that all share are put together with ids of any length, compressed or not;
// those too large for that arrive as well.
func TestMessagesOfAllSizes(t *testing.T) {
	t.Parallel() // it takes its time
	n := launch(t)
	for _, compressed := range []bool{false, true} {
		header := http.Header{}
		if compressed {
			header.Set("Sec-Websocket-Extensions", "permessage-deflate")
		}
		c := n.connect(dial{Auth: "Bearer " + n.app, Header: header})
		c.Say(`{"type":"connection_init"}`)
		c.next("", "connection_ack")
		for exponent := range 17 {
			content := "# " + strings.Repeat("ab", 1<<exponent) + "\n"
			n.publish(pathA, content)
			for _, id := range []string{"i", strings.Repeat("i", longestID), strings.Repeat("\x01", longestID)} {
				c.subscribe(id, `subscription{watch(paths:["`+pathA+`"]){changes{release{content}}}}`, nil)
				m, small, err := c.read()
				n.must(err)
				want := `{"data":{"watch":{"changes":[{"release":{"content":` + string(encode(content)) + `}}]}}}`
				if m.ID != id || m.Type != typeNext || string(m.Payload) != want {
					t.Fatalf("%d bytes, id %q: got %q %.300s", len(content), id, m.ID, m.Payload)
				}
				if wanted := compressed && len(want) >= 512 && len(content) < wholeAnswer; small != wanted {
					t.Errorf("%d bytes: want compression %v, got %v", len(content), wanted, small)
				}
				c.Say(`{"type":"complete","id":` + string(encode(id)) + `}`)
				c.Say(`{"type":"ping"}`) // which is answered behind that
				c.next("", "pong")
			}
		}
	}
}

// A client that does not read for a while gets the last state, not every one.
func TestSlowClientIsBroughtToTheLastState(t *testing.T) {
	t.Parallel() // it takes its time
	n := launch(t)
	c := n.greeted(n.app)
	c.watch("s", "acme/shop/prod")
	c.want("s", true)
	n.must(c.Conn.NetConn().(*net.TCPConn).SetReadBuffer(4 << 10))
	const versions = 40
	content := func(i int) string { return fmt.Sprintf("# %s\nn: %d\n", strings.Repeat("x", 300_000), i) }
	for i := 1; i <= versions; i++ { // 12 MB, much more than the sockets hold
		n.publish(pathA, content(i))
	}
	n.must(c.Conn.NetConn().(*net.TCPConn).SetReadBuffer(4 << 20))
	events := 0
	for version := int64(0); version < versions; events++ {
		w := c.event("s")
		if got := w.Changes[0].Release.Version; got <= version {
			t.Fatalf("%d came after %d", got, version)
		} else if version = got; version == versions && *w.Changes[0].Release.Content != content(versions) {
			t.Error("want the last content")
		}
	}
	if events >= versions {
		t.Errorf("want states left out, got all %d", events)
	}
}

func TestRightIsWithdrawn(t *testing.T) {
	n := launch(t)
	c := n.greeted(n.app)
	_, err := n.Center.CreateBinding(n.admin(), auth.Binding{User: "app", Role: auth.RoleClient, Scope: config.Path{Tenant: "acme", App: "shop", Env: "test"}})
	n.must(err)
	for _, env := range []string{"prod", "test"} {
		c.watch(env, "acme/shop/"+env)
		c.want(env, true)
	}
	n.withdraw()
	n.publish(pathA, "a: 1\n")
	c.refused("prod", "denied")
	n.publish("acme/shop/test/t.yaml", "t: 1\n") // the other lives on
	c.want("test", false, "acme/shop/test/t.yaml@1=t: 1\n")
}

func TestTokenIsRevoked(t *testing.T) {
	for name, ask := range map[string]string{"found by a ping": "", "found by an operation": `{"type":"subscribe","id":"q","payload":{"query":"{version{version}}"}}`} {
		t.Run(name, func(t *testing.T) {
			n := launch(t, func(s *Settings) {
				if ask == "" {
					s.PingInterval = 20 * time.Millisecond
				}
			})
			c := n.greeted(n.app)
			c.watch("s", "acme/shop/prod")
			c.want("s", true)
			n.revoke("app")
			if ask != "" {
				c.Say(ask)
			}
			c.End(forbidden, "unauthenticated")
		})
	}
}

func TestPasswordIsChanged(t *testing.T) {
	n := launch(t)
	c := n.connect(dial{})
	c.Say(`{"type":"connection_init","payload":{"basic":{"username":"vera","password":"` + veraPassword + `"}}}`)
	c.next("", "connection_ack")
	c.watch("s", "acme/shop/prod")
	c.want("s", true)
	n.must(n.Center.SetPassword(auth.WithIdentity(t.Context(), auth.Identity{Subject: "vera", Method: "basic"}), config.NewSecret("another horse battery")))
	n.publish(pathA, "a: 1\n")
	c.refused("s", "unauthenticated")
	c.watch("again", "acme/shop/prod")
	c.End(forbidden, "unauthenticated")
}

// One that answers no pings is taken for gone, one that does is not.
func TestSilentClients(t *testing.T) {
	n := launch(t, func(s *Settings) { s.PingInterval = 20 * time.Millisecond })
	silent, answering := n.greeted(n.app), n.greeted(n.app)
	silent.Quiet = true
	gone := make(chan error, 1)
	go func() {
		for {
			if _, _, err := silent.ReadFrame(); err != nil {
				gone <- err
				return
			}
		}
	}()
	for turns := 0; turns < 12; {
		if first, _, err := answering.ReadFrame(); err != nil || first != socket.Final|socket.OpPing {
			t.Fatalf("want a ping, got %x %v", first, err)
		}
		turns++
	}
	if err := <-gone; err == nil {
		t.Error("want it gone")
	}
	if got := n.opened(); got != 1 {
		t.Errorf("want one connection, got %d", got)
	}
}
