package ws

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/setpointhq/setpoint/auth"
	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/protocol"
	"github.com/setpointhq/setpoint/protocol/internal/socket"
	"github.com/setpointhq/setpoint/protocol/protocoltest"
	"github.com/setpointhq/setpoint/protocol/rest"
)

// want reads changes of a subscription.
func (c *client) want(id string, reset bool, want ...string) incoming {
	c.T.Helper()
	m := c.next("changes")
	if diff := cmp.Diff(want, told(m)); diff != "" || m.Reset != reset || m.ID != id || m.Revision == "" {
		c.T.Errorf("id %q, reset %v; want %q, %v: %s", m.ID, m.Reset, id, reset, diff)
	}
	return m
}

const (
	pathA = "acme/shop/prod/a.yaml"
	pathB = "acme/shop/prod/b.yaml"
)

func TestSubscription(t *testing.T) {
	n := start(t)
	n.publish(pathA, "a: 1\n")
	c := n.welcomed(n.app)
	c.Say(`{"type":"subscribe","id":"main","paths":["acme/shop/prod"]}`)
	if m := c.want("main", true, pathA+"@1=a: 1\n"); !m.Current {
		t.Errorf("want it current, got %+v", m)
	}
	set := n.publish(pathA, "a: 2\n")
	if m := c.want("main", false, pathA+"@2=a: 2\n"); m.Revision != set.Revision || m.Current {
		t.Errorf("want revision %s, got %+v", set.Revision, m)
	}
	n.publish("acme/shop/test/other.yaml", "a: 1\n")
	n.publish(pathB, "b: 1\n")
	c.want("main", false, pathB+"@1=b: 1\n")
	n.must(n.Center.DeleteConfig(n.admin(), center.DeleteConfig{Path: config.Path{Tenant: "acme", App: "shop", Env: "prod", Name: "a.yaml"}}))
	c.want("main", false, pathA+"@deleted")
}

func TestSeveralSubscriptions(t *testing.T) {
	n := start(t)
	n.publish(pathA, "a: 1\n")
	n.publish(pathB, "b: 1\n")
	c := n.welcomed(n.app)
	c.Say(`{"type":"subscribe","id":"é\"1","paths":["` + pathA + `"]}`)
	c.want(`é"1`, true, pathA+"@1=a: 1\n")
	c.Say(`{"type":"subscribe","id":"2","paths":["` + pathB + `"],"content":false}`)
	m := c.want("2", true, pathB+"@1")
	if got := m.Changes[0]; len(got.Digest) != 64 || got.Size != 5 || got.Format != "yaml" || got.Time.IsZero() {
		t.Errorf("got %+v", got)
	}
	n.publish(pathB, "b: 2\n")
	c.want("2", false, pathB+"@2")
	c.Say(`{"type":"unsubscribe","id":"2"}`)
	c.Say(`{"type":"ping","id":"p"}`)
	if m := c.next("pong"); m.ID != "p" {
		t.Errorf("got %+v", m)
	}
	n.publish(pathB, "b: 3\n")
	n.publish(pathA, "a: 2\n")
	c.want(`é"1`, false, pathA+"@2=a: 2\n")
	// The id is free again.
	c.Say(`{"type":"subscribe","id":"2","paths":["` + pathB + `"]}`)
	c.want("2", true, pathB+"@3=b: 3\n")
}

func TestChangeSetIsOneMessage(t *testing.T) {
	n := start(t)
	c := n.welcomed(n.app)
	c.Say(`{"type":"subscribe","id":"s","paths":["acme/shop/prod"]}`)
	c.want("s", true)
	_, err := n.Center.Publish(n.admin(), center.Publish{Tenant: "acme", Items: []center.PublishItem{
		{Path: config.Path{Tenant: "acme", App: "shop", Env: "prod", Name: "a.yaml"}, Content: []byte("a: 1\n")},
		{Path: config.Path{Tenant: "acme", App: "shop", Env: "prod", Name: "b.yaml"}, Content: []byte("b: 1\n")},
	}})
	n.must(err)
	c.want("s", false, pathA+"@1=a: 1\n", pathB+"@1=b: 1\n")
}

