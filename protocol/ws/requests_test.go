package ws

import (
	"fmt"
	"strings"
	"testing"

	"github.com/setpointhq/setpoint/center"
	"github.com/setpointhq/setpoint/config"
)

func TestGet(t *testing.T) {
	n := start(t)
	set := n.publish(pathA, "a: 1\n")
	c := n.welcomed(n.app)
	c.Say(`{"type":"get","id":"1","path":"` + pathA + `"}`)
	m := c.next("config")
	r := m.Release
	if m.ID != "1" || m.Revision != set.Revision || r == nil || *r.Text != "a: 1\n" || r.Version != 1 || r.Path.String() != pathA || r.Author != "admin" || len(r.Digest) != 64 {
		t.Fatalf("got %+v", m)
	}
	c.Say(`{"type":"get","id":"2","path":"` + pathA + `","if_digest":"` + r.Digest + `"}`)
	if m := c.next("config"); m.ID != "2" || !m.NotModified || m.Version != 1 || m.Release != nil || m.Revision == "" {
		t.Errorf("got %+v", m)
	}
	c.Say(`{"type":"get","id":"3","path":"` + pathA + `","if_digest":"other","min_revision":"` + string(m.Revision) + `","consistency":"strong"}`)
	if m := c.next("config"); m.ID != "3" || m.Release == nil {
		t.Errorf("got %+v", m)
	}
	for text, want := range map[string]string{
		`"path":"` + pathB + `"`:                                        "not_found",
		`"path":"acme/shop/test/a.yaml"`:                                "denied",
		`"path":"acme/shop/prod"`:                                       "invalid",
		`"path":"` + pathA + `","consistency":"weak"`:                   "invalid",
		`"path":"` + pathA + `","min_revision":"?"`:                     "invalid",
		`"path":"` + pathA + `","min_revision":"zzzz.` + token(m) + `"`: "timeout",
	} {
		c.Say(`{"type":"get","id":"e",` + text + `}`)
		c.problem("e", want)
	}
}

// token is the part of a revision that names the installation.
func token(m incoming) string {
	_, cluster, _ := strings.Cut(string(m.Revision), ".")
	return cluster
}

func TestReadEnv(t *testing.T) {
	n := start(t)
	n.publish(pathA, "a: 1\n")
	n.publish(pathB, "b: 1\n")
	c := n.welcomed(n.app)
	c.Say(`{"type":"read_env","id":"1","env":"acme/shop/prod"}`)
	m := c.next("env")
	if m.ID != "1" || m.Env.String() != "acme/shop/prod" || len(m.Configs) != 2 || *m.Configs[1].Text != "b: 1\n" || m.Configs[0].Author != "admin" {
		t.Errorf("got %+v", m)
	}
	for text, want := range map[string]string{
		`"env":"acme/shop/test"`:                         "denied",
		`"env":"` + pathA + `"`:                          "not_found",
		`"env":"acme/shop/prod","consistency":"x"`:       "invalid",
		`"env":"acme/shop/prod","min_revision":"1.else"`: "invalid",
	} {
		c.Say(`{"type":"read_env","id":"e",` + text + `}`)
		c.problem("e", want)
	}
}

func TestAck(t *testing.T) {
	n := start(t)
	n.publish(pathA, "a: 1\n")
	c := n.connect(dial{Auth: "Bearer " + n.app, Query: "?instance=i"})
	c.next("welcome")
	c.Say(`{"type":"ack","reports":[{"path":"` + pathA + `","version":1,"state":"refused","why":"no"}]}`)
	for text, want := range map[string]string{
		`[]`: "invalid",
		`[{"path":"` + pathA + `","version":2,"state":"applied"}]`:                                                                                   "invalid",
		`[{"path":"` + pathA + `","version":1,"state":"pondering"}]`:                                                                                 "invalid",
		`[{"path":"acme/shop/test/a.yaml","version":1,"state":"applied"}]`:                                                                           "denied",
		`[` + strings.Repeat(`{"path":"`+pathA+`","version":1,"state":"applied"},`, 256) + `{"path":"` + pathA + `","version":1,"state":"applied"}]`: "invalid",
	} {
		c.Say(`{"type":"ack","id":"k","reports":` + text + `}`)
		c.problem("k", want)
	}
	list, err := n.Center.Instances(n.admin(), center.InstanceRequest{Path: config.Path{Tenant: "acme", App: "shop", Env: "prod", Name: "a.yaml"}})
	n.must(err)
	if len(list.Items) != 1 || list.Items[0].Holds[0].Refused != 1 || list.Items[0].Holds[0].Why != "no" {
		t.Errorf("got %+v", list)
	}
	nameless := n.welcomed(n.app)
	nameless.Say(`{"type":"ack","reports":[{"path":"` + pathA + `","version":1,"state":"applied"}]}`)
	nameless.problem("", "invalid")
}

func TestSubscriptionsThatAreRefused(t *testing.T) {
	n := start(t, func(s *Settings) { s.MaxSubscriptions, s.MaxPatterns = 2, 3 })
	c := n.welcomed(n.app)
	c.Say(`{"type":"subscribe","id":"s","paths":["acme/shop/prod"]}`)
	c.want("s", true)
	for text, want := range map[string]string{
		`{"type":"subscribe","id":"s","paths":["acme/shop/prod"]}`:                "already_exists",
		`{"type":"subscribe","id":"d","paths":["acme/shop/test"]}`:                "denied",
		`{"type":"subscribe","id":"d","paths":["acme/shop/prod","globex"]}`:       "denied",
		`{"type":"subscribe","id":"i","paths":[]}`:                                "invalid",
		`{"type":"subscribe","id":"i"}`:                                           "invalid",
		`{"type":"subscribe","id":"i","paths":["a/b/c","a/b/c","a/b/c","a/b/c"]}`: "invalid",
		`{"type":"subscribe","id":"i","paths":["*"]}`:                             "invalid",
		`{"type":"subscribe","id":"i","paths":[""]}`:                              "invalid",
		`{"type":"unsubscribe","id":"n"}`:                                         "not_found",
	} {
		c.Say(text)
		id := strings.Split(text, `"`)[7]
		c.problem(id, want)
	}
	c.Say(`{"type":"subscribe","id":"2","paths":["acme/shop/prod"]}`)
	c.want("2", true)
	c.Say(`{"type":"subscribe","id":"3","paths":["acme/shop/prod"]}`)
	if p := c.problem("3", "limit_exceeded"); !strings.Contains(p.Detail, "max_subscriptions") {
		t.Errorf("got %+v", p)
	}
	c.Say(`{"type":"unsubscribe","id":"2"}`)
	c.Say(`{"type":"subscribe","id":"3","paths":["acme/shop/prod"]}`)
	c.want("3", true)
}

// All subscribers who are told the same share one frame, whatever they called it.
func TestFramesAreShared(t *testing.T) {
	n := start(t)
	const clients = 20
	var all []*client
	for range clients {
		c := n.welcomed(n.app)
		c.Say(`{"type":"subscribe","id":"s","paths":["acme/shop/prod"]}`)
		c.want("s", true)
		all = append(all, c)
	}
	before := n.gateway.frames.Len()
	for i := 1; i <= 3; i++ {
		n.publish(pathA, fmt.Sprintf("a: %d\n", i))
		for _, c := range all {
			c.want("s", false, fmt.Sprintf("%s@%d=a: %d\n", pathA, i, i))
		}
	}
	if got := n.gateway.frames.Len() - before; got != 3 {
		t.Errorf("want 3 frames for %d clients, got %d", clients, got)
	}
}
