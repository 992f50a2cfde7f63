package cluster

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/setpointhq/setpoint/config"
	"github.com/setpointhq/setpoint/internal/freeport"
	"github.com/setpointhq/setpoint/internal/pki"
	"github.com/setpointhq/setpoint/store"
)

// hosting is a node that lets others in, on an engine that does as it is told,
// and what is asked of it.
type hosting struct {
	*office
	host     *Cluster
	engine   *engine
	settings Settings // of n2, which is to join
	dir      string
}

func host(t *testing.T) *hosting {
	o := newOffice(t)
	h := &hosting{office: o, dir: filepath.Join(o.dir, "data-n2")}
	h.host = o.openOnly(o.settings("n1", freeport.For(t)), filepath.Join(o.dir, "data-n1"))
	h.engine = o.withEngine(h.host, store.Member{ID: 1, Name: "n1", Peer: h.host.settings.Advertise, Started: true})
	h.settings = bare("n2", freeport.For(t))
	h.settings.Join = []string{h.host.settings.Advertise}
	h.settings.JoinToken = o.token(h.host.keeper.Fingerprint(), "member", false)
	return h
}

func (h *hosting) add(m store.Member) {
	h.engine.set(func(e *engine) { m.ID = uint64(len(e.members) + 1); e.members = append(e.members, m) })
}

func TestJoinIsRefusedWithWhatHelps(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		prepare func(h *hosting)
		kind    config.ErrorKind
		want    string
	}{
		{"a token that nobody made", func(h *hosting) {
			h.settings.JoinToken = config.JoinTokenText{ID: pad("x", 12), Secret: config.NewSecret(pad("y", 26)), Fingerprint: h.host.keeper.Fingerprint()}.Text()
		}, config.Denied, "the join token is not valid"},
		{"a token of another cluster", func(h *hosting) {
			h.settings.JoinToken = h.token(newOffice(h).authority.Fingerprint(), "other", false)
		}, config.Denied, "the join token is for another cluster than the one there: the certificate was issued by"},
		{"a member with the token of an edge", func(h *hosting) {
			h.settings.JoinToken = h.token(h.host.keeper.Fingerprint(), "edge", true)
		}, config.Invalid, "the token lets an edge in, and n2 is to be a member"},
		{"an edge with the token of a member", func(h *hosting) {
			h.settings.Edge, h.settings.Addr = true, ""
		}, config.Invalid, "the token lets a member in, and n2 is to be an edge"},
		{"a host without the authority's key", func(h *hosting) {
			h.host.settings.CAKeyFile = ""
		}, config.Unsupported, "the node n1 does not have the authority's key (cluster.ca_key_file)"},
		{"another cluster token", func(h *hosting) {
			h.settings.Token = "staging"
		}, config.Invalid, "the cluster's token is another; leave cluster.token out"},
		{"the name of a member", func(h *hosting) {
			h.add(store.Member{Name: "n2", Peer: "192.0.2.1:7403", Started: true})
		}, config.Exists, "a member named n2 is in the cluster already, at 192.0.2.1:7403"},
		{"the address of a member", func(h *hosting) {
			h.add(store.Member{Name: "n7", Peer: h.settings.Advertise, Started: true})
		}, config.Exists, "is that of the member n7; set cluster.advertise"},
		{"a member that comes back empty", func(h *hosting) {
			h.add(store.Member{Name: "n2", Peer: h.settings.Advertise, Started: true})
		}, config.Conflict, "n2 is a member already and has run before, but comes with an empty data directory"},
		{"the name of an edge that runs", func(h *hosting) {
			err := h.host.others.put(&hello{Report: report{Boot: "b", Node: config.Node{Name: "n2", Role: config.Edge}}}, time.Now())
			if err != nil {
				h.Fatal(err)
			}
		}, config.Exists, "a node named n2 is running already"},
		{"an address at which it cannot be reached", func(h *hosting) {
			h.settings.Advertise = freeport.For(h)
		}, config.Invalid, "from n1 (nothing listens there; is the node running?); set its cluster.advertise"},
		{"an engine that is not well", func(h *hosting) {
			h.engine.set(func(e *engine) { e.err = config.Errorf(config.Unavailable, "", "", "no leader") })
		}, config.Timeout, "join: timeout: cluster.start_wait is over: join "},
		{"another one that is being let in for long", func(h *hosting) {
			h.host.desk.Lock()
			h.Cleanup(h.host.desk.Unlock)
		}, config.Timeout, "cluster.start_wait is over: join "},
		{"nobody there", func(h *hosting) {
			h.settings.Join = []string{freeport.For(h)}
		}, config.Timeout, "nothing listens there"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			h := host(t)
			tc.prepare(h)
			if tc.kind == config.Timeout {
				h.settings.StartWait = 2 * time.Second
			}
			c, err := h.tryOpen(h.settings, h.dir)
			if err == nil {
				c.Close()
				t.Fatal("want an error")
			}
			if !strings.Contains(err.Error(), tc.want) || config.KindOf(err) != tc.kind {
				t.Errorf("want %s: %q\ngot  %v", tc.kind, tc.want, err)
			}
			if strings.Contains(err.Error(), h.settings.JoinToken.Reveal()) {
				t.Error("the error tells the token")
			}
			if acts := h.engine.done(); len(acts) > 0 {
				t.Errorf("want no member added, got %v", acts)
			}
		})
	}
}