// Messages larger than what is held as a whole arrive whole, compressed or not.
func TestLargeDeliveries(t *testing.T) {
	n := start(t)
	large := "# " + strings.Repeat("é", 150_000) + "\n"
	n.publish(pathA, large)
	n.publish(pathB, "b: 1\n")
	n.publish("acme/shop/prod/c.yaml", large)
	for _, header := range []http.Header{nil, {"Sec-Websocket-Extensions": {"permessage-deflate"}}} {
		c := n.connect(dial{Auth: "Bearer " + n.app, Header: header})
		c.next("welcome")
		c.Say(`{"type":"subscribe","id":"s","paths":["acme/shop/prod"]}`)
		c.want("s", true, pathA+"@1="+large, pathB+"@1=b: 1\n", "acme/shop/prod/c.yaml@1="+large)
		c.Say(`{"type":"read_env","id":"e","env":"acme/shop/prod"}`)
		if m := c.next("env"); len(m.Configs) != 3 || *m.Configs[2].Text != large || m.Env.String() != "acme/shop/prod" || m.Revision == "" {
			t.Errorf("got %d configs of %s at %s", len(m.Configs), m.Env, m.Revision)
		}
	}
}

func TestCompression(t *testing.T) {
	n := start(t)
	content := "# " + strings.Repeat("much of the same ", 1000) + "\n"
	n.publish(pathA, content)
	c := n.connect(dial{Auth: "Bearer " + n.app, Header: http.Header{"Sec-Websocket-Extensions": {"x-webkit-deflate-frame, permessage-deflate; client_max_window_bits"}}})
	if got, want := c.Answer.Header.Get("Sec-Websocket-Extensions"), "permessage-deflate; server_no_context_takeover; client_no_context_takeover"; got != want {
		t.Errorf("want %s, got %s", want, got)
	}
	c.next("welcome")
	c.Say(`{"type":"subscribe","id":"s","paths":["acme/shop/prod"]}`)
	first, payload, err := c.ReadFrame()
	if err != nil || first&socket.Deflated == 0 || len(payload) > len(content)/4 {
		t.Errorf("want it small, got %x, %d bytes, %v", first, len(payload), err)
	}
	n.publish(pathA, content+"a: 1\n")
	c.want("s", false, pathA+"@2="+content+"a: 1\n")
	// What a client compresses is read too.
	ping := []byte{0xaa, 0x56, 0x2a, 0xa9, 0x2c, 0x48, 0x55, 0xb2, 0x52, 0x2a, 0xc8, 0xcc, 0x4b, 0x57, 0xaa, 0x05, 0x00}
	c.Frame(socket.Final|socket.Deflated|socket.OpText, ping)
	c.next("pong")
}

func TestNoCompression(t *testing.T) {
	n := start(t, func(s *Settings) { s.Compression = false })
	c := n.connect(dial{Auth: "Bearer " + n.app, Header: http.Header{"Sec-Websocket-Extensions": {"permessage-deflate"}}})
	if c.Deflate {
		t.Error("want none")
	}
	c.next("welcome")
	c.Frame(socket.Final|socket.Deflated|socket.OpText, []byte(`{"type":"ping"}`))
	c.end(socket.ProtocolError)
}

func TestResuming(t *testing.T) {
	n := start(t)
	n.publish(pathA, "a: 1\n")
	c := n.welcomed(n.app)
	c.Say(`{"type":"subscribe","id":"s","paths":["acme/shop/prod"]}`)
	last := c.want("s", true, pathA+"@1=a: 1\n").Revision
	c.Say(`{"type":"subscribe","id":"again","paths":["acme/shop/prod"],"after":"` + string(last) + `"}`)
	if m := c.next("current"); m.ID != "again" || m.Revision != last {
		t.Errorf("want to go on from %s, got %+v", last, m)
	}
	c.Conn.Close()
	for i := 2; i <= 4; i++ {
		n.publish(pathA, fmt.Sprintf("a: %d\n", i))
	}
	c = n.welcomed(n.app)
	c.Say(`{"type":"subscribe","id":"s","paths":["acme/shop/prod"],"after":"` + string(last) + `"}`)
	if m := c.want("s", false, pathA+"@4=a: 4\n"); !m.Current {
		t.Errorf("want it current, got %+v", m)
	}
	c.Say(`{"type":"subscribe","id":"o","paths":["acme/shop/prod"],"after":"5.elsewhere"}`)
	c.want("o", true, pathA+"@4=a: 4\n")
	c.Say(`{"type":"subscribe","id":"x","paths":["acme/shop/prod"],"after":"?"}`)
	c.problem("x", "invalid")
}

// both is REST beside WebSocket on one listener.
type both struct {
	Settings
	rest rest.Settings
}

func (b *both) Defaults() { b.Settings.Defaults(); b.rest.Defaults() }

func (b *both) Open(ctx context.Context, host protocol.Host) (protocol.Protocol, error) {
	first, err := b.rest.Open(ctx, host)
	if err != nil {
		return nil, err
	}
	second, err := b.Settings.Open(ctx, host)
	return closingBoth{second, first}, err
}

type closingBoth struct {
	protocol.Protocol
	other protocol.Protocol
}

func (c closingBoth) Close(ctx context.Context) error {
	return errors.Join(c.Protocol.Close(ctx), c.other.Close(ctx))
}

// A token of one protocol is good for the other.
func TestResumingOverAnotherProtocol(t *testing.T) {
	n := &node{t: t, Node: protocoltest.Start(t, func() protocol.Driver {
		b := new(both)
		b.Defaults()
		return b
	})}
	n.furnish()
	browser := http.Client{Transport: &http.Transport{TLSClientConfig: n.TLS}}
	defer browser.CloseIdleConnections()
	poll := func(after config.Token) (m incoming) {
		r, err := http.NewRequest(http.MethodGet, n.URL+"/v1/watch?path=acme/shop/prod&after="+string(after), nil)
		n.must(err)
		r.Header.Set("Authorization", "Bearer "+n.app)
		answer, err := browser.Do(r)
		n.must(err)
		defer answer.Body.Close()
		n.must(json.NewDecoder(answer.Body).Decode(&m))
		return m
	}
	n.publish(pathA, "a: 1\n")
	last := poll("").Revision
	n.publish(pathA, "a: 2\n")
	c := n.welcomed(n.app)
	c.Say(`{"type":"subscribe","id":"s","paths":["acme/shop/prod"],"after":"` + string(last) + `"}`)
	last = c.want("s", false, pathA+"@2=a: 2\n").Revision
	n.publish(pathB, "b: 1\n")
	m := poll(last)
	if diff := cmp.Diff([]string{pathB + "@1=b: 1\n"}, told(m)); diff != "" || m.Reset {
		t.Errorf("reset %v %s", m.Reset, diff)
	}
}

// A client that is cut off again and again, while publishes go on, sees versions
// only rise and ends with the last state.
func TestCutOffMissesNothing(t *testing.T) {
	n := start(t)
	const cuts, batch, files = 100, 10, 3
	name := func(i int) string { return fmt.Sprintf("acme/shop/prod/f%d.yaml", i%files) }
	seen := map[string]int64{}
	last := config.Token("")
	// follow reads until it has caught up, or as many messages as asked for.
	follow := func(most int, until bool) {
		c := n.welcomed(n.app)
		defer c.Conn.Close()
		after, _ := json.Marshal(last)
		c.Say(`{"type":"subscribe","id":"s","paths":["acme/shop/prod"],"after":` + string(after) + `}`)
		for i := 0; i < most || until; i++ {
			m, text, err := c.read()
			n.must(err)
			if m.Type != "changes" && m.Type != "current" {
				t.Fatalf("got %s", text)
			}
			for _, change := range m.Changes {
				if change.Version < seen[change.Path.String()] {
					t.Errorf("%s went back from %d to %d", change.Path, seen[change.Path.String()], change.Version)
				}
				seen[change.Path.String()] = change.Version
			}
			last = m.Revision
			if m.Current || m.Type == "current" {
				return
			}
		}
	}
	want := map[string]int64{}
	for cut := range cuts {
		var publishing sync.WaitGroup
		publishing.Go(func() {
			for i := range batch {
				want[name(i)] = n.publish(name(i), fmt.Sprintf("n: %d\n", cut*batch+i)).Items[0].Version
			}
		})
		follow(1+cut%4, false)
		publishing.Wait()
	}
	follow(0, true)
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("want the last state: %s", diff)
	}
}