func TestJoinTriesTheOtherAddresses(t *testing.T) {
	t.Parallel()
	h := host(t)
	keyless := h.settings.Join[0]
	other := h.openOnly(h.office.settings("n3", freeport.For(t)), filepath.Join(h.office.dir, "data-n3"))
	other.settings.CAKeyFile = ""
	h.withEngine(other)
	h.settings.Join = []string{freeport.For(t), other.settings.Advertise, keyless}
	c := h.openOnly(h.settings, h.dir)
	p := c.Peering()
	if !p.Join || p.Members["n1"] != keyless || p.Members["n2"] != c.settings.Advertise {
		t.Errorf("want it a member, got %+v", p)
	}
	if want, got := []string{"add " + c.settings.Advertise}, h.engine.done(); !slices.Equal(want, got) {
		t.Errorf("want %v, got %v", want, got)
	}
	if got := c.keeper.Certificate().Subject.CommonName; got != "n2" {
		t.Errorf("want a certificate of n2, got that of %s", got)
	}
}

func TestJoinBringsTheClustersToken(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	s := o.settings("n1", freeport.For(t))
	s.Token = "prod"
	n1 := o.openOnly(s, filepath.Join(o.dir, "data-n1"))
	o.withEngine(n1, store.Member{ID: 1, Name: "n1", Peer: n1.settings.Advertise, Started: true})
	j := bare("n2", freeport.For(t))
	j.Join, j.JoinToken = []string{n1.settings.Advertise}, o.token(n1.keeper.Fingerprint(), "prod", false)
	dir := filepath.Join(o.dir, "data-n2")
	if got := o.openOnly(j, dir).Peering().Token; got != "prod" {
		t.Errorf("want the token of the cluster, got %q", got)
	}
	again, _ := recall(dir)
	if r, known := again.get(); !known || r.Token != "prod" || !r.Joined || len(r.Members) != 2 {
		t.Errorf("want it remembered, got %+v", r)
	}
}

func TestWhoHasACertificateJoinsWithoutAToken(t *testing.T) {
	t.Parallel()
	h := host(t)
	s := h.office.settings("n2", h.settings.Addr)
	s.Join = h.settings.Join
	c := h.openOnly(s, h.dir)
	if p := c.Peering(); !p.Join || len(p.Members) != 2 {
		t.Errorf("got %+v", p)
	}
	// But not under the name of another node.
	ask := c.joinRequest()
	ask.Name = "n4"
	_, err := askOne(t.Context(), c.calls, s.Join[0], ask)
	if config.KindOf(err) != config.Denied || !strings.Contains(err.Error(), "the certificate is that of the node n2, not of n4") {
		t.Errorf("want it denied, got %v", err)
	}
}