// A client that does not read for a while gets the last state, not every one.
func TestSlowReaderIsBroughtToTheLastState(t *testing.T) {
	n := start(t)
	c := n.welcomed(n.app)
	c.Say(`{"type":"subscribe","id":"s","paths":["acme/shop/prod"]}`)
	c.want("s", true)
	n.must(c.Conn.NetConn().(*net.TCPConn).SetReadBuffer(4 << 10))
	const versions = 40
	content := func(i int) string { return fmt.Sprintf("# %s\nn: %d\n", strings.Repeat("x", 300_000), i) }
	for i := 1; i <= versions; i++ { // 12 MB, much more than the sockets hold
		n.publish(pathA, content(i))
	}
	n.must(c.Conn.NetConn().(*net.TCPConn).SetReadBuffer(4 << 20))
	messages := 0
	for version := int64(0); version < versions; messages++ {
		m := c.next("changes")
		if got := m.Changes[0].Version; got <= version {
			t.Fatalf("%d came after %d", got, version)
		} else if version = got; version == versions && *m.Changes[0].Text != content(versions) {
			t.Error("want the last content")
		}
	}
	if messages >= versions {
		t.Errorf("want states left out, got all %d", messages)
	}
}

func TestRightIsWithdrawn(t *testing.T) {
	n := start(t)
	c := n.welcomed(n.app)
	_, err := n.Center.CreateBinding(n.admin(), auth.Binding{User: "app", Role: auth.RoleClient, Scope: config.Path{Tenant: "acme", App: "shop", Env: "test"}})
	n.must(err)
	for _, env := range []string{"prod", "test"} {
		c.Say(`{"type":"subscribe","id":"` + env + `","paths":["acme/shop/` + env + `"]}`)
		c.want(env, true)
	}
	bindings, err := n.Center.Bindings(n.admin(), center.BindingsRequest{User: "app"})
	n.must(err)
	for _, b := range bindings.Items {
		if b.Scope.Env == "prod" {
			n.must(n.Center.DeleteBinding(n.admin(), b.ID))
		}
	}
	n.publish(pathA, "a: 1\n")
	c.problem("prod", "denied")
	n.publish("acme/shop/test/t.yaml", "t: 1\n") // the other lives on
	c.want("test", false, "acme/shop/test/t.yaml@1=t: 1\n")
}

func TestTokenIsRevoked(t *testing.T) {
	for name, ask := range map[string]string{"found by a ping": "", "found by a message": `{"type":"get","id":"g","path":"` + pathA + `"}`} {
		t.Run(name, func(t *testing.T) {
			n := start(t, func(s *Settings) {
				if ask == "" {
					s.PingInterval = 20 * time.Millisecond
				}
			})
			c := n.welcomed(n.app)
			c.Say(`{"type":"subscribe","id":"s","paths":["acme/shop/prod"]}`)
			c.want("s", true)
			tokens, err := n.Center.Tokens(n.admin(), "app", center.PageRequest{})
			n.must(err)
			n.must(n.Center.RevokeToken(n.admin(), tokens.Items[0].ID))
			id := ""
			if ask != "" {
				c.Say(ask)
				id = "g"
			}
			c.problem(id, "unauthenticated")
			c.end(socket.BadPolicy)
		})
	}
}

func TestPasswordIsChanged(t *testing.T) {
	n := start(t)
	c := n.connect(dial{})
	c.Say(`{"type":"hello","basic":{"username":"vera","password":"` + password + `"}}`)
	c.next("welcome")
	c.Say(`{"type":"subscribe","id":"s","paths":["acme/shop/prod"]}`)
	c.want("s", true)
	n.must(n.Center.SetPassword(auth.WithIdentity(t.Context(), auth.Identity{Subject: "vera", Method: "basic"}), config.NewSecret("another horse battery")))
	n.publish(pathA, "a: 1\n")
	c.problem("s", "unauthenticated")
}