func TestStrangersGetOnlyToJoin(t *testing.T) {
	t.Parallel()
	h := host(t)
	conf, err := pki.PinnedClientConfig(h.host.keeper.Fingerprint(), "127.0.0.1", "http/1.1")
	if err != nil {
		t.Fatal(err)
	}
	stranger := newCaller(dialer(conf))
	defer stranger.close()
	addr := h.host.settings.Advertise
	var a authority
	if err := stranger.get(t.Context(), addr, "/node/authority", &a); err != nil || a.CA != string(h.host.keeper.Bundle()) {
		t.Errorf("want the authority, got %q, %v", a.CA, err)
	}
	for _, path := range []string{"/node/identity", "/node/status", "/node/instances", "/node/nowhere"} {
		if err := stranger.get(t.Context(), addr, path, &nothing{}); err == nil {
			t.Errorf("%s: want it denied", path)
		}
	}
	for _, path := range []string{"/node/hello", "/node/answers/x", "/node/renew", "/node/members/n1/promote", "/node/members/n1/remove", "/node/leader", "/node/defragment"} {
		if err := stranger.post(t.Context(), addr, path, &nothing{}, &nothing{}); config.KindOf(err) != config.Denied {
			t.Errorf("%s: want it denied, got %v", path, err)
		}
	}
	err = stranger.post(t.Context(), addr, "/node/join", &joinRequest{Name: "n9", Peer: "h9:1", Format: DataFormat}, &joinAnswer{})
	if config.KindOf(err) != config.Denied || !strings.Contains(err.Error(), "needs a token to join") {
		t.Errorf("want it denied, got %v", err)
	}
	if acts := h.engine.done(); len(acts) > 0 {
		t.Errorf("want nothing done, got %v", acts)
	}
}

func TestJoinOfAnOlderProgramIsRefused(t *testing.T) {
	t.Parallel()
	h := host(t)
	_, err := h.host.admit(t.Context(), &joinRequest{Name: "n2", Peer: "h2:1", Version: "0.1.0"}, nil, "")
	if config.KindOf(err) != config.Invalid || !strings.Contains(err.Error(), "Setpoint 0.1.0 knows only 0") {
		t.Errorf("got %v", err)
	}
	h.host.parts.Store(nil)
	if _, err = h.host.admit(t.Context(), &joinRequest{}, nil, ""); !errors.Is(err, errRetry) {
		t.Errorf("want it to try again later, got %v", err)
	}
}

func TestCertificatesAreGoodForWhereClientsReachNodes(t *testing.T) {
	t.Parallel()
	authority := newOffice(t).authority
	_, request, err := pki.NewRequest("n2")
	if err != nil {
		t.Fatal(err)
	}
	machine := []string{"127.0.0.1", "::1", "localhost", "n2"}
	for name, tc := range map[string]struct {
		ask  joinRequest
		from string
		want []string
	}{
		"a member":                {joinRequest{Peer: "h2.example.org:7403"}, "10.0.0.2:5001", []string{"10.0.0.2", "h2.example.org"}},
		"an edge":                 {joinRequest{Edge: true}, "10.0.0.2:5001", []string{"10.0.0.2"}},
		"one on the same machine": {joinRequest{Peer: "localhost:7403"}, "127.0.0.1:5001", nil},
		"one on the same link":    {joinRequest{Edge: true}, "[fe80::7%eth0]:5001", []string{"fe80::7"}},
	} {
		tc.ask.Name, tc.ask.Request = "n2", string(request)
		text, err := sign(authority, &tc.ask, tc.from)
		if err != nil {
			t.Fatal(name, err)
		}
		certs, err := pki.ParseCertificates([]byte(text))
		if err != nil {
			t.Fatal(name, err)
		}
		got := pki.Hosts(certs[0])
		slices.Sort(got)
		want := slices.Sorted(slices.Values(append(tc.want, machine...)))
		if !slices.Equal(want, got) {
			t.Errorf("%s: want it good for %q, got %q", name, want, got)
		}
	}
}
